/* Trains the model that is compiled in, while the program is built.
 *
 *     train_shipped EXAMPLES.csv OUT
 *
 * EXAMPLES.csv has the columns category and description. */
#include <stdio.h>
#include <string.h>

#include "cmd/import_file.h"
#include "model/text_model_train.h"

#define MOST_EXAMPLES 20000
#define MOST_MEMORY ((size_t)512 << 20)

static int fail(const char *path, const char *why)
{
    (void)fprintf(stderr, "train_shipped: %s: %s\n", path, why);
    return 1;
}

static const char *field(const struct import_record *record, const char *name)
{
    for (size_t i = 0; i < record->count; i++) {
        if (strcmp(record->names[i], name) == 0) {
            return record->values[i];
        }
    }
    return "";
}

static size_t read_examples(
    struct arena *arena, struct import_file *file, struct text_example *examples, struct error *err)
{
    struct import_record record;
    size_t count = 0;
    enum import_read read = import_file_read(file, arena, &record, err);
    while (read == IMPORT_RECORD && count < MOST_EXAMPLES) {
        examples[count++] =
            (struct text_example){.label = field(&record, "category"), .text = field(&record, "description")};
        read = import_file_read(file, arena, &record, err);
    }
    return read == IMPORT_END ? count : 0;
}

static int train(struct arena *arena, struct import_file *file, const char *path, const char *out)
{
    struct error err = {.text = "more examples than there is room for"};
    struct text_train_report report;
    struct buf model;
    buf_init(&model, TEXT_MODEL_MAX_BYTES);
    struct text_example *examples = arena_array(arena, MOST_EXAMPLES, sizeof *examples);
    size_t count = read_examples(arena, file, examples, &err);
    int code = 0;
    if (count == 0 || !text_model_train(arena, examples, count, &model, &report, &err)) {
        code = fail(path, err.text);
    } else {
        FILE *to = fopen(out, "wbe");
        bool written = to != NULL && fwrite(model.data, 1, model.len, to) == model.len;
        if ((to != NULL && fclose(to) != 0) || !written) {
            code = fail(out, "cannot be written");
        }
    }
    buf_fini(&model);
    return code;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        return fail("usage", "train_shipped EXAMPLES.csv OUT");
    }
    struct error err;
    struct import_file *file = import_file_open(argv[1], &err);
    if (file == NULL) {
        return fail(argv[1], err.text);
    }
    struct arena *arena = arena_new(MOST_MEMORY);
    int code = train(arena, file, argv[1], argv[2]);
    arena_free(arena);
    import_file_close(file);
    return code;
}
