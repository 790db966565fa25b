/* Reads the voices' file, strictly. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/utf8.h"
#include "model/language.h"
#include "model/voice_table.h"

#define TENANT_MAX 64

/* Where in the file we are, for messages. */
struct reader {
    struct arena *arena;
    struct error *err;
    char where[200];
};

static bool reader_fail(struct reader *reader, const char *what)
{
    return error_set(reader->err, ERROR_FATAL, "voices_invalid", "voices: %s%s%s", reader->where,
        reader->where[0] != 0 ? ": " : "", what);
}

/* Goes into a member; what it returns leads back to where we were. */
static size_t reader_enter(struct reader *reader, const char *member)
{
    size_t len = strlen(reader->where);
    snprintf(reader->where + len, sizeof reader->where - len, "%s%.70s", len > 0 ? "." : "", member);
    return len;
}

static void reader_leave(struct reader *reader, size_t len)
{
    reader->where[len] = 0;
}

/* One kind of text: how long it may be, and what may stand in it. */
struct rule {
    const char *member;
    size_t max;
    bool lines; /* may have several */
    bool slot;  /* may hold {name} */
    const char *right;
};

static const struct rule tone_rule = {.member = "tone",
    .max = VOICE_MAX_TONE,
    .right = "must be one line of text, not blank, of at most 1000 bytes"};
static const struct rule greeting_rule = {.member = "greeting",
    .max = VOICE_MAX_GREETING,
    .slot = true,
    .right =
        "must be one line of text, not blank, of at most 200 bytes, or an object of such texts by language; "
        "{name} may stand in it once, with other words and no other brace"};
static const struct rule without_name_rule = {.member = "greeting_without_name",
    .max = VOICE_MAX_GREETING,
    .right =
        "must be one line of text, not blank, of at most 200 bytes, without braces, or an object of such "
        "texts by language"};
static const struct rule signature_rule = {.member = "signature",
    .max = VOICE_MAX_SIGNATURE,
    .lines = true,
    .right =
        "must be a text, not blank, of at most 2000 bytes, without braces, or an object of such texts by "
        "language"};

/* Whether there is a letter or digit besides the slot: else any line would be such a greeting. */
static bool has_words(const char *text, const char *slot)
{
    for (const char *p = text; *p != 0; p++) {
        if (p == slot) {
            p += strlen(VOICE_SLOT) - 1;
        } else if (isalnum((unsigned char)*p) || (unsigned char)*p >= 0x80) {
            return true;
        }
    }
    return false;
}

static bool is_plain(const char *text, bool lines)
{
    for (const unsigned char *p = (const unsigned char *)text; *p != 0; p++) {
        if ((*p < 0x20 && !(lines && *p == '\n')) || *p == 0x7f) {
            return false;
        }
    }
    return !utf8_blank(text);
}

/* Braces are those of one slot, where there may be one. */
static bool braces_fit(const char *text, const char *slot)
{
    for (const char *p = text; *p != 0; p++) {
        if (p == slot) {
            p += strlen(VOICE_SLOT) - 1;
        } else if (*p == '{' || *p == '}') {
            return false;
        }
    }
    return true;
}

static bool text_fits(const struct rule *rule, const char *text)
{
    if (text == NULL || strlen(text) > rule->max || !is_plain(text, rule->lines)) {
        return false;
    }
    const char *slot = rule->slot ? strstr(text, VOICE_SLOT) : NULL;
    return rule == &tone_rule || (braces_fit(text, slot) && has_words(text, slot));
}

static const char *read_text(struct reader *reader, const struct rule *rule, const cJSON *json)
{
    const char *text = cJSON_GetStringValue(json);
    if (!text_fits(rule, text)) {
        reader_fail(reader, rule->right);
        return NULL;
    }
    return utf8_trim(reader->arena, text);
}

/* The texts of one member by language; without `given` there are none. */
static bool read_words(
    struct reader *reader, const struct rule *rule, const cJSON *given, struct words_list *out)
{
    const cJSON *entry;
    if (!cJSON_IsObject(given)) {
        out->items = ARENA_NEW(reader->arena, struct words);
        out->count = given != NULL;
        out->items[0] =
            (struct words){VOICE_ANY_LANGUAGE, given != NULL ? read_text(reader, rule, given) : NULL};
        return given == NULL || out->items[0].text != NULL;
    }
    out->items = arena_array(reader->arena, (size_t)cJSON_GetArraySize(given), sizeof *out->items);
    cJSON_ArrayForEach(entry, given)
    {
        size_t back = reader_enter(reader, entry->string);
        if (!language_tag_valid(entry->string)) {
            return reader_fail(reader, "is no language: name it by its BCP 47 tag, such as en or de-AT");
        }
        const char *text = read_text(reader, rule, entry);
        if (text == NULL) {
            return false;
        }
        out->items[out->count++] = (struct words){arena_strdup(reader->arena, entry->string), text};
        reader_leave(reader, back);
    }
    return true;
}

static bool read_member(
    struct reader *reader, const struct rule *rule, const cJSON *voice, struct words_list *out)
{
    size_t back = reader_enter(reader, rule->member);
    bool ok = read_words(reader, rule, cJSON_GetObjectItemCaseSensitive(voice, rule->member), out);
    if (ok) {
        reader_leave(reader, back);
    }
    return ok;
}

/* Whether `member` has a text in the language of every one of `list` (of those with {name}, when `slots`). */
static bool check_pairs(struct reader *reader, const struct words_list *list, bool slots,
    const struct words_list *others, const char *member, const char *why)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct words *words = &list->items[i];
        if ((!slots || strstr(words->text, VOICE_SLOT) != NULL) &&
            voice_words(others, words->language) == NULL) {
            reader_enter(reader, member);
            if (words->language[0] != 0) {
                reader_enter(reader, words->language);
            }
            return reader_fail(reader, why);
        }
    }
    return true;
}

static bool check_members(
    struct reader *reader, const cJSON *object, const char *const *known, const char *right)
{
    const cJSON *entry;
    if (!cJSON_IsObject(object)) {
        return reader_fail(reader, right);
    }
    cJSON_ArrayForEach(entry, object)
    {
        size_t i = 0;
        for (; known[i] != NULL && strcmp(known[i], entry->string) != 0; i++) {
        }
        if (known[i] == NULL) {
            reader_enter(reader, entry->string);
            return reader_fail(reader, right);
        }
    }
    return true;
}

static bool read_voice(struct reader *reader, const cJSON *json, struct voice *out)
{
    static const char *const known[] = {
        "note", "tone", "greeting", "greeting_without_name", "signature", NULL};
    if (!check_members(reader, json, known,
            "a voice is an object with tone, greeting, greeting_without_name, signature and note, as many as "
            "it needs")) {
        return false;
    }
    struct words_list tone = {0};
    if (cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(json, tone_rule.member))) {
        reader_enter(reader, tone_rule.member);
        return reader_fail(reader, tone_rule.right);
    }
    if (!read_member(reader, &tone_rule, json, &tone) ||
        !read_member(reader, &greeting_rule, json, &out->greeting) ||
        !read_member(reader, &without_name_rule, json, &out->greeting_without_name) ||
        !read_member(reader, &signature_rule, json, &out->signature)) {
        return false;
    }
    out->tone = tone.count > 0 ? tone.items[0].text : NULL;
    return check_pairs(reader, &out->greeting, true, &out->greeting_without_name, without_name_rule.member,
               "is missing: what greets a customer whose name is not known") &&
           check_pairs(reader, &out->greeting_without_name, false, &out->greeting, greeting_rule.member,
               "is missing: greeting_without_name only stands in its place");
}

static bool read_voices(struct reader *reader, const cJSON *root, struct voices *out)
{
    static const char *const known[] = {"note", "voices", NULL};
    if (!check_members(reader, root, known, "the file is an object with voices, and note for people")) {
        return false;
    }
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "voices"), *entry;
    reader_enter(reader, "voices");
    if (!cJSON_IsObject(list)) {
        return reader_fail(reader, "must be an object of tenants and their voices, \"*\" for all others");
    }
    out->list = arena_array(out->arena, (size_t)cJSON_GetArraySize(list), sizeof *out->list);
    cJSON_ArrayForEach(entry, list)
    {
        size_t back = reader_enter(reader, entry->string);
        if (utf8_blank(entry->string) || strlen(entry->string) > TENANT_MAX || strchr(entry->string, '/')) {
            return reader_fail(reader, "is no tenant: 1 to 64 bytes, not blank, without '/'");
        }
        struct voice *voice = &out->list[out->count++];
        voice->tenant = arena_strdup(out->arena, entry->string);
        if (!read_voice(reader, entry, voice)) {
            return false;
        }
        reader_leave(reader, back);
    }
    return true;
}

static struct voices *voices_new(const char *version)
{
    struct arena *arena = arena_new(0);
    struct voices *voices = ARENA_NEW(arena, struct voices);
    voices->arena = arena;
    voices->version = arena_strdup(arena, version);
    return voices;
}

struct voices *voices_parse(const char *json, size_t len, struct error *err)
{
    struct error problem = {0};
    cJSON *root = json_parse(json, len, &problem);
    if (root == NULL) {
        error_set(err, ERROR_FATAL, "voices_invalid", "voices: %s", problem.text);
        return NULL;
    }
    char id[UUID_TEXT_SIZE], version[UUID_TEXT_SIZE + sizeof "voices/"];
    uuid_v5(json, len, id);
    snprintf(version, sizeof version, "voices/%s", id);
    struct voices *voices = voices_new(version);
    struct reader reader = {.arena = voices->arena, .err = err};
    bool ok = read_voices(&reader, root, voices);
    cJSON_Delete(root);
    if (!ok) {
        voices_free(voices);
        return NULL;
    }
    return voices;
}

struct voices *voices_load(const char *path, struct error *err)
{
    if (path[0] == 0) {
        return voices_new("");
    }
    struct buf text;
    buf_init(&text, VOICE_MAX_FILE);
    const char *why = file_read(path, &text);
    struct voices *voices = NULL;
    if (why != NULL) {
        error_set(err, ERROR_FATAL, "voices_unreadable", "voices: %s: %s", path, why);
    } else {
        voices = voices_parse(buf_text(&text), text.len, err);
    }
    buf_fini(&text);
    return voices;
}

void voices_free(struct voices *voices)
{
    if (voices != NULL) {
        arena_free(voices->arena);
    }
}
