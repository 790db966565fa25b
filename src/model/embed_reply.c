/* Reading vectors. */
#include "model/embed_reply.h"

#include <math.h>
#include "base/json.h"
#include "model/chat_reply.h"

#define MAX_TOKENS 1e9

static bool unusable(struct error *err, const char *why)
{
    return error_set(err, ERROR_REJECT, "model_unusable", "%s", why);
}

/* The numbers as a vector of length 1; NULL when they are none. */
static float *read_vector(struct arena *arena, const cJSON *numbers, size_t dimension)
{
    float *values = arena_array(arena, dimension, sizeof(*values));
    const cJSON *number;
    double squares = 0;
    size_t i = 0;
    cJSON_ArrayForEach(number, numbers)
    {
        if (!cJSON_IsNumber(number)) {
            return NULL;
        }
        values[i++] = (float)number->valuedouble;
        squares += (double)values[i - 1] * values[i - 1];
    }
    double norm = sqrt(squares);
    if (!isfinite(norm) || norm < 1e-12) {
        return NULL;
    }
    for (i = 0; i < dimension; i++) {
        values[i] = (float)(values[i] / norm);
    }
    return values;
}

/* Where the vector belongs: `at` when it does not say. -1: nowhere. */
static int place_of(const cJSON *entry, size_t at, size_t count)
{
    const cJSON *index = cJSON_GetObjectItemCaseSensitive(entry, "index");
    if (index == NULL) {
        return (int)at;
    }
    double place = cJSON_IsNumber(index) ? index->valuedouble : -1;
    return place >= 0 && place < (double)count && place == floor(place) ? (int)place : -1;
}

static bool read_vectors(
    struct arena *arena, const cJSON *data, size_t count, struct embed_reply *out, struct error *err)
{
    const cJSON *entry;
    size_t at = 0;
    out->vectors = arena_array(arena, count, sizeof(*out->vectors));
    cJSON_ArrayForEach(entry, data)
    {
        const cJSON *numbers = cJSON_GetObjectItemCaseSensitive(entry, "embedding");
        size_t dimension = cJSON_IsArray(numbers) ? (size_t)cJSON_GetArraySize(numbers) : 0;
        int place = place_of(entry, at, count);
        if (dimension == 0 || dimension > EMBED_MAX_DIMENSION) {
            return unusable(err, "a vector must be an array of 1 to 4096 numbers");
        }
        if (at > 0 && dimension != out->dimension) {
            return unusable(err, "its vectors differ in length");
        }
        if (place < 0 || out->vectors[place] != NULL) {
            return unusable(err, "the indexes of its vectors are not those of the texts");
        }
        out->dimension = dimension;
        out->vectors[place] = read_vector(arena, numbers, dimension);
        if (out->vectors[place] == NULL) {
            return unusable(err, "a vector holds what is no number, or has no direction");
        }
        at++;
    }
    return true;
}

bool embed_reply_read(struct arena *arena, const char *body, size_t len, size_t count,
    struct embed_reply *out, struct error *err)
{
    *out = (struct embed_reply){.model = ""};
    cJSON *json = json_parse(body, len, NULL);
    if (!json) {
        return unusable(err, "the server's answer is not JSON");
    }
    const char *model = json_str(json, "model");
    if (model && chat_model_valid(model)) {
        out->model = arena_strdup(arena, model);
    }
    double tokens = json_num(cJSON_GetObjectItemCaseSensitive(json, "usage"), "prompt_tokens", 0);
    out->input_tokens = tokens >= 0 && tokens <= MAX_TOKENS ? (int64_t)tokens : 0;
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(json, "data");
    bool ok = cJSON_IsArray(data) && (size_t)cJSON_GetArraySize(data) == count
                  ? read_vectors(arena, data, count, out, err)
                  : unusable(err, "it holds not one vector for each text");
    cJSON_Delete(json);
    return ok;
}
