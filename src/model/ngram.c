/* Reads a text's features and counts equal ones. */
#include "model/ngram.h"

#include <math.h>
#include <string.h>
#include "model/text.h"

#define LETTERS_MIN 2
#define LETTERS_MAX 5
#define PAIR_WINDOW 16    /* words; further apart they seldom belong together */
#define WORD_MAX_BYTES 64 /* of a word that are read: an encoded file in a ticket is no text */

#define FNV_OFFSET 2166136261u
#define FNV_PRIME 16777619u

struct counter {
    struct ngram *items;
    size_t count;
    uint32_t *slots; /* open addressing: index of the item plus one */
    size_t mask;
};

static uint32_t hash_byte(uint32_t hash, unsigned char byte)
{
    return (hash ^ byte) * FNV_PRIME;
}

static uint32_t hash_text(uint32_t hash, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        hash = hash_byte(hash, (unsigned char)text[i]);
    }
    return hash;
}

static uint32_t hash_start(enum ngram_block block)
{
    return hash_byte(FNV_OFFSET, (unsigned char)block);
}

/* FNV-1a's last bytes hardly reach the low bits: mixed as MurmurHash3 ends (fmix32). */
static uint32_t hash_end(uint32_t hash)
{
    hash = (hash ^ hash >> 16) * 0x85ebca6bu;
    hash = (hash ^ hash >> 13) * 0xc2b2ae35u;
    return hash ^ hash >> 16;
}

static void add(struct counter *counter, enum ngram_block block, uint32_t raw)
{
    uint32_t hash = hash_end(raw);
    size_t slot = hash & counter->mask;
    while (counter->slots[slot] != 0) {
        struct ngram *item = &counter->items[counter->slots[slot] - 1];
        if (item->hash == hash) {
            item->count++;
            return;
        }
        slot = (slot + 1) & counter->mask;
    }
    counter->items[counter->count++] = (struct ngram){.hash = hash, .block = block, .count = 1};
    counter->slots[slot] = (uint32_t)counter->count;
}

static size_t word_bytes(const char *word)
{
    size_t len = strnlen(word, WORD_MAX_BYTES);
    while (len > 0 && ((unsigned char)word[len] & 0xC0) == 0x80) {
        len--; /* never half a character */
    }
    return len;
}

/* Two words in a row are joined by a blank; the text's ends count as words. */
static void add_words(struct counter *counter, const struct text_word *words, size_t count)
{
    uint32_t before = hash_byte(hash_start(NGRAM_WORD), '<');
    for (size_t i = 0; i <= count; i++) {
        const char *word = i < count ? words[i].plain : ">";
        size_t len = word_bytes(word);
        uint32_t alone = hash_text(hash_start(NGRAM_WORD), word, len);
        if (i < count) {
            add(counter, NGRAM_WORD, alone);
        }
        add(counter, NGRAM_WORD, hash_text(hash_byte(before, ' '), word, len));
        before = alone;
    }
}

static void add_pairs(struct counter *counter, const struct text_word *words, size_t count, uint32_t *stems)
{
    for (size_t i = 0; i < count; i++) {
        stems[i] = hash_end(hash_text(hash_start(NGRAM_PAIR), words[i].stem, word_bytes(words[i].stem)));
        for (size_t j = i > PAIR_WINDOW ? i - PAIR_WINDOW : 0; j < i; j++) {
            add(counter, NGRAM_PAIR, (stems[i] + stems[j]) ^ (stems[i] * stems[j]));
        }
    }
}

static void add_letters(struct counter *counter, const char *word)
{
    char text[WORD_MAX_BYTES + 3];
    size_t len = word_bytes(word);
    text[0] = ' ';
    memcpy(text + 1, word, len);
    text[len + 1] = ' ';
    len += 2;
    for (size_t from = 0; from < len; from++) {
        if (((unsigned char)text[from] & 0xC0) == 0x80) {
            continue;
        }
        uint32_t hash = hash_start(NGRAM_LETTERS);
        size_t at = from;
        for (size_t letters = 1; letters <= LETTERS_MAX && at < len; letters++) {
            do {
                hash = hash_byte(hash, (unsigned char)text[at++]);
            } while (at < len && ((unsigned char)text[at] & 0xC0) == 0x80);
            if (letters >= LETTERS_MIN) {
                add(counter, NGRAM_LETTERS, hash);
            }
        }
    }
}

struct ngram *ngram_read(struct arena *arena, const char *text, size_t *count)
{
    size_t words_count;
    struct text_word *words = text_words(arena, text, NGRAM_MAX_WORDS, &words_count);
    size_t most = 2 * words_count + 1 + PAIR_WINDOW * words_count;
    for (size_t i = 0; i < words_count; i++) {
        most += (word_bytes(words[i].plain) + 2) * (LETTERS_MAX - LETTERS_MIN + 1);
    }
    size_t slots = 64;
    while (slots < most * 2) {
        slots *= 2;
    }
    struct counter counter = {.items = arena_array(arena, most, sizeof(struct ngram)),
        .slots = arena_array(arena, slots, sizeof(uint32_t)),
        .mask = slots - 1};
    add_words(&counter, words, words_count);
    add_pairs(&counter, words, words_count, arena_array(arena, words_count, sizeof(uint32_t)));
    for (size_t i = 0; i < words_count; i++) {
        add_letters(&counter, words[i].plain);
    }
    for (size_t i = 0; i < counter.count; i++) {
        struct ngram *item = &counter.items[i];
        item->weight = item->count == 1 ? 1 : 1 + logf((float)item->count);
    }
    *count = counter.count;
    return counter.items;
}
