/* Reading a language model's classification. */
#include "model/classify_answer.h"

#include <string.h>
#include "base/json.h"
#include "base/utf8.h"

static bool unusable(struct error *err, const char *why)
{
    return error_set(err, ERROR_REJECT, "model_unusable", "%s", why);
}

static bool read_category(
    const cJSON *json, const struct taxonomy *taxonomy, struct classify_answer *out, struct error *err)
{
    const char *name = json_str(json, "category");
    for (size_t i = 0; name && i < taxonomy->category_count; i++) {
        if (strcmp(taxonomy->categories[i].name, name) == 0) {
            out->category = &taxonomy->categories[i];
            return true;
        }
    }
    return unusable(err, "`category` must be one of the categories given");
}

static bool read_mood(const cJSON *json, struct classify_answer *out, struct error *err)
{
    const char *priority = json_str(json, "priority");
    const char *sentiment = json_str(json, "sentiment");
    if (!priority || !msg_priority_parse(priority, &out->priority)) {
        return unusable(err, "`priority` must be critical, high, medium or low");
    }
    if (!sentiment || !msg_sentiment_parse(sentiment, &out->sentiment)) {
        return unusable(err, "`sentiment` must be positive, neutral or negative");
    }
    return true;
}

static bool read_share(const cJSON *json, const char *name, double *out)
{
    const cJSON *number = cJSON_GetObjectItemCaseSensitive(json, name);
    if (!cJSON_IsNumber(number) || !(number->valuedouble >= 0 && number->valuedouble <= 1)) {
        return false;
    }
    *out = number->valuedouble;
    return true;
}

static bool read_confidence(const cJSON *json, struct classify_answer *out, struct error *err)
{
    return (read_share(json, "confidence", &out->confidence) &&
               read_share(json, "priority_confidence", &out->priority_confidence)) ||
           unusable(err, "`confidence` and `priority_confidence` must be numbers from 0 to 1");
}

static bool read_reason(
    struct arena *arena, const cJSON *json, struct classify_answer *out, struct error *err)
{
    const char *reason = json_str(json, "reasoning_snippet");
    if (!reason || utf8_blank(reason) || strlen(reason) > CLASSIFY_ANSWER_MAX_REASON) {
        return unusable(err, "`reasoning_snippet` must be one short sentence");
    }
    for (const unsigned char *p = (const unsigned char *)reason; *p; p++) {
        if (*p < 0x20 || *p == 0x7f) {
            return unusable(err, "`reasoning_snippet` must hold no control characters");
        }
    }
    out->reason = arena_strdup(arena, reason);
    return true;
}

bool classify_answer_read(struct arena *arena, const char *content, size_t len,
    const struct taxonomy *taxonomy, struct classify_answer *out, struct error *err)
{
    *out = (struct classify_answer){0};
    cJSON *json = json_parse(content, len, NULL);
    bool ok = cJSON_IsObject(json) ? read_category(json, taxonomy, out, err) && read_mood(json, out, err) &&
                                         read_confidence(json, out, err) && read_reason(arena, json, out, err)
                                   : unusable(err, "it must be one JSON object and nothing else");
    cJSON_Delete(json);
    return ok;
}
