/* Trains the local classifier on one file and measures it on others, for tools/eval: one JSON object.
 *
 *     eval_classify TRAIN.csv [TEST.csv [OUT_OF_SCOPE.csv]]
 *
 * The files have the columns text and category; out-of-scope texts have no category that counts. Without a
 * test file only what cross-validation says is told. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cmd/import_file.h"
#include "model/text_model_train.h"

#define MOST_MEMORY ((size_t)4 << 30)

struct set {
    struct text_example *examples;
    size_t count;
};

struct measured {
    double *confidence;
    bool *right;
    bool *known;
    double seconds;
};

static const char *field(const struct import_record *record, const char *name)
{
    for (size_t i = 0; i < record->count; i++) {
        if (strcmp(record->names[i], name) == 0) {
            return record->values[i];
        }
    }
    fprintf(stderr, "eval_classify: no column %s\n", name);
    exit(1);
}

static struct set read_set(struct arena *arena, const char *path)
{
    struct set set = {.examples = arena_array(arena, TEXT_TRAIN_MAX_EXAMPLES, sizeof(struct text_example))};
    struct error err = {0};
    struct import_record record;
    struct import_file *file = import_file_open(path, &err);
    enum import_read read = file != NULL ? import_file_read(file, arena, &record, &err) : IMPORT_BAD;
    for (; read == IMPORT_RECORD; read = import_file_read(file, arena, &record, &err)) {
        if (set.count == TEXT_TRAIN_MAX_EXAMPLES) {
            break;
        }
        set.examples[set.count++] =
            (struct text_example){.label = field(&record, "category"), .text = field(&record, "text")};
    }
    if (read != IMPORT_END) {
        fprintf(stderr, "eval_classify: %s: %s\n", path, err.text);
        exit(1);
    }
    import_file_close(file);
    return set;
}

static struct measured measure(struct arena *arena, const struct text_model *model, const struct set *set)
{
    struct measured m = {.confidence = arena_array(arena, set->count, sizeof *m.confidence),
        .right = arena_array(arena, set->count, sizeof *m.right),
        .known = arena_array(arena, set->count, sizeof *m.known)};
    int64_t started = clock_mono_us();
    for (size_t i = 0; i < set->count; i++) {
        struct arena *scratch = arena_new(0);
        struct text_guess guess;
        text_model_guess(model, scratch, set->examples[i].text, &guess);
        m.confidence[i] = guess.confidence;
        m.known[i] = guess.known;
        m.right[i] = strcmp(text_model_label(model, guess.label), set->examples[i].label) == 0;
        arena_free(scratch);
    }
    m.seconds = (double)(clock_mono_us() - started) / 1e6;
    return m;
}

/* The share of pairs of an in-scope and an out-of-scope text that their confidences put in order. */
static double auroc(const struct measured *in, size_t in_count, const struct measured *out, size_t out_count)
{
    double won = 0;
    for (size_t i = 0; i < in_count; i++) {
        for (size_t j = 0; j < out_count; j++) {
            won += in->confidence[i] > out->confidence[j]   ? 1
                   : in->confidence[i] < out->confidence[j] ? 0
                                                            : 0.5;
        }
    }
    return won / (double)(in_count * out_count);
}

static void tell_out_of_scope(struct arena *arena, const struct text_model *model, const struct set *test,
    const struct measured *in, const char *path)
{
    struct set set = read_set(arena, path);
    struct measured out = measure(arena, model, &set);
    size_t kept_right = 0, caught = 0;
    for (size_t i = 0; i < test->count; i++) {
        kept_right += in->right[i] && in->known[i];
    }
    for (size_t i = 0; i < set.count; i++) {
        caught += !out.known[i];
    }
    printf(",\"accuracy_at_threshold\":%.4f,\"out_of_scope\":%zu,\"out_of_scope_recall\":%.4f,\"auroc\":%.4f",
        (double)kept_right / (double)test->count, set.count, (double)caught / (double)set.count,
        auroc(in, test->count, &out, set.count));
}

static void tell_test(struct arena *arena, const struct text_model *model, int argc, char **argv)
{
    struct set test = read_set(arena, argv[2]);
    (void)measure(arena, model, &test); /* warms the caches */
    struct measured m = measure(arena, model, &test);
    size_t right = 0;
    for (size_t i = 0; i < test.count; i++) {
        right += m.right[i];
    }
    printf(",\"test\":%zu,\"accuracy\":%.4f,\"calibration_error\":%.4f,\"microseconds_a_text\":%.1f",
        test.count, (double)right / (double)test.count,
        text_train_calibration_error(m.confidence, m.right, test.count),
        m.seconds * 1e6 / (double)test.count);
    if (argc > 3) {
        tell_out_of_scope(arena, model, &test, &m, argv[3]);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 4) {
        fputs("usage: eval_classify TRAIN.csv [TEST.csv [OUT_OF_SCOPE.csv]]\n", stderr);
        return 2;
    }
    struct arena *arena = arena_new(MOST_MEMORY);
    struct set examples = read_set(arena, argv[1]);
    struct buf file;
    buf_init(&file, TEXT_MODEL_MAX_BYTES);
    struct text_train_report report;
    struct error err = {0};
    int64_t started = clock_mono_us();
    struct text_model *model =
        text_model_train(arena, examples.examples, examples.count, &file, &report, &err)
            ? text_model_parse(file.data, file.len, &err)
            : NULL;
    if (model == NULL) {
        fprintf(stderr, "eval_classify: %s: %s\n", argv[1], err.text);
        return 1;
    }
    printf("{\"examples\":%zu,\"categories\":%zu,\"training_seconds\":%.1f,\"model_bytes\":%zu,"
           "\"cross_validated_accuracy\":%.4f,\"cross_validated_calibration_error\":%.4f",
        report.examples, report.label_count, (double)(clock_mono_us() - started) / 1e6, file.len,
        report.accuracy, report.calibration_error);
    if (argc > 2) {
        tell_test(arena, model, argc, argv);
    }
    puts("}");
    text_model_free(model);
    buf_fini(&file);
    arena_free(arena);
    return 0;
}
