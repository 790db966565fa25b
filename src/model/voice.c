/* Finds a tenant's words, puts them around a draft, and takes them off an answer. */
#include <ctype.h>
#include <string.h>
#include <strings.h>
#include "base/utf8.h"
#include "model/language.h"
#include "model/phrases.h"
#include "model/voice_table.h"

#define ANY_TENANT "*"
#define WRITTEN_NAME_MAX 160 /* bytes of a name that a person wrote into a greeting */

const char *voices_version(const struct voices *voices)
{
    return voices->version;
}

const char *voice_words(const struct words_list *list, const char *language)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcasecmp(list->items[i].language, language) == 0) {
            return list->items[i].text;
        }
    }
    return NULL;
}

static const struct voice *find_voice(const struct voices *voices, const char *tenant)
{
    for (size_t i = 0; i < voices->count; i++) {
        if (strcmp(voices->list[i].tenant, tenant) == 0) {
            return &voices->list[i];
        }
    }
    return NULL;
}

/* The tenant's voice, then everybody's; either may be NULL. */
static void find_voices(const struct voices *voices, const char *tenant, const struct voice *out[2])
{
    out[0] = find_voice(voices, tenant);
    out[1] = find_voice(voices, ANY_TENANT);
}

const char *voices_tone(const struct voices *voices, const char *tenant)
{
    const struct voice *found[2];
    find_voices(voices, tenant, found);
    return found[0] != NULL && found[0]->tone != NULL ? found[0]->tone
           : found[1] != NULL                         ? found[1]->tone
                                                      : NULL;
}

/* The very tag, its language, or what is for all languages. */
static const struct words *choose_words(const struct words_list *list, const char *locale)
{
    const struct words *best = NULL;
    for (size_t i = 0; i < list->count; i++) {
        const struct words *words = &list->items[i];
        if (strcasecmp(words->language, locale) == 0) {
            return words;
        }
        if (words->language[0] == 0 || (best == NULL && language_same(words->language, locale))) {
            best = words;
        }
    }
    return best;
}

/* The greeting as written, {name} and all; NULL when nobody has one in that language. */
static const char *choose_greeting(const struct voice *const found[2], const char *locale, bool named)
{
    for (size_t i = 0; i < 2; i++) {
        const struct words *words = found[i] != NULL ? choose_words(&found[i]->greeting, locale) : NULL;
        if (words != NULL) {
            const char *unnamed = voice_words(&found[i]->greeting_without_name, words->language);
            return named || unnamed == NULL ? words->text : unnamed;
        }
    }
    const struct phrases_frame *frame = phrases_frame_for(locale);
    return frame == NULL ? NULL : named ? frame->greeting : frame->greeting_without_name;
}

static const char *choose_signature(const struct voice *const found[2], const char *locale)
{
    for (size_t i = 0; i < 2; i++) {
        const struct words *words = found[i] != NULL ? choose_words(&found[i]->signature, locale) : NULL;
        if (words != NULL) {
            return words->text;
        }
    }
    const struct phrases_frame *frame = phrases_frame_for(locale);
    return frame != NULL ? frame->signature : NULL;
}

static const char *fill_name(struct arena *arena, const char *greeting, const char *name)
{
    const char *slot = strstr(greeting, VOICE_SLOT);
    return slot == NULL ? greeting
                        : arena_printf(arena, "%.*s%s%s", (int)(slot - greeting), greeting, name,
                              slot + strlen(VOICE_SLOT));
}

struct voice_frame voices_frame(struct arena *arena, const struct voices *voices, const char *tenant,
    const char *locale, const char *name)
{
    const struct voice *found[2];
    find_voices(voices, tenant, found);
    struct voice_frame frame = {.greeting = choose_greeting(found, locale, name != NULL),
        .signature = choose_signature(found, locale)};
    frame.foreign = frame.greeting == NULL || frame.signature == NULL;
    if (frame.greeting == NULL) {
        frame.greeting = choose_greeting(found, "en", name != NULL);
    }
    if (frame.signature == NULL) {
        frame.signature = choose_signature(found, "en");
    }
    frame.greeting = name != NULL ? fill_name(arena, frame.greeting, name) : frame.greeting;
    return frame;
}

bool voice_name_fits(const char *name)
{
    size_t len = strlen(name);
    for (const unsigned char *p = (const unsigned char *)name; *p != 0; p++) {
        if (!isalpha(*p) && *p < 0x80 && strchr(" -'.", *p) == NULL) {
            return false;
        }
    }
    return len <= VOICE_MAX_NAME && !utf8_blank(name);
}

/* ---- taking a frame off ---- */

/* Bytes of `text` that the greeting takes, with any name on its line; 0 when it is another. */
static size_t greeting_length(const char *greeting, const char *text)
{
    const char *slot = strstr(greeting, VOICE_SLOT);
    size_t before = slot != NULL ? (size_t)(slot - greeting) : strlen(greeting);
    if (strncmp(text, greeting, before) != 0) {
        return 0;
    }
    if (slot == NULL) {
        return before;
    }
    const char *after = slot + strlen(VOICE_SLOT);
    size_t line = strcspn(text + before, "\r\n"), rest = strlen(after);
    if (rest == 0) {
        return line <= WRITTEN_NAME_MAX ? before + line : 0;
    }
    const char *found = memmem(text + before, line, after, rest);
    size_t name = found != NULL ? (size_t)(found - text) - before : 0;
    return found != NULL && name <= WRITTEN_NAME_MAX ? before + name + rest : 0;
}

static size_t longest_greeting(const struct words_list *list, const char *text, size_t best)
{
    for (size_t i = 0; i < list->count; i++) {
        size_t len = greeting_length(list->items[i].text, text);
        best = len > best ? len : best;
    }
    return best;
}

/* The same for signatures, at the end of the text. */
static size_t longest_end(const struct words_list *list, const char *text, size_t best)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < list->count; i++) {
        size_t size = strlen(list->items[i].text);
        bool ends = size <= len && memcmp(text + len - size, list->items[i].text, size) == 0;
        best = ends && size > best ? size : best;
    }
    return best;
}

char *voices_unframe(struct arena *arena, const struct voices *voices, const char *tenant, const char *text)
{
    const struct voice *found[2];
    size_t greeting = 0, signature = 0;
    text = utf8_trim(arena, text);
    find_voices(voices, tenant, found);
    for (size_t i = 0; i < 2; i++) {
        if (found[i] != NULL) {
            greeting = longest_greeting(&found[i]->greeting, text, greeting);
            greeting = longest_greeting(&found[i]->greeting_without_name, text, greeting);
        }
    }
    text += greeting;
    for (size_t i = 0; i < 2; i++) {
        signature = found[i] != NULL ? longest_end(&found[i]->signature, text, signature) : signature;
    }
    size_t len = strlen(text);
    return utf8_trim(arena, arena_strndup(arena, text, len - signature));
}
