/* `helpdesk train`: a local classifier from labelled tickets of a file, of corrected answers, or of both. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "cmd/cmd.h"
#include "cmd/database.h"
#include "cmd/import_file.h"
#include "db/db.h"
#include "model/taxonomy.h"
#include "model/text_model_train.h"

#define NAME "train"
#define DEFAULT_OUT "helpdesk.model"
#define MOST_MEMORY ((size_t)4 << 30)
#define MAX_TOLD 100   /* bad records that are named; the rest is counted */
#define MAX_TEXT 24000 /* bytes of a ticket that are read, as the classifier does */
#define FEEDBACK_BATCH 2000

struct train {
    const char *from; /* NULL: none */
    const char *out;
    bool feedback;
    bool help;
    struct arena *arena;
    struct text_example *examples;
    size_t count;
    size_t unlabelled;
    size_t bad;
};

static bool too_many(struct error *err)
{
    return error_set(err, ERROR_REJECT, "too_much_data", "more than %d tickets; train on the latest of them",
        TEXT_TRAIN_MAX_EXAMPLES);
}

/* False: there is no room. A ticket without a category is counted, one without a text is no ticket. */
static bool add_example(struct train *train, const char *subject, const char *description,
    const char *category, struct error *err)
{
    if (category == NULL || utf8_blank(category)) {
        train->unlabelled++;
        return true;
    }
    if (train->count == TEXT_TRAIN_MAX_EXAMPLES) {
        return too_many(err);
    }
    const char *title = subject != NULL ? subject : "";
    train->examples[train->count++] = (struct text_example){.label = utf8_trim(train->arena, category),
        .text = arena_printf(
            train->arena, "%s\n%.*s", title, (int)utf8_clip(description, MAX_TEXT), description)};
    return true;
}

/* ---- a file ---- */

static const char *field(const struct import_record *record, const char *name, bool *there)
{
    for (size_t i = 0; i < record->count; i++) {
        if (strcmp(record->names[i], name) == 0) {
            *there = true;
            return record->values[i];
        }
    }
    *there = false;
    return NULL;
}

static void tell_bad(struct train *train, size_t line, const char *why)
{
    train->bad++;
    if (train->bad <= MAX_TOLD) {
        (void)fprintf(stderr, "%s:%zu: %s\n", train->from, line, why);
    }
}

static bool take_record(struct train *train, const struct import_record *record, struct error *err)
{
    bool has_subject, has_description, has_category;
    const char *subject = field(record, "subject", &has_subject);
    const char *description = field(record, "description", &has_description);
    const char *category = field(record, "category", &has_category);
    if (!has_description || !has_category) {
        return error_set(err, ERROR_REJECT, "bad_header",
            "%s:%zu: no column %s; a ticket has a description "
            "and a category, and may have a subject",
            train->from, record->line, has_description ? "category" : "description");
    }
    if (description == NULL || utf8_blank(description)) {
        tell_bad(train, record->line, "description: must not be empty");
        return true;
    }
    return add_example(train, subject, description, category, err);
}

static bool read_file(struct train *train, struct error *err)
{
    struct import_file *file = import_file_open(train->from, err);
    if (file == NULL) {
        return false;
    }
    bool ok = true;
    enum import_read read = IMPORT_RECORD;
    while (ok && read != IMPORT_END) {
        struct import_record record;
        struct error why;
        read = import_file_read(file, train->arena, &record, &why);
        if (read == IMPORT_BAD) {
            tell_bad(train, record.line, why.text);
        } else if (read == IMPORT_RECORD) {
            ok = take_record(train, &record, err);
        }
    }
    import_file_close(file);
    return ok;
}

/* ---- corrected answers ---- */

/* The last word on each ticket, a batch after the ticket $2. */
static const char feedback_sql[] =
    "SELECT t.ticket_id, t.subject, t.description, f.corrected_category FROM ("
    "SELECT DISTINCT ON (ticket_id) ticket_id, corrected_category FROM feedback "
    "WHERE tenant = $1 AND ticket_id > $2 AND corrected_category IS NOT NULL "
    "ORDER BY ticket_id, received_at DESC, feedback_id DESC) f "
    "JOIN tickets t ON t.tenant = $1 AND t.ticket_id = f.ticket_id ORDER BY t.ticket_id LIMIT $3::int";

/* The batch's size, or -1. `after` becomes the last ticket's id. */
static int read_batch(struct train *train, struct db_session *session, const char *tenant, const char **after,
    struct error *err)
{
    char most[16];
    (void)snprintf(most, sizeof most, "%d", FEEDBACK_BATCH);
    const struct db_query query = {.sql = feedback_sql, .param_count = 3, .params = {tenant, *after, most}};
    struct db_result *result = db_session_query(session, &query, err);
    if (result == NULL) {
        return -1;
    }
    int rows = db_rows(result);
    for (int i = 0; i < rows; i++) {
        struct arena *arena = train->arena;
        if (!add_example(train, arena_strdup(arena, db_value(result, i, 1)),
                arena_strdup(arena, db_value(result, i, 2)), db_value(result, i, 3), err)) {
            rows = -1;
        } else {
            *after = arena_strdup(arena, db_value(result, i, 0));
        }
    }
    db_result_free(result);
    return rows;
}

static bool read_feedback(struct train *train, const struct conf *conf, struct error *err)
{
    struct db_session *session = database_session(conf, err);
    if (session == NULL) {
        return false;
    }
    const char *after = "";
    int rows = FEEDBACK_BATCH;
    while (rows == FEEDBACK_BATCH) {
        rows = read_batch(train, session, conf_text(conf, CONF_TENANT), &after, err);
    }
    db_session_close(session);
    return rows >= 0;
}

/* ---- what came of it ---- */

/* Complete or not at all: a classifier that starts meanwhile reads the old one. */
static bool write_model(const char *path, const struct buf *model, struct error *err)
{
    struct buf part;
    buf_init(&part, 64 * 1024);
    buf_printf(&part, "%s.part", path);
    int file = open(buf_text(&part), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool ok = file >= 0;
    for (size_t at = 0; ok && at < model->len;) {
        ssize_t wrote = write(file, model->data + at, model->len - at);
        ok = wrote > 0;
        at += ok ? (size_t)wrote : 0;
    }
    ok = ok && fsync(file) == 0;
    int why = errno;
    if (file >= 0 && close(file) != 0 && ok) {
        ok = false;
        why = errno;
    }
    if (ok && rename(buf_text(&part), path) != 0) {
        ok = false;
        why = errno;
    }
    if (!ok) {
        (void)unlink(buf_text(&part));
        error_set(err, ERROR_FATAL, "cannot_write", "%s: %s", path, strerror(why));
    }
    buf_fini(&part);
    return ok;
}

static void print_report(const struct train *train, const struct text_train_report *report)
{
    struct buf out;
    buf_init(&out, 1024 * 1024);
    buf_printf(&out, "%-32s %9s %10s %10s\n", "category", "tickets", "precision", "recall");
    for (size_t i = 0; i < report->label_count; i++) {
        const struct text_train_label *label = &report->labels[i];
        double precision = label->guesses > 0 ? (double)label->right / (double)label->guesses : 0;
        buf_printf(&out, "%-32s %9zu %8.1f %% %8.1f %%\n", label->label, label->examples, 100 * precision,
            100 * (double)label->right / (double)label->examples);
    }
    buf_printf(&out,
        "\n%zu tickets; without a category: %zu, bad: %zu\n"
        "accuracy             %.1f %%, each ticket guessed by a model that had not seen it (%d folds)\n"
        "calibration error    %.3f (ECE, 15 bins)\n"
        "out of scope         below a confidence of %.2f: %.1f %% of these tickets; accuracy of the others "
        "%.1f %%\n",
        report->examples, train->unlabelled, train->bad, 100 * report->accuracy, TEXT_TRAIN_FOLDS,
        report->calibration_error, report->threshold, 100 * (1 - report->known),
        100 * report->known_accuracy);
    cmd_print(buf_text(&out));
    buf_fini(&out);
}

/* A classifier refuses a model whose categories its taxonomy lacks: better said now. */
static void tell_unknown(const struct conf *conf, const struct text_train_report *report)
{
    struct error err;
    struct taxonomy *taxonomy = taxonomy_load(conf_text(conf, CONF_CLASSIFIER_TAXONOMY), &err);
    if (taxonomy == NULL) {
        (void)fprintf(stderr, "%s\n", err.text);
        return;
    }
    for (size_t i = 0; i < report->label_count; i++) {
        size_t at = 0;
        while (at < taxonomy->category_count &&
               strcmp(taxonomy->categories[at].name, report->labels[i].label) != 0) {
            at++;
        }
        if (at == taxonomy->category_count) {
            (void)fprintf(stderr,
                "note: category \"%s\" is not in the taxonomy (classifier.taxonomy); add it there before "
                "this "
                "model is used\n",
                report->labels[i].label);
        }
    }
    taxonomy_free(taxonomy);
}

static bool train_model(struct train *train, const struct conf *conf, struct error *err)
{
    struct text_train_report report;
    struct buf model;
    if (train->from != NULL && !read_file(train, err)) {
        return false;
    }
    if (train->feedback && !read_feedback(train, conf, err)) {
        return false;
    }
    if (train->count == 0) {
        return error_set(err, ERROR_REJECT, "too_little_data", "no ticket has a category%s",
            train->feedback ? "; feedback counts when its corrected.category is set" : "");
    }
    buf_init(&model, TEXT_MODEL_MAX_BYTES);
    bool ok = text_model_train(train->arena, train->examples, train->count, &model, &report, err) &&
              write_model(train->out, &model, err);
    if (ok) {
        print_report(train, &report);
        tell_unknown(conf, &report);
        (void)printf(
            "model                %s, %zu KiB; use it with classifier.model\n", train->out, model.len / 1024);
    }
    buf_fini(&model);
    return ok;
}

/* ---- the command ---- */

static int help(void)
{
    cmd_print(
        "helpdesk train [--from FILE] [--feedback] [--out FILE]\n\n"
        "--from FILE   tickets as CSV in UTF-8 whose first line names the columns, or one JSON object a "
        "line when its\n"
        "              name ends with .jsonl: description, category, and subject where there is one\n"
        "--feedback    tickets whose category a person corrected (POST /tickets/{id}/feedback), from "
        "the database\n"
        "--out FILE    where the model goes (" DEFAULT_OUT ")\n\n"
        "Both sources may be given. Each category needs at least five tickets. A classifier uses the "
        "model when\n"
        "classifier.model names the file; its categories must be in the taxonomy.\n");
    return 0;
}

static bool read_args(struct train *train, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char **value = NULL;
        if (strcmp(argv[i], "--feedback") == 0) {
            train->feedback = true;
        } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            train->help = true;
        } else if (strcmp(argv[i], "--from") == 0) {
            value = &train->from;
        } else if (strcmp(argv[i], "--out") == 0) {
            value = &train->out;
        } else {
            return false;
        }
        if (value != NULL) {
            if (i + 1 == argc) {
                return false;
            }
            *value = argv[++i];
        }
    }
    return train->help || train->from != NULL || train->feedback;
}

int cmd_train(int argc, char **argv)
{
    struct train train = {.out = DEFAULT_OUT};
    if (!read_args(&train, argc, argv)) {
        return cmd_fail(2, NAME, "say --from FILE, --feedback or both, and --out FILE; --help tells more");
    }
    if (train.help) {
        return help();
    }
    struct conf *conf = cmd_load_conf();
    if (conf == NULL) {
        return 2;
    }
    train.arena = arena_new(MOST_MEMORY);
    train.examples = xcalloc(TEXT_TRAIN_MAX_EXAMPLES, sizeof *train.examples);
    struct error err = {0};
    bool ok = train_model(&train, conf, &err);
    int code = ok ? train.bad > 0 : cmd_fail(1, NAME, "%s", err.text);
    free(train.examples);
    arena_free(train.arena);
    conf_free(conf);
    return code;
}
