/* Reading a language model's draft. */
#include "model/draft_answer.h"

#include <string.h>
#include "base/json.h"
#include "base/utf8.h"

#define MAX_CITATIONS 20
#define MAX_STEP 400 /* bytes */

static bool unusable(struct error *err, const char *why)
{
    return error_set(err, ERROR_REJECT, "model_unusable", "%s", why);
}

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

/* No control characters but line breaks and tabs. */
static bool is_plain(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if ((*p < 0x20 && *p != '\n' && *p != '\t') || *p == 0x7f) {
            return false;
        }
    }
    return !utf8_blank(text);
}

static bool read_text(struct arena *arena, const cJSON *json, struct draft_answer *out, struct error *err)
{
    const char *text = json_str(json, "answer");
    if (!text || !is_plain(text)) {
        return unusable(err, "`answer` must be a text without control characters");
    }
    if (strlen(text) > DRAFT_ANSWER_MAX_TEXT) {
        return unusable(err, "`answer` is too long");
    }
    out->text = arena_strdup(arena, text);
    return true;
}

static bool is_given(const struct msg_context *context, const char *id)
{
    for (size_t i = 0; context && i < context->items_count; i++) {
        if (strcmp(context->items[i].source_id, id) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_listed(const struct draft_answer *answer, const char *id)
{
    for (size_t i = 0; i < answer->citation_count; i++) {
        if (strcmp(answer->citations[i], id) == 0) {
            return true;
        }
    }
    return false;
}

static bool read_citations(struct arena *arena, const cJSON *json, const struct msg_context *context,
    struct draft_answer *out, struct error *err)
{
    const cJSON *list = member(json, "citations");
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > MAX_CITATIONS) {
        return unusable(err, "`citations` must be an array of at most 20 source_ids");
    }
    out->citations = arena_array(arena, (size_t)cJSON_GetArraySize(list), sizeof(*out->citations));
    const cJSON *entry;
    cJSON_ArrayForEach(entry, list)
    {
        if (!cJSON_IsString(entry) || !is_given(context, entry->valuestring)) {
            return unusable(err, "`citations` holds what is no source_id of `sources`");
        }
        if (is_listed(out, entry->valuestring)) {
            return unusable(err, "`citations` names a source twice");
        }
        out->citations[out->citation_count++] = arena_strdup(arena, entry->valuestring);
    }
    return true;
}

/* Every "[n]" must be one of the citations. */
static bool check_markers(const struct draft_answer *answer, struct error *err)
{
    for (const char *at = answer->text; (at = strchr(at, '[')); at++) {
        size_t digits = strspn(at + 1, "0123456789");
        size_t number = 0;
        for (size_t i = 0; i < digits && number <= MAX_CITATIONS; i++) {
            number = number * 10 + (size_t)(at[1 + i] - '0');
        }
        if (digits > 0 && at[1 + digits] == ']' && (number == 0 || number > answer->citation_count)) {
            return unusable(err, "a marker in `answer` names no entry of `citations`");
        }
    }
    return true;
}

static bool read_judgement(const cJSON *json, struct draft_answer *out, struct error *err)
{
    const cJSON *confidence = member(json, "confidence");
    const cJSON *person = member(json, "needs_person");
    if (!cJSON_IsNumber(confidence) || !(confidence->valuedouble >= 0 && confidence->valuedouble <= 1)) {
        return unusable(err, "`confidence` must be a number from 0 to 1");
    }
    if (!cJSON_IsBool(person)) {
        return unusable(err, "`needs_person` must be true or false");
    }
    out->confidence = confidence->valuedouble;
    out->needs_person = cJSON_IsTrue(person);
    if (!out->needs_person && out->citation_count == 0) {
        return unusable(err, "a draft that cites no source must set `needs_person`");
    }
    return true;
}

static bool read_steps(struct arena *arena, const cJSON *json, struct draft_answer *out, struct error *err)
{
    const cJSON *list = member(json, "next_steps");
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > DRAFT_ANSWER_MAX_STEPS) {
        return unusable(err, "`next_steps` must be an array of at most 8 texts");
    }
    out->steps = arena_array(arena, (size_t)cJSON_GetArraySize(list), sizeof(*out->steps));
    const cJSON *entry;
    cJSON_ArrayForEach(entry, list)
    {
        if (!cJSON_IsString(entry) || !is_plain(entry->valuestring) ||
            strlen(entry->valuestring) > MAX_STEP) {
            return unusable(err, "`next_steps` must hold short texts without control characters");
        }
        out->steps[out->step_count++] = arena_strdup(arena, entry->valuestring);
    }
    return true;
}

bool draft_answer_read(struct arena *arena, const char *content, size_t len,
    const struct msg_context *context, struct draft_answer *out, struct error *err)
{
    *out = (struct draft_answer){0};
    cJSON *json = json_parse(content, len, NULL);
    bool ok = cJSON_IsObject(json)
                  ? read_text(arena, json, out, err) && read_citations(arena, json, context, out, err) &&
                        check_markers(out, err) && read_judgement(json, out, err) &&
                        read_steps(arena, json, out, err)
                  : unusable(err, "it must be one JSON object and nothing else");
    cJSON_Delete(json);
    return ok;
}
