/* Any bytes as a model file whose hash is right, and what a model that was taken makes of texts. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/utf8.h"
#include "model/text_model_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void guess(const struct text_model *model, const char *text)
{
    struct arena *arena = arena_new(0);
    struct text_guess guess;
    text_model_guess(model, arena, text, &guess);
    must(guess.label < text_model_label_count(model) && guess.second < text_model_label_count(model));
    must(guess.label != guess.second && guess.confidence >= 0 && guess.confidence <= 1);
    arena_free(arena);
}

/* Magic, byte order and hash made right, so that mutations reach what comes after them. */
static void mend_head(uint8_t *bytes, size_t size)
{
    struct text_model_head *head = (struct text_model_head *)bytes;
    memcpy(head->magic, TEXT_MODEL_MAGIC, sizeof(head->magic));
    head->order = TEXT_MODEL_ORDER;
    text_model_seal(bytes, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err;
    uint8_t *bytes = malloc(size + 1);
    must(bytes != NULL);
    memcpy(bytes, data, size);
    bytes[size] = 0;
    struct arena *arena = arena_new(0);
    const char *text = utf8_repair(arena, (const char *)data, size);
    if (size >= sizeof(struct text_model_head)) {
        mend_head(bytes, size);
    }
    struct text_model *model = text_model_parse(bytes, size, &err);
    if (model != NULL) {
        guess(model, "");
        guess(model, "a refund of the invoice");
        guess(model, text);
        text_model_free(model);
    }
    arena_free(arena);
    free(bytes);
    return 0;
}
