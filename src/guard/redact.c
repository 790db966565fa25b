/* Replaces personal data by the name of its kind, and names that are known. */
#include "guard/redact.h"

#include <string.h>
#include "base/utf8.h"
#include "guard/pii.h"

#define NAME "[name]"
#define NAME_WORDS 10
#define NAME_PART_BYTES 3 /* shorter parts are initials, or words of the language */

char *redact_text(struct arena *arena, const char *text)
{
    size_t count, len = strlen(text), out = 0, from = 0;
    struct pii_span *spans = pii_find(arena, text, &count);
    char *copy = arena_alloc(arena, len + count * sizeof "[email]" + 1);
    for (size_t i = 0; i < count; i++) {
        memcpy(copy + out, text + from, spans[i].start - from);
        out += spans[i].start - from;
        copy[out++] = '[';
        size_t name = strlen(pii_name(spans[i].kind));
        memcpy(copy + out, pii_name(spans[i].kind), name);
        out += name;
        copy[out++] = ']';
        from = spans[i].end;
    }
    memcpy(copy + out, text + from, len - from + 1);
    return copy;
}

/* Whether the word may be a part of a name: long enough, and not in small letters, where its script has them.
 */
static bool stands_alone(const char *text, const struct utf8_word *word)
{
    return word->end - word->start >= NAME_PART_BYTES && !utf8_starts_small(text + word->start);
}

/* How many words from `words` on are the name, or a part of it; 0: none. */
static size_t name_at(const char *text, const struct utf8_word *words, size_t count, const char *name,
    const struct utf8_word *parts, size_t part_count)
{
    size_t same = 0;
    while (same < part_count && same < count && strcmp(words[same].text, parts[same].text) == 0) {
        same++;
    }
    bool whole = same == part_count && (part_count > 1 || stands_alone(text, &words[0]));
    if (whole && parts[same - 1].end - parts[0].start >= NAME_PART_BYTES) {
        return same;
    }
    for (size_t i = 0; i < part_count; i++) {
        if (strcmp(words[0].text, parts[i].text) == 0 && stands_alone(name, &parts[i]) &&
            stands_alone(text, &words[0])) {
            return 1;
        }
    }
    return 0;
}

const char *redact_name(struct arena *arena, const char *text, const char *name)
{
    size_t count, part_count = 0, len = strlen(text), out = 0, from = 0;
    struct utf8_word *parts = name ? utf8_words(arena, name, NAME_WORDS, &part_count) : NULL;
    if (part_count == 0) {
        return text;
    }
    struct utf8_word *words = utf8_words(arena, text, SIZE_MAX, &count);
    char *copy = arena_alloc(arena, len + count * sizeof NAME + 1);
    for (size_t i = 0; i < count; i++) {
        size_t named = name_at(text, words + i, count - i, name, parts, part_count);
        if (named > 0) {
            memcpy(copy + out, text + from, words[i].start - from);
            out += words[i].start - from;
            memcpy(copy + out, NAME, strlen(NAME));
            out += strlen(NAME);
            i += named - 1;
            from = words[i].end;
        }
    }
    memcpy(copy + out, text + from, len - from + 1);
    return copy;
}
