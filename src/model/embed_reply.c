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

/* Where the vector of an entry belongs: `at` when that does not say. -1: nowhere. */
static int place_of(const cJSON *entry, size_t at, size_t count)
{
    const cJSON *index = cJSON_GetObjectItemCaseSensitive(entry, "index");
    if (index == NULL) {
        return (int)at;
    }
    double place = cJSON_IsNumber(index) ? index->valuedouble : -1;
    return place >= 0 && place < (double)count && place == floor(place) ? (int)place : -1;
}

/* Puts a vector at its place; all must be of one length. */
static bool put_vector(
    struct arena *arena, const cJSON *numbers, int place, struct embed_reply *out, struct error *err)
{
    size_t dimension = cJSON_IsArray(numbers) ? (size_t)cJSON_GetArraySize(numbers) : 0;
    if (dimension == 0 || dimension > EMBED_MAX_DIMENSION) {
        return unusable(err, "a vector must be an array of 1 to 4096 numbers");
    }
    if (out->dimension != 0 && dimension != out->dimension) {
        return unusable(err, "its vectors differ in length");
    }
    if (place < 0 || out->vectors[place] != NULL) {
        return unusable(err, "the indexes of its vectors are not those of the texts");
    }
    out->dimension = dimension;
    out->vectors[place] = read_vector(arena, numbers, dimension);
    return out->vectors[place] != NULL ||
           unusable(err, "a vector holds what is no number, or has no direction");
}

/* `inside`: the member of an entry that is its vector; NULL: the entry is. */
static bool read_vectors(struct arena *arena, const cJSON *data, const char *inside, size_t count,
    struct embed_reply *out, struct error *err)
{
    const cJSON *entry;
    size_t at = 0;
    if (!cJSON_IsArray(data) || (size_t)cJSON_GetArraySize(data) != count) {
        return unusable(err, "it holds not one vector for each text");
    }
    out->vectors = arena_array(arena, count, sizeof(*out->vectors));
    cJSON_ArrayForEach(entry, data)
    {
        const cJSON *numbers = inside ? cJSON_GetObjectItemCaseSensitive(entry, inside) : entry;
        if (!put_vector(arena, numbers, place_of(entry, at, count), out, err)) {
            return false;
        }
        at++;
    }
    return true;
}

static int64_t read_tokens(const cJSON *object, const char *name)
{
    double tokens = json_num(object, name, 0);
    return tokens >= 0 && tokens <= MAX_TOKENS ? (int64_t)tokens : 0;
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
    out->input_tokens = read_tokens(cJSON_GetObjectItemCaseSensitive(json, "usage"), "prompt_tokens");
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(json, "data");
    bool ok = read_vectors(arena, data, "embedding", count, out, err);
    cJSON_Delete(json);
    return ok;
}

bool embed_reply_read_titan(
    struct arena *arena, const char *body, size_t len, struct embed_reply *out, struct error *err)
{
    *out = (struct embed_reply){.model = "", .vectors = arena_array(arena, 1, sizeof(*out->vectors))};
    cJSON *json = json_parse(body, len, NULL);
    if (!json) {
        return unusable(err, "the server's answer is not JSON");
    }
    out->input_tokens = read_tokens(json, "inputTextTokenCount");
    bool ok = put_vector(arena, cJSON_GetObjectItemCaseSensitive(json, "embedding"), 0, out, err);
    cJSON_Delete(json);
    return ok;
}

bool embed_reply_read_cohere(struct arena *arena, const char *body, size_t len, size_t count,
    struct embed_reply *out, struct error *err)
{
    *out = (struct embed_reply){.model = ""};
    cJSON *json = json_parse(body, len, NULL);
    if (!json) {
        return unusable(err, "the server's answer is not JSON");
    }
    const cJSON *vectors = cJSON_GetObjectItemCaseSensitive(json, "embeddings");
    const cJSON *typed = cJSON_GetObjectItemCaseSensitive(vectors, "float");
    bool ok = read_vectors(arena, typed ? typed : vectors, NULL, count, out, err);
    cJSON_Delete(json);
    return ok;
}
