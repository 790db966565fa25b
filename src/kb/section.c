/* A section is divided evenly: passages end between paragraphs or sentences, near the ends of equal parts. */
#include "kb/section.h"

#include <ctype.h>
#include <string.h>
#include "base/buf.h"
#include "base/utf8.h"
#include "model/text.h"

/* In tokens. Of 350 and 40 carried over, 350 and 60, 400 and 60, 500 and 60 the first found the most
 * documents, and with the second the most of an answer in 1,200 words (tools/eval search). */
#define MOST 350       /* of a passage, with what it carries over; divided evenly they have some 270 */
#define MOST_WHOLE 800 /* of a list, table or listing that stays whole */
#define CARRIED 40     /* carried over from the passage before, at most */

#define RUN 8         /* letters of a word that are one token */
#define BYTES_MOST 20 /* of a token with the white space before it */

#define CARRIED_BYTES ((size_t)CARRIED * BYTES_MOST)
#define CARRIED_LEAST 12 /* bytes: what is shorter may be the same by chance */

/* What a passage is made of: it ends between two of these. */
struct unit {
    const struct section_block *block;
    size_t start, end; /* of the block's text */
    size_t tokens;
};

struct units {
    struct arena *arena;
    struct unit *items;
    size_t count, capacity;
};

/* ---- sizes ---- */

enum run { RUN_SPACE, RUN_WORD, RUN_MARK, RUN_CHARACTER };

static enum run run_of(unsigned char byte)
{
    if (isspace(byte)) {
        return RUN_SPACE;
    }
    if (byte >= 0xe0) { /* from U+0800 on: scripts without spaces, most of all */
        return RUN_CHARACTER;
    }
    return isalnum(byte) || byte >= 0x80 ? RUN_WORD : RUN_MARK;
}

size_t section_tokens(const char *text, size_t len)
{
    size_t tokens = 0, length = 0;
    enum run last = RUN_CHARACTER;
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)text[i];
        if ((byte & 0xc0) == 0x80) {
            length += last == RUN_WORD; /* two bytes, two letters: such words are more tokens */
            continue;
        }
        enum run run = run_of(byte);
        if (run != last || run == RUN_CHARACTER || length >= RUN) {
            tokens += run != RUN_SPACE || (run == last && length >= RUN);
            length = 0;
        }
        length++;
        last = run;
    }
    return tokens;
}

/* Bytes of `text` that are at most `most` tokens, up to a space when there is one. */
static size_t fitting(const char *text, size_t len, size_t most)
{
    size_t longest = most * BYTES_MOST;
    len = len < longest ? len : longest;
    if (section_tokens(text, len) <= most) {
        return len;
    }
    size_t low = 1, high = len; /* the most that fits is at least `low`, and below `high` */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        *(section_tokens(text, middle) <= most ? &low : &high) = middle;
    }
    size_t cut = low;
    while (cut > low / 2 && !isspace((unsigned char)text[cut])) {
        cut--;
    }
    return cut > low / 2 ? cut : utf8_clip(text, low);
}

/* ---- units ---- */

/* One that is too long by itself is cut between words. */
static void add_unit(struct units *units, const struct section_block *block, size_t start, size_t end)
{
    size_t most = block->kind == KB_BLOCK_LINES && start == 0 && !block->text[end] ? MOST_WHOLE : MOST;
    while (start < end) {
        size_t take = fitting(block->text + start, end - start, most);
        if (units->count == units->capacity) {
            units->capacity = units->capacity ? 2 * units->capacity : 64;
            struct unit *grown = arena_array(units->arena, units->capacity, sizeof(*grown));
            if (units->count) {
                memcpy(grown, units->items, units->count * sizeof(*grown));
            }
            units->items = grown;
        }
        units->items[units->count++] =
            (struct unit){block, start, start + take, section_tokens(block->text + start, take)};
        start += take;
    }
}

static void add_sentences(struct units *units, const struct section_block *block)
{
    size_t len = strlen(block->text), count = 0;
    struct text_sentence *sentences = text_sentences(units->arena, block->text, len / 2 + 1, &count);
    for (size_t i = 0; i < count; i++) { /* up to the next one, so that nothing between them is lost */
        add_unit(units, block, i ? sentences[i].start : 0, i + 1 < count ? sentences[i + 1].start : len);
    }
}

static void add_lines(struct units *units, const struct section_block *block)
{
    for (const char *at = block->text; *at;) {
        size_t start = (size_t)(at - block->text);
        at += strcspn(at, "\n");
        at += *at == '\n';
        add_unit(units, block, start, (size_t)(at - block->text));
    }
}

static void add_block(struct units *units, const struct section_block *block)
{
    if (block->tokens <= (block->kind == KB_BLOCK_LINES ? MOST_WHOLE : MOST)) {
        add_unit(units, block, 0, strlen(block->text));
    } else if (block->kind == KB_BLOCK_LINES) {
        add_lines(units, block);
    } else {
        add_sentences(units, block);
    }
}

/* ---- passages ---- */

/* The last sentence of a unit, when it is short enough to be carried over. Lines stand by themselves. */
static bool carried_of(struct arena *arena, const struct unit *last, struct unit *out)
{
    if (last->block->kind == KB_BLOCK_LINES) {
        return false;
    }
    size_t len = last->end - last->start, count = 0;
    const char *text = arena_strndup(arena, last->block->text + last->start, len);
    struct text_sentence *sentences = text_sentences(arena, text, len / 2 + 1, &count);
    size_t from = count ? sentences[count - 1].start : len, tokens = section_tokens(text + from, len - from);
    *out = (struct unit){last->block, last->start + from, last->end, tokens};
    return tokens > 0 && tokens <= CARRIED;
}

static void put_unit(struct buf *text, const struct unit *last, const struct unit *unit)
{
    if (last && last->block != unit->block) {
        while (text->len && isspace((unsigned char)text->data[text->len - 1])) {
            text->data[--text->len] = '\0';
        }
        buf_puts(text, "\n\n");
    }
    buf_append(text, unit->block->text + unit->start, unit->end - unit->start);
}

/* The unit behind the last one of the passage that starts with `first`: what is left is divided into as few
 * equal parts as it fits in, and the passage ends where one of them nearly does. */
static size_t end_of_passage(const struct units *units, size_t first, size_t left, size_t carried)
{
    const size_t room = MOST - CARRIED;
    size_t part = left + carried <= MOST ? left : left / ((left + room - 1) / room);
    size_t end = first, own = 0;
    for (; end < units->count; end++) {
        size_t more = units->items[end].tokens;
        if (own >= SECTION_STANDS_ALONE && (carried + own + more > MOST || own + more / 2 > part)) {
            break;
        }
        own += more;
    }
    return end;
}

static const char *text_of(
    struct arena *arena, const struct units *units, size_t first, size_t end, const struct unit *carried)
{
    struct buf text;
    buf_init(&text, 2 * KB_MAX_TEXT);
    const struct unit *last = carried;
    if (carried) {
        put_unit(&text, NULL, carried);
    }
    for (size_t i = first; i < end; i++) {
        put_unit(&text, last, &units->items[i]);
        last = &units->items[i];
    }
    const char *copy = utf8_trim(arena, buf_text(&text));
    buf_fini(&text);
    return copy;
}

const char **section_cut(
    struct arena *arena, const struct section_block *blocks, size_t block_count, size_t *count)
{
    struct units units = {.arena = arena};
    for (size_t i = 0; i < block_count; i++) {
        add_block(&units, &blocks[i]);
    }
    size_t left = 0;
    for (size_t i = 0; i < units.count; i++) {
        left += units.items[i].tokens;
    }
    const char **texts = arena_array(arena, units.count + 1, sizeof(*texts));
    struct unit carried;
    bool carries = false;
    *count = 0;
    for (size_t first = 0, end; first < units.count; first = end) {
        end = end_of_passage(&units, first, left, carries ? carried.tokens : 0);
        texts[(*count)++] = text_of(arena, &units, first, end, carries ? &carried : NULL);
        for (size_t i = first; i < end; i++) {
            left -= units.items[i].tokens;
        }
        carries = end < units.count && carried_of(arena, &units.items[end - 1], &carried);
    }
    return texts;
}

/* ---- passages side by side ---- */

const char *section_behind(const char *before, const char *text)
{
    size_t len = strlen(before), most = strlen(text);
    most = most < len ? most : len;
    most = most < CARRIED_BYTES ? most : CARRIED_BYTES;
    for (size_t same = most; same >= CARRIED_LEAST; same--) {
        bool whole = same == len || isspace((unsigned char)before[len - same - 1]);
        if (whole && isspace((unsigned char)text[same]) && !memcmp(before + len - same, text, same)) {
            return text + same + strspn(text + same, " \t\r\n");
        }
    }
    return text;
}
