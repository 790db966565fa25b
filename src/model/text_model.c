/* Loads a text model, trusting nothing in its file, and guesses labels with it. */
#include "model/text_model.h"

#include <errno.h>
#include <math.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/utf8.h"
#include "model/ngram.h"
#include "model/text_model_file.h"

struct text_model {
    struct text_model_head head;
    char version[13];
    const char *labels[TEXT_MODEL_MAX_LABELS];
    const struct text_model_slot *slots;
    const struct text_model_feature *features;
    const float *bias;
    const int8_t *weights;
    char *bytes; /* owned: what the others point into */
};

_Static_assert(sizeof(struct text_model_head) == 88, "a head without gaps");

static bool invalid(struct error *err, const char *what)
{
    return error_set(err, ERROR_FATAL, "model_invalid", "text model: %s", what);
}

static void hash_content(const void *bytes, size_t len, uint8_t out[TEXT_MODEL_HASH_BYTES])
{
    size_t start = offsetof(struct text_model_head, order);
    SHA256((const unsigned char *)bytes + start, len - start, out);
}

void text_model_seal(void *bytes, size_t len)
{
    hash_content(bytes, len, (uint8_t *)bytes + offsetof(struct text_model_head, hash));
}

/* ---- the file ---- */

/* Small enough that no sum of them overflows; false for what is no number. */
static bool is_sane(float value)
{
    return value >= -1e6f && value <= 1e6f;
}

/* The length that a file with this head has; 0 when its numbers are wrong, as `err` says. */
static uint64_t file_length(const struct text_model_head *head, struct error *err)
{
    uint32_t stride = (head->labels + TEXT_MODEL_STRIDE - 1) / TEXT_MODEL_STRIDE * TEXT_MODEL_STRIDE;
    if (head->labels < 2 || head->labels > TEXT_MODEL_MAX_LABELS || head->stride != stride) {
        invalid(err, "wrong number of labels");
        return 0;
    }
    if (head->label_bytes % 16 != 0 || head->label_bytes > head->labels * (TEXT_MODEL_LABEL_BYTES + 1) + 16) {
        invalid(err, "wrong length of the labels");
        return 0;
    }
    if (head->features == 0 || head->features > TEXT_MODEL_MAX_FEATURES ||
        (head->slots & (head->slots - 1)) != 0 || head->slots < 2 * head->features ||
        head->slots > 8 * TEXT_MODEL_MAX_FEATURES) {
        invalid(err, "wrong number of features");
        return 0;
    }
    uint64_t of_features = sizeof(struct text_model_feature) + head->stride;
    return sizeof *head + head->label_bytes + (uint64_t)head->slots * sizeof(struct text_model_slot) +
           head->features * of_features + head->stride * sizeof(float);
}

static bool check_head(const struct text_model_head *head, size_t len, struct error *err)
{
    if (head->order != TEXT_MODEL_ORDER) {
        return invalid(err, "made on a machine of another byte order");
    }
    uint64_t whole = file_length(head, err);
    if (whole != len) {
        return whole > 0 ? invalid(err, "shorter or longer than it says") : error_false();
    }
    bool sane = is_sane(head->threshold) && is_sane(head->unseen_idf) && head->unseen_idf >= 0;
    for (size_t i = 0; i < 3; i++) {
        sane = sane && is_sane(head->calibration[i]);
    }
    return (sane && head->zero == 0) || invalid(err, "a number of the head is out of range");
}

static bool read_labels(struct text_model *model, const char *text, struct error *err)
{
    const char *end = text + model->head.label_bytes;
    for (size_t i = 0; i < model->head.labels; i++) {
        const char *stop = text < end ? memchr(text, '\0', (size_t)(end - text)) : NULL;
        if (stop == NULL || stop - text > TEXT_MODEL_LABEL_BYTES ||
            !utf8_valid(text, (size_t)(stop - text)) || utf8_blank(text)) {
            return invalid(err, "a label is no text");
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(model->labels[j], text) == 0) {
                return invalid(err, "two labels are the same");
            }
        }
        model->labels[i] = text;
        text = stop + 1;
    }
    return true;
}

/* Every feature in exactly one slot, so that half of them are empty and a search ends. */
static bool check_slots(const struct text_model *model, struct error *err)
{
    uint32_t features = model->head.features, used = 0;
    uint8_t *seen = xcalloc(features, 1);
    bool ok = true;
    for (size_t i = 0; i < model->head.slots && ok; i++) {
        uint32_t feature = model->slots[i].feature;
        ok = feature == 0 || (feature <= features && seen[feature - 1]++ == 0);
        used += feature != 0;
    }
    free(seen);
    return (ok && used == features) || invalid(err, "the table of features is broken");
}

static bool check_numbers(const struct text_model *model, struct error *err)
{
    bool ok = true;
    for (size_t i = 0; i < model->head.features; i++) {
        const struct text_model_feature *feature = &model->features[i];
        ok = ok && is_sane(feature->idf) && feature->idf >= 0 && is_sane(feature->scale);
    }
    for (size_t i = 0; i < model->head.stride; i++) {
        ok = ok && is_sane(model->bias[i]);
    }
    return ok || invalid(err, "a weight is out of range");
}

static bool read_model(struct text_model *model, size_t len, struct error *err)
{
    uint8_t hash[TEXT_MODEL_HASH_BYTES];
    struct text_model_head *head = &model->head;
    memcpy(head, model->bytes, len < sizeof *head ? len : sizeof *head);
    if (len < sizeof *head || memcmp(head->magic, TEXT_MODEL_MAGIC, sizeof head->magic) != 0) {
        return invalid(err, "is none, or of another version; train it again");
    }
    hash_content(model->bytes, len, hash);
    if (memcmp(hash, head->hash, sizeof hash) != 0) {
        return invalid(err, "the content is not what its hash says; it was changed or cut short");
    }
    if (!check_head(head, len, err)) {
        return false;
    }
    for (size_t i = 0; i < 6; i++) {
        (void)snprintf(model->version + 2 * i, 3, "%02x", head->hash[i]);
    }
    const char *at = model->bytes + sizeof *head + head->label_bytes;
    model->slots = (const void *)at;
    at += head->slots * sizeof *model->slots;
    model->features = (const void *)at;
    at += head->features * sizeof *model->features;
    model->bias = (const void *)at;
    model->weights = (const void *)(at + head->stride * sizeof *model->bias);
    return read_labels(model, model->bytes + sizeof *head, err) && check_slots(model, err) &&
           check_numbers(model, err);
}

/* Takes `bytes`. */
static struct text_model *take_bytes(char *bytes, size_t len, struct error *err)
{
    struct text_model *model = xcalloc(1, sizeof *model);
    model->bytes = bytes;
    if (!read_model(model, len, err)) {
        text_model_free(model);
        return NULL;
    }
    return model;
}

struct text_model *text_model_parse(const void *bytes, size_t len, struct error *err)
{
    char *copy = xmalloc(len);
    memcpy(copy, bytes, len);
    return take_bytes(copy, len, err);
}

struct text_model *text_model_load(const char *path, struct error *err)
{
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        error_set(err, ERROR_FATAL, "model_unreadable", "text model: %s: %s", path, strerror(errno));
        return NULL;
    }
    size_t len = 0, capacity = 1024 * 1024, got;
    char *bytes = xmalloc(capacity);
    while ((got = fread(bytes + len, 1, capacity - len, file)) > 0) {
        len += got;
        if (len == capacity && capacity < 2 * (size_t)TEXT_MODEL_MAX_BYTES) {
            capacity *= 2;
            bytes = xrealloc(bytes, capacity);
        }
    }
    bool unread = ferror(file) != 0;
    (void)fclose(file);
    struct error why = {0};
    struct text_model *model = NULL;
    if (unread || len > TEXT_MODEL_MAX_BYTES) {
        free(bytes);
        error_set(err, ERROR_FATAL, "model_unreadable", "text model: %s: %s", path,
            unread ? "cannot be read" : "is over 512 MiB");
        return NULL;
    }
    model = take_bytes(bytes, len, &why);
    if (model == NULL) {
        error_set(err, ERROR_FATAL, why.code, "%s: %s", path, why.text);
    }
    return model;
}

void text_model_free(struct text_model *model)
{
    if (model != NULL) {
        free(model->bytes);
        free(model);
    }
}

size_t text_model_label_count(const struct text_model *model)
{
    return model->head.labels;
}

const char *text_model_label(const struct text_model *model, size_t label)
{
    return model->labels[label];
}

const char *text_model_version(const struct text_model *model)
{
    return model->version;
}

double text_model_threshold(const struct text_model *model)
{
    return model->head.threshold;
}

/* ---- guessing ---- */

/* What each block counts for; pairs say the most, found by cross-validation. */
static const float block_lengths[NGRAM_BLOCKS] = {[NGRAM_WORD] = 1, [NGRAM_PAIR] = 1.5, [NGRAM_LETTERS] = 1};

void text_model_weigh(struct ngram *ngrams, const float *idf, size_t count)
{
    float length[NGRAM_BLOCKS] = {0};
    for (size_t i = 0; i < count; i++) {
        ngrams[i].weight *= idf[i];
        length[ngrams[i].block] += ngrams[i].weight * ngrams[i].weight;
    }
    for (size_t b = 0; b < NGRAM_BLOCKS; b++) {
        length[b] = length[b] > 0 ? block_lengths[b] / sqrtf(length[b] * NGRAM_BLOCKS) : 0;
    }
    for (size_t i = 0; i < count; i++) {
        ngrams[i].weight *= length[ngrams[i].block];
    }
}

void text_model_best(const float *scores, size_t count, struct text_guess *guess)
{
    guess->label = scores[1] > scores[0];
    guess->second = 1 - guess->label;
    for (size_t i = 2; i < count; i++) {
        if (scores[i] > scores[guess->label]) {
            guess->second = guess->label;
            guess->label = i;
        } else if (scores[i] > scores[guess->second]) {
            guess->second = i;
        }
    }
}

/* The feature's index plus one; 0 when no example had it. */
static uint32_t find_feature(const struct text_model *model, uint32_t hash)
{
    size_t mask = model->head.slots - 1, slot = hash & mask;
    while (model->slots[slot].feature != 0 && model->slots[slot].hash != hash) {
        slot = (slot + 1) & mask;
    }
    return model->slots[slot].feature;
}

/* sums += factor * weights, TEXT_MODEL_STRIDE at a time, which compilers turn into vector instructions. */
typedef float lanes_float __attribute__((vector_size(TEXT_MODEL_STRIDE * sizeof(float))));
typedef int8_t lanes_byte __attribute__((vector_size(TEXT_MODEL_STRIDE)));

static void add_row(float *sums, const int8_t *weights, float factor, size_t stride)
{
    for (size_t i = 0; i < stride; i += TEXT_MODEL_STRIDE) {
        lanes_byte row;
        lanes_float sum;
        memcpy(&row, weights + i, sizeof row);
        memcpy(&sum, sums + i, sizeof sum);
        sum += factor * __builtin_convertvector(row, lanes_float);
        memcpy(sums + i, &sum, sizeof sum);
    }
}

void text_model_guess(
    const struct text_model *model, struct arena *arena, const char *text, struct text_guess *guess)
{
    const struct text_model_head *head = &model->head;
    size_t count;
    struct ngram *ngrams = ngram_read(arena, text, &count);
    uint32_t *features = arena_array(arena, count, sizeof *features);
    float *idf = arena_array(arena, count, sizeof *idf);
    for (size_t i = 0; i < count; i++) {
        features[i] = find_feature(model, ngrams[i].hash);
        idf[i] = features[i] > 0 ? model->features[features[i] - 1].idf : head->unseen_idf;
        if (features[i] > 0) { /* needed soon, and far away */
            __builtin_prefetch(model->weights + (size_t)(features[i] - 1) * head->stride);
        }
    }
    text_model_weigh(ngrams, idf, count);
    float *scores = arena_array(arena, head->stride, sizeof *scores);
    memcpy(scores, model->bias, head->stride * sizeof *scores);
    for (size_t i = 0; i < count; i++) {
        if (features[i] > 0) {
            size_t feature = features[i] - 1;
            add_row(scores, model->weights + feature * head->stride,
                ngrams[i].weight * model->features[feature].scale, head->stride);
        }
    }
    text_model_best(scores, head->labels, guess);
    double best = scores[guess->label], lead = best - scores[guess->second];
    double z = head->calibration[0] + head->calibration[1] * best + head->calibration[2] * lead;
    guess->confidence = 1 / (1 + exp(-z));
    guess->known = guess->confidence >= head->threshold;
}
