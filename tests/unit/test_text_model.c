/* The local classifier's parts: features, training, calibration, the file and what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "model/classify_local.h"
#include "model/ngram.h"
#include "model/text_model_file.h"
#include "model/text_model_train.h"

#define EACH 12

struct fixture {
    struct arena *arena;
    struct text_example examples[3 * EACH];
    struct buf file; /* of the model that they make */
    struct text_train_report report;
};

static void make_examples(struct fixture *f)
{
    static const char *const labels[] = {"money", "parcel", "schlüssel"};
    static const char *const words[][4] = {{"invoice", "refund", "payment", "receipt"},
        {"parcel", "delivery", "courier", "shipment"},
        {"passwort", "anmeldung", "benutzerkonto", "kennwort"}};
    for (size_t i = 0; i < 3 * EACH; i++) {
        char text[100];
        const char *word = words[i % 3][i / 3 % 4];
        if (i / 12 == 0)
            snprintf(text, sizeof(text), "Where is my %s?", word);
        else if (i / 12 == 1)
            snprintf(text, sizeof(text), "The %s is wrong since %zu days", word, i);
        else
            snprintf(text, sizeof(text), "About the %s, please", word);
        f->examples[i] = (struct text_example){.label = labels[i % 3], .text = arena_strdup(f->arena, text)};
    }
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error err = {0};
    f->arena = arena_new(0);
    make_examples(f);
    buf_init(&f->file, 1 << 26);
    if (!text_model_train(f->arena, f->examples, 3 * EACH, &f->file, &f->report, &err))
        fail_msg("%s", err.text);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    buf_fini(&f->file);
    arena_free(f->arena);
    free(f);
    return 0;
}

/* ---- features ---- */

static const struct ngram *find(const struct ngram *ngrams, size_t count, uint32_t hash)
{
    for (size_t i = 0; i < count; i++) {
        if (ngrams[i].hash == hash)
            return &ngrams[i];
    }
    return NULL;
}

static bool same_features(struct arena *arena, const char *left, const char *right)
{
    size_t left_count, right_count;
    const struct ngram *a = ngram_read(arena, left, &left_count), *b = ngram_read(arena, right, &right_count);
    bool same = left_count == right_count;
    for (size_t i = 0; same && i < left_count; i++) {
        const struct ngram *other = find(b, right_count, a[i].hash);
        same = other != NULL && other->count == a[i].count && other->block == a[i].block;
    }
    return same;
}

static void test_features_are_folded(void **state)
{
    struct fixture *f = *state;
    assert_true(same_features(f->arena, "Café ÉLÉGANT, straße", "cafe elegant  STRASSE!"));
    assert_false(same_features(f->arena, "dog bites man", "man bites dog")); /* order counts */
    assert_false(same_features(f->arena, "refund", "refunds"));
    size_t count;
    (void)ngram_read(f->arena, "", &count);
    assert_true(count <= 1); /* the two ends that meet */
    (void)ngram_read(f->arena, "?!", &count);
    assert_true(count <= 1);
}

static void test_features_are_counted(void **state)
{
    struct fixture *f = *state;
    size_t once_count, twice_count;
    const struct ngram *once = ngram_read(f->arena, "ping", &once_count);
    const struct ngram *twice = ngram_read(f->arena, "ping ping", &twice_count);
    size_t doubled = 0;
    for (size_t i = 0; i < once_count; i++) {
        const struct ngram *found = find(twice, twice_count, once[i].hash);
        if (found != NULL && found->count == 2) {
            assert_true(fabsf(found->weight - (1 + logf(2))) < 1e-6);
            doubled++;
        }
    }
    assert_true(doubled > 8); /* the word and its letters */
}

/* A word without end, and more words than are read. */
static void test_features_are_bounded(void **state)
{
    struct fixture *f = *state;
    size_t len = 200000, count;
    char *text = malloc(len + 1);
    memset(text, 'x', len);
    text[len] = 0;
    (void)ngram_read(f->arena, text, &count);
    assert_true(count < 400);
    for (size_t i = 0; i < len; i++)
        text[i] = i % 7 == 6 ? ' ' : (char)('a' + i * 31 % 23);
    (void)ngram_read(f->arena, text, &count);
    assert_true(count < NGRAM_MAX_WORDS * 60);
    free(text);
}

/* ---- training and guessing ---- */

static void test_what_was_learned_is_known_again(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct text_model *model = text_model_parse(f->file.data, f->file.len, &err);
    assert_non_null(model);
    assert_int_equal(text_model_label_count(model), 3);
    static const struct {
        const char *text, *label;
    } cases[] = {{"my payment", "money"}, {"COURIER!", "parcel"}, {"Das Kennwort bitte", "schlüssel"},
        {"the deliveries", "parcel"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct text_guess guess;
        text_model_guess(model, f->arena, cases[i].text, &guess);
        assert_string_equal(text_model_label(model, guess.label), cases[i].label);
        assert_true(guess.second != guess.label && guess.second < 3);
        assert_true(guess.confidence > 0.5 && guess.confidence <= 1 && guess.known);
    }
    struct text_guess nothing;
    text_model_guess(model, f->arena, "zzqx 999", &nothing);
    assert_false(nothing.known);
    assert_true(nothing.confidence < text_model_threshold(model));
    text_model_free(model);
}

static void test_report_adds_up(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(f->report.examples, 3 * EACH);
    assert_int_equal(f->report.label_count, 3);
    size_t right = 0, guesses = 0;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(f->report.labels[i].examples, EACH);
        right += f->report.labels[i].right;
        guesses += f->report.labels[i].guesses;
    }
    assert_int_equal(guesses, 3 * EACH);
    assert_true(fabs(f->report.accuracy - (double)right / (3 * EACH)) < 1e-9);
    assert_true(f->report.accuracy > 0.8);
}

static void test_same_examples_same_bytes(void **state)
{
    struct fixture *f = *state;
    struct buf again;
    struct text_train_report report;
    struct error err;
    buf_init(&again, 1 << 26);
    srand(77);
    assert_true(text_model_train(f->arena, f->examples, 3 * EACH, &again, &report, &err));
    assert_int_equal(again.len, f->file.len);
    assert_memory_equal(again.data, f->file.data, again.len);
    buf_fini(&again);
}

static void test_too_little_data(void **state)
{
    struct fixture *f = *state;
    struct text_train_report report;
    struct error err;
    struct buf out;
    buf_init(&out, 1 << 26);
    assert_false(text_model_train(f->arena, f->examples, 12, &out, &report, &err)); /* four of each */
    assert_string_equal(err.code, "too_little_data");
    assert_non_null(strstr(err.text, "\"money\" has 4"));
    for (size_t i = 0; i < 3 * EACH; i++)
        f->examples[i].label = "money";
    assert_false(text_model_train(f->arena, f->examples, 3 * EACH, &out, &report, &err));
    assert_non_null(strstr(err.text, "at least two"));
    f->examples[7].label = " ";
    assert_false(text_model_train(f->arena, f->examples, 3 * EACH, &out, &report, &err));
    assert_string_equal(err.code, "bad_label");
    assert_non_null(strstr(err.text, "example 8"));
    buf_fini(&out);
}

static void test_two_labels(void **state)
{
    struct fixture *f = *state;
    struct text_train_report report;
    struct error err;
    struct text_guess guess;
    struct buf out;
    size_t count = 0;
    for (size_t i = 0; i < 3 * EACH; i++) {
        if (i % 3 != 1)
            f->examples[count++] = f->examples[i];
    }
    buf_init(&out, 1 << 26);
    assert_true(text_model_train(f->arena, f->examples, count, &out, &report, &err));
    struct text_model *model = text_model_parse(out.data, out.len, &err);
    assert_non_null(model);
    text_model_guess(model, f->arena, "a receipt", &guess);
    assert_string_equal(text_model_label(model, guess.label), "money");
    text_model_guess(model, f->arena, "mein Passwort", &guess);
    assert_string_equal(text_model_label(model, guess.label), "schlüssel");
    text_model_free(model);
    buf_fini(&out);
}

static void test_calibration_error(void **state)
{
    (void)state;
    const double sure[] = {0.95, 0.95, 0.95, 0.95, 0.25, 0.25, 0.25, 0.25};
    const bool as_said[] = {1, 1, 1, 1, 0, 0, 1, 0}, all_wrong[] = {0, 0, 0, 0, 0, 0, 0, 0};
    assert_true(fabs(text_train_calibration_error(sure, as_said, 8) - 0.025) < 1e-9);
    assert_true(fabs(text_train_calibration_error(sure, all_wrong, 8) - 0.6) < 1e-9);
    const double certain = 1;
    const bool right = true;
    assert_true(text_train_calibration_error(&certain, &right, 1) < 1e-9); /* the last bin takes 1 */
}

static void test_best_two(void **state)
{
    (void)state;
    struct text_guess guess;
    text_model_best((const float[]){-1, -3, 2, 1}, 4, &guess);
    assert_true(guess.label == 2 && guess.second == 3);
    text_model_best((const float[]){5, 1, 2}, 3, &guess);
    assert_true(guess.label == 0 && guess.second == 2);
    text_model_best((const float[]){1, 2}, 2, &guess);
    assert_true(guess.label == 1 && guess.second == 0);
}

/* ---- the file ---- */

static void refuse(struct fixture *f, size_t len, const char *why)
{
    struct error err = {0};
    struct text_model *model = text_model_parse(f->file.data, len, &err);
    if (model != NULL)
        fail_msg("taken, though: %s", why);
    assert_string_equal(err.code, "model_invalid");
    if (strstr(err.text, why) == NULL)
        fail_msg("said: %s, expected: %s", err.text, why);
}

static void test_changed_files_are_refused(void **state)
{
    struct fixture *f = *state;
    refuse(f, 0, "another version");
    refuse(f, 40, "another version");
    refuse(f, f->file.len - 1, "hash");
    f->file.data[f->file.len / 2] ^= 1;
    refuse(f, f->file.len, "hash");
    f->file.data[f->file.len / 2] ^= 1;
    f->file.data[7] = '9';
    refuse(f, f->file.len, "another version");
}

/* Files whose hash is right, but made by somebody who means harm. */
static void test_hostile_files_are_refused(void **state)
{
    struct fixture *f = *state;
    struct text_model_head *head = (struct text_model_head *)f->file.data, good = *head;
    size_t labels = sizeof(good), slots = labels + good.label_bytes;
    size_t features = slots + good.slots * sizeof(struct text_model_slot);
    const struct {
        size_t at;
        uint32_t value;
        const char *why;
    } cases[] = {
        {offsetof(struct text_model_head, order), 0x04030201, "byte order"},
        {offsetof(struct text_model_head, labels), 1, "number of labels"},
        {offsetof(struct text_model_head, labels), 100000, "number of labels"},
        {offsetof(struct text_model_head, labels), 4, "label"},
        {offsetof(struct text_model_head, label_bytes), 0xFFFFFFF0, "length of the labels"},
        {offsetof(struct text_model_head, features), 0, "number of features"},
        {offsetof(struct text_model_head, features), 0xFFFFFFFF, "number of features"},
        {offsetof(struct text_model_head, slots), good.slots - 1, "number of features"},
        {offsetof(struct text_model_head, slots), good.slots * 2, "shorter or longer"},
        {offsetof(struct text_model_head, stride), 32, "number of labels"},
        {offsetof(struct text_model_head, threshold), 0x7FC00000, "out of range"},   /* NaN */
        {offsetof(struct text_model_head, calibration), 0x7F800000, "out of range"}, /* infinity */
        {labels, 0xFFFFFFFF, "a label is no text"},
        {labels, 0, "a label is no text"},
        {features, 0x7FC00000, "a weight is out of range"},
        {features + 4, 0x7F7FFFFF, "a weight is out of range"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t kept;
        memcpy(&kept, f->file.data + cases[i].at, 4);
        memcpy(f->file.data + cases[i].at, &cases[i].value, 4);
        text_model_seal(f->file.data, f->file.len);
        refuse(f, f->file.len, cases[i].why);
        memcpy(f->file.data + cases[i].at, &kept, 4);
    }
    struct text_model_slot *table = (struct text_model_slot *)(f->file.data + slots);
    for (size_t i = 0; i < good.slots; i++) {
        if (table[i].feature == 0)
            table[i].feature = 1; /* a full table would be searched for ever */
    }
    text_model_seal(f->file.data, f->file.len);
    refuse(f, f->file.len, "table of features");
}

static void test_load_names_the_file(void **state)
{
    struct fixture *f = *state;
    char path[] = "/tmp/hd-model-XXXXXX";
    struct error err;
    int file = mkstemp(path);
    assert_true(write(file, f->file.data, f->file.len) == (ssize_t)f->file.len);
    struct text_model *model = text_model_load(path, &err);
    assert_non_null(model);
    assert_int_equal(strlen(text_model_version(model)), 12);
    text_model_free(model);
    assert_int_equal(ftruncate(file, 1000), 0);
    assert_null(text_model_load(path, &err));
    assert_non_null(strstr(err.text, path));
    close(file);
    unlink(path);
    assert_null(text_model_load(path, &err));
    assert_string_equal(err.code, "model_unreadable");
}

/* ---- the driver ---- */

static void keep(void *arg, const struct classify_result *result, const struct error *err)
{
    assert_null(err);
    *(struct classify_result *)arg = *result;
}

static struct classify_result classify(struct fixture *f, struct classify_model *model, const char *text)
{
    const struct msg_ticket ticket = {.subject = "", .description = text};
    const struct classify_request request = {.arena = f->arena, .ticket = &ticket};
    struct classify_result result = {0};
    classify_start(model, &request, keep, &result);
    return result;
}

static void test_shipped_model_knows_its_languages(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct classify_model *model = classify_local_new(taxonomy_load("", &err), "", &err);
    assert_non_null(model);
    static const struct {
        const char *text, *category;
    } cases[] = {{"Je voudrais être remboursé du double prélèvement sur ma carte", "billing"},
        {"No puedo iniciar sesión con mi contraseña", "account"},
        {"Le colis n'est toujours pas livré, où est le suivi ?", "shipping"},
        {"La aplicación se cierra con un error al abrir", "technical"},
        {"Mein Paket ist nicht angekommen", "shipping"},
        {"I was charged twice on my credit card", "billing"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct classify_result got = classify(f, model, cases[i].text);
        if (strcmp(got.classification.category, cases[i].category) != 0)
            fail_msg("%s: %s", cases[i].text, got.classification.reasoning_snippet);
        assert_true(strncmp(got.model, "local/", 6) == 0);
    }
    struct classify_result strange = classify(f, model, "xyzzy plugh qwrt");
    assert_string_equal(strange.classification.category, "other");
    assert_true(strange.classification.confidence < 0.5);
    classify_free(model);
}

static void test_model_must_fit_the_taxonomy(void **state)
{
    struct fixture *f = *state;
    char path[] = "/tmp/hd-model-XXXXXX";
    struct error err;
    int file = mkstemp(path);
    assert_true(write(file, f->file.data, f->file.len) == (ssize_t)f->file.len);
    close(file);
    assert_null(classify_local_new(taxonomy_load("", &err), path, &err));
    assert_string_equal(err.code, "model_mismatch");
    assert_non_null(strstr(err.text, "\"money\""));
    static const char own[] =
        "{\"fallback\":\"money\",\"categories\":["
        "{\"category\":\"money\",\"department\":\"A\",\"description\":\"d\"},"
        "{\"category\":\"parcel\",\"department\":\"B\",\"description\":\"d\"},"
        "{\"category\":\"schl\\u00fcssel\",\"department\":\"C\",\"description\":\"d\"}]}";
    struct classify_model *model = classify_local_new(taxonomy_parse(own, strlen(own), &err), path, &err);
    assert_non_null(model);
    struct classify_result got = classify(f, model, "the courier");
    assert_string_equal(got.classification.category, "parcel");
    assert_string_equal(got.classification.department, "B");
    assert_null(strstr(got.classification.reasoning_snippet, "like none"));
    got = classify(f, model, "zzqx 999"); /* of no category: the rules' fallback, and not sure of it */
    assert_string_equal(got.classification.category, "money");
    assert_non_null(strstr(got.classification.reasoning_snippet, "like none of the examples"));
    assert_true(got.classification.confidence <= CLASSIFY_NO_EVIDENCE);
    classify_free(model);
    unlink(path);
    model = classify_local_new(taxonomy_parse(own, strlen(own), &err), "", &err);
    assert_non_null(model); /* the shipped model has other categories: rules alone */
    got = classify(f, model, "the courier");
    assert_string_equal(got.model, "offline-rules/1");
    classify_free(model);
}

#define WITH_MODEL(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MODEL(test_features_are_folded),
        WITH_MODEL(test_features_are_counted),
        WITH_MODEL(test_features_are_bounded),
        WITH_MODEL(test_what_was_learned_is_known_again),
        WITH_MODEL(test_report_adds_up),
        WITH_MODEL(test_same_examples_same_bytes),
        WITH_MODEL(test_too_little_data),
        WITH_MODEL(test_two_labels),
        cmocka_unit_test(test_calibration_error),
        cmocka_unit_test(test_best_two),
        WITH_MODEL(test_changed_files_are_refused),
        WITH_MODEL(test_hostile_files_are_refused),
        WITH_MODEL(test_load_names_the_file),
        WITH_MODEL(test_shipped_model_knows_its_languages),
        WITH_MODEL(test_model_must_fit_the_taxonomy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
