/* Trains text models with liblinear: vectors, folds, calibration, the file. */
#include "model/text_model_train.h"

#include <linear.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/utf8.h"
#include "model/ngram.h"
#include "model/text_model_file.h"

#define COST 1.0            /* of a wrong side of the margin; flat between 0.3 and 3 on several data sets */
#define PAIR_MIN_EXAMPLES 2 /* a pair of words that one example has is chance */
#define SCRATCH (64 * 1024 * 1024)
#define CALIBRATION_COST 1e4 /* hardly any regularisation: three numbers, many examples */
#define KEPT_RIGHT 0.99      /* share of the right guesses that the threshold lets through */
#define CALIBRATION_BINS 15

struct sample {
    struct feature_node *nodes; /* by index, from 1; ends with -1 */
    size_t label;
    size_t fold;
};

struct table_entry {
    uint32_t hash;
    uint32_t block;
    uint32_t examples; /* that have it */
    uint32_t feature;  /* index plus one; 0: left out */
};

struct trainer {
    struct arena *arena;
    const struct text_example *examples;
    size_t count;
    const char **labels; /* sorted */
    size_t label_count;
    struct sample *samples;
    struct table_entry *table; /* open addressing */
    size_t table_size;
    size_t table_used;
    uint32_t feature_count;
    float *idf; /* of each feature */
    float unseen_idf;
    float *scores; /* out of fold: examples times labels */
    double *confidence;
    bool *right;
    struct text_guess *guesses;
    float calibration[3];
    float threshold;
};

/* ---- labels and folds ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool check_example(const struct text_example *example, size_t at, struct error *err)
{
    const char *label = example->label;
    bool ok =
        strlen(label) <= TEXT_MODEL_LABEL_BYTES && utf8_valid(label, strlen(label)) && !utf8_blank(label);
    return ok ||
           error_set(err, ERROR_REJECT, "bad_label",
               "example %zu: the category must be a text of 1 to %d bytes", at + 1, TEXT_MODEL_LABEL_BYTES);
}

static bool find_labels(struct trainer *trainer, struct error *err)
{
    const char **all = arena_array(trainer->arena, trainer->count, sizeof *all);
    for (size_t i = 0; i < trainer->count; i++) {
        if (!check_example(&trainer->examples[i], i, err)) {
            return false;
        }
        all[i] = trainer->examples[i].label;
    }
    qsort(all, trainer->count, sizeof *all, by_text);
    size_t found = 0;
    for (size_t i = 0; i < trainer->count; i++) {
        if (found == 0 || strcmp(all[found - 1], all[i]) != 0) {
            all[found++] = all[i];
        }
    }
    trainer->labels = all;
    trainer->label_count = found;
    if (found > TEXT_MODEL_MAX_LABELS) {
        return error_set(
            err, ERROR_REJECT, "too_much_data", "%zu categories; at most %d", found, TEXT_MODEL_MAX_LABELS);
    }
    return found >= 2 || error_set(err, ERROR_REJECT, "too_little_data",
                             "the examples name %zu categories; at least two are needed", found);
}

/* Round robin within each label, so that every fold has its share of each. */
static bool deal_folds(struct trainer *trainer, struct error *err)
{
    size_t *seen = arena_array(trainer->arena, trainer->label_count, sizeof *seen);
    for (size_t i = 0; i < trainer->count; i++) {
        const char **label = bsearch(&trainer->examples[i].label, trainer->labels, trainer->label_count,
            sizeof *trainer->labels, by_text);
        trainer->samples[i].label = (size_t)(label - trainer->labels);
        trainer->samples[i].fold = seen[trainer->samples[i].label]++ % TEXT_TRAIN_FOLDS;
    }
    for (size_t i = 0; i < trainer->label_count; i++) {
        if (seen[i] < TEXT_TRAIN_MIN_EXAMPLES) {
            return error_set(err, ERROR_REJECT, "too_little_data",
                "category \"%s\" has %zu examples; each needs at least %d", trainer->labels[i], seen[i],
                TEXT_TRAIN_MIN_EXAMPLES);
        }
    }
    return true;
}

/* ---- features ---- */

static struct table_entry *table_find(const struct trainer *trainer, uint32_t hash)
{
    size_t at = hash & (trainer->table_size - 1);
    while (trainer->table[at].examples != 0 && trainer->table[at].hash != hash) {
        at = (at + 1) & (trainer->table_size - 1);
    }
    return &trainer->table[at];
}

static void table_grow(struct trainer *trainer)
{
    struct table_entry *old = trainer->table;
    size_t old_size = trainer->table_size;
    trainer->table_size = old_size > 0 ? old_size * 2 : 4096;
    trainer->table = xcalloc(trainer->table_size, sizeof *trainer->table);
    for (size_t i = 0; i < old_size; i++) {
        if (old[i].examples != 0) {
            *table_find(trainer, old[i].hash) = old[i];
        }
    }
    free(old);
}

static void table_count(struct trainer *trainer, const struct ngram *ngram)
{
    if (trainer->table_used * 2 >= trainer->table_size) {
        table_grow(trainer);
    }
    struct table_entry *entry = table_find(trainer, ngram->hash);
    if (entry->examples == 0) {
        *entry = (struct table_entry){.hash = ngram->hash, .block = ngram->block};
        trainer->table_used++;
    }
    entry->examples++;
}

/* Inverse document frequency, damped by a root: in short texts common words tell questions apart too. */
static float idf_of(const struct trainer *trainer, uint32_t examples)
{
    return sqrtf(logf((1 + (float)trainer->count) / (1 + (float)examples)) + 1);
}

/* Which features the model has, and their inverse document frequency. */
static bool find_features(struct trainer *trainer, struct error *err)
{
    for (size_t i = 0; i < trainer->count; i++) {
        struct arena *scratch = arena_new(SCRATCH);
        size_t count;
        const struct ngram *ngrams = ngram_read(scratch, trainer->examples[i].text, &count);
        for (size_t j = 0; j < count; j++) {
            table_count(trainer, &ngrams[j]);
        }
        arena_free(scratch);
    }
    trainer->idf = xcalloc(trainer->table_used + 1, sizeof *trainer->idf);
    for (size_t i = 0; i < trainer->table_size; i++) {
        struct table_entry *entry = &trainer->table[i];
        if (entry->examples >= (entry->block == NGRAM_PAIR ? PAIR_MIN_EXAMPLES : 1)) {
            trainer->idf[trainer->feature_count] = idf_of(trainer, entry->examples);
            entry->feature = ++trainer->feature_count;
        }
    }
    trainer->unseen_idf = idf_of(trainer, 0);
    if (trainer->feature_count > TEXT_MODEL_MAX_FEATURES) {
        return error_set(err, ERROR_REJECT, "too_much_data", "the texts have %u features; at most %u",
            trainer->feature_count, TEXT_MODEL_MAX_FEATURES);
    }
    return trainer->feature_count > 0 ||
           error_set(err, ERROR_REJECT, "too_little_data", "the texts have no words");
}

static int by_index(const void *a, const void *b)
{
    const struct feature_node *left = a, *right = b;
    return left->index < right->index ? -1 : left->index > right->index;
}

static struct feature_node *make_nodes(const struct trainer *trainer, const char *text)
{
    struct arena *scratch = arena_new(SCRATCH);
    size_t count, used = 0;
    struct ngram *ngrams = ngram_read(scratch, text, &count);
    float *idf = arena_array(scratch, count, sizeof *idf);
    uint32_t *features = arena_array(scratch, count, sizeof *features);
    for (size_t i = 0; i < count; i++) {
        const struct table_entry *entry = table_find(trainer, ngrams[i].hash);
        features[i] = entry->feature;
        idf[i] = entry->feature > 0 ? trainer->idf[entry->feature - 1] : trainer->unseen_idf;
    }
    text_model_weigh(ngrams, idf, count);
    struct feature_node *nodes = xcalloc(count + 2, sizeof *nodes);
    for (size_t i = 0; i < count; i++) {
        if (features[i] > 0) {
            nodes[used++] = (struct feature_node){.index = (int)features[i], .value = ngrams[i].weight};
        }
    }
    qsort(nodes, used, sizeof *nodes, by_index);
    nodes[used++] =
        (struct feature_node){.index = (int)trainer->feature_count + 1, .value = 1}; /* the bias */
    nodes[used] = (struct feature_node){.index = -1};
    arena_free(scratch);
    return nodes;
}

/* ---- liblinear ---- */

static void be_silent(const char *text)
{
    (void)text;
}

/* Trains on all samples that are not in `fold`. Free with free_and_destroy_model. */
static struct model *train_without(const struct trainer *trainer, size_t fold)
{
    struct feature_node **x = xcalloc(trainer->count, sizeof(struct feature_node *));
    double *y = xcalloc(trainer->count, sizeof *y);
    int used = 0;
    for (size_t i = 0; i < trainer->count; i++) {
        if (trainer->samples[i].fold != fold) {
            x[used] = trainer->samples[i].nodes;
            y[used++] = (double)trainer->samples[i].label;
        }
    }
    const struct problem problem = {
        .l = used, .n = (int)trainer->feature_count + 1, .y = y, .x = x, .bias = 1};
    const struct parameter parameter = {.solver_type = L2R_L2LOSS_SVC_DUAL, .eps = 0.1, .C = COST, .p = 0.1};
    set_print_string_function(be_silent);
    srand(1); /* the order in which samples are visited: the same each time */
    struct model *model = train(&problem, &parameter);
    free(x);
    free(y);
    return model;
}

/* The weight of `feature` for each of our labels. Of two labels liblinear keeps one column: the other's is
 * its opposite. */
static void weights_of(const struct model *model, size_t feature, float *out)
{
    size_t columns = model->nr_class == 2 ? 1 : (size_t)model->nr_class;
    const double *row = model->w + feature * columns;
    if (columns == 1) {
        out[model->label[0]] = (float)row[0];
        out[model->label[1]] = (float)-row[0];
        return;
    }
    for (size_t i = 0; i < columns; i++) {
        out[model->label[i]] = (float)row[i];
    }
}

static void score_fold(struct trainer *trainer, size_t fold)
{
    struct model *model = train_without(trainer, fold);
    float *row = xcalloc(trainer->label_count, sizeof *row);
    for (size_t i = 0; i < trainer->count; i++) {
        if (trainer->samples[i].fold != fold) {
            continue;
        }
        float *scores = trainer->scores + i * trainer->label_count;
        for (const struct feature_node *node = trainer->samples[i].nodes; node->index > 0; node++) {
            weights_of(model, (size_t)node->index - 1, row);
            for (size_t k = 0; k < trainer->label_count; k++) {
                scores[k] += row[k] * (float)node->value;
            }
        }
    }
    free(row);
    free_and_destroy_model(&model);
}

/* ---- calibration ---- */

static double lead_of(const struct trainer *trainer, size_t at, double *best)
{
    const float *scores = trainer->scores + at * trainer->label_count;
    *best = scores[trainer->guesses[at].label];
    return *best - scores[trainer->guesses[at].second];
}

/* Logistic regression of "is right" on the best score and its lead. When all is right, or nothing, two made
 * cases of the other kind keep the probability off its ends. */
static void fit_calibration(struct trainer *trainer)
{
    size_t rows = trainer->count + 2;
    struct feature_node(*nodes)[4] = xcalloc(rows, sizeof *nodes);
    struct feature_node **x = xcalloc(rows, sizeof(struct feature_node *));
    double *y = xcalloc(rows, sizeof *y);
    for (size_t i = 0; i < rows; i++) {
        double best = 0, lead = 0;
        if (i < trainer->count) {
            lead = lead_of(trainer, i, &best);
            y[i] = trainer->right[i];
        } else {
            y[i] = (double)(i - trainer->count);
        }
        nodes[i][0] = (struct feature_node){.index = 1, .value = 1};
        nodes[i][1] = (struct feature_node){.index = 2, .value = best};
        nodes[i][2] = (struct feature_node){.index = 3, .value = lead};
        nodes[i][3] = (struct feature_node){.index = -1};
        x[i] = nodes[i];
    }
    const struct problem problem = {.l = (int)rows, .n = 3, .y = y, .x = x, .bias = -1};
    const struct parameter parameter = {.solver_type = L2R_LR, .eps = 1e-4, .C = CALIBRATION_COST, .p = 0.1};
    struct model *model = train(&problem, &parameter);
    for (size_t i = 0; i < 3; i++) {
        trainer->calibration[i] = (float)(model->label[0] == 1 ? model->w[i] : -model->w[i]);
    }
    free_and_destroy_model(&model);
    free(y);
    free(x);
    free(nodes);
}

static int by_number(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

/* So that KEPT_RIGHT of the right guesses reach it: what lies below is seldom of any label. */
static void choose_threshold(struct trainer *trainer)
{
    double *kept = xcalloc(trainer->count, sizeof *kept);
    size_t count = 0;
    for (size_t i = 0; i < trainer->count; i++) {
        if (trainer->right[i]) {
            kept[count++] = trainer->confidence[i];
        }
    }
    qsort(kept, count, sizeof *kept, by_number);
    trainer->threshold = count > 0 ? (float)kept[(size_t)((double)count * (1 - KEPT_RIGHT))] : 1;
    free(kept);
}

static void calibrate(struct trainer *trainer)
{
    for (size_t fold = 0; fold < TEXT_TRAIN_FOLDS; fold++) {
        score_fold(trainer, fold);
    }
    for (size_t i = 0; i < trainer->count; i++) {
        text_model_best(
            trainer->scores + i * trainer->label_count, trainer->label_count, &trainer->guesses[i]);
        trainer->right[i] = trainer->guesses[i].label == trainer->samples[i].label;
    }
    fit_calibration(trainer);
    for (size_t i = 0; i < trainer->count; i++) {
        double best, lead = lead_of(trainer, i, &best);
        double z = trainer->calibration[0] + trainer->calibration[1] * best + trainer->calibration[2] * lead;
        trainer->confidence[i] = 1 / (1 + exp(-z));
    }
    choose_threshold(trainer);
}

double text_train_calibration_error(const double *confidence, const bool *right, size_t count)
{
    double sum[CALIBRATION_BINS] = {0}, hits[CALIBRATION_BINS] = {0}, error = 0;
    for (size_t i = 0; i < count; i++) {
        size_t bin = (size_t)(confidence[i] * CALIBRATION_BINS);
        bin = bin < CALIBRATION_BINS ? bin : CALIBRATION_BINS - 1;
        sum[bin] += confidence[i];
        hits[bin] += right[i];
    }
    for (size_t bin = 0; bin < CALIBRATION_BINS; bin++) {
        error += fabs(sum[bin] - hits[bin]);
    }
    return count > 0 ? error / (double)count : 0;
}

static void fill_report(const struct trainer *trainer, struct text_train_report *report)
{
    *report = (struct text_train_report){.examples = trainer->count,
        .threshold = trainer->threshold,
        .label_count = trainer->label_count,
        .labels = arena_array(trainer->arena, trainer->label_count, sizeof *report->labels)};
    size_t right = 0, known = 0, known_right = 0;
    for (size_t i = 0; i < trainer->label_count; i++) {
        report->labels[i].label = trainer->labels[i];
    }
    for (size_t i = 0; i < trainer->count; i++) {
        bool is_known = trainer->confidence[i] >= trainer->threshold;
        right += trainer->right[i];
        known += is_known;
        known_right += is_known && trainer->right[i];
        report->labels[trainer->samples[i].label].examples++;
        report->labels[trainer->samples[i].label].right += trainer->right[i];
        report->labels[trainer->guesses[i].label].guesses++;
    }
    report->accuracy = (double)right / (double)trainer->count;
    report->known = (double)known / (double)trainer->count;
    report->known_accuracy = known > 0 ? (double)known_right / (double)known : 0;
    report->calibration_error =
        text_train_calibration_error(trainer->confidence, trainer->right, trainer->count);
}

/* ---- the file ---- */

static void put_labels(const struct trainer *trainer, struct buf *out, struct text_model_head *head)
{
    size_t start = out->len;
    for (size_t i = 0; i < trainer->label_count; i++) {
        buf_append(out, trainer->labels[i], strlen(trainer->labels[i]) + 1);
    }
    while ((out->len - start) % 16 != 0) {
        buf_putc(out, 0);
    }
    head->label_bytes = (uint32_t)(out->len - start);
}

static void put_slots(const struct trainer *trainer, struct buf *out, uint32_t slot_count)
{
    struct text_model_slot *slots = xcalloc(slot_count, sizeof *slots);
    for (size_t i = 0; i < trainer->table_size; i++) {
        const struct table_entry *entry = &trainer->table[i];
        if (entry->feature > 0) {
            size_t at = entry->hash & (slot_count - 1);
            while (slots[at].feature != 0) {
                at = (at + 1) & (slot_count - 1);
            }
            slots[at] = (struct text_model_slot){.hash = entry->hash, .feature = entry->feature};
        }
    }
    buf_append(out, slots, slot_count * sizeof *slots);
    free(slots);
}

/* A feature's weights as bytes and the scale that makes numbers of them again. */
static float quantise(const float *weights, int8_t *out, size_t count)
{
    float most = 0;
    for (size_t i = 0; i < count; i++) {
        most = fmaxf(most, fabsf(weights[i]));
    }
    for (size_t i = 0; i < count; i++) {
        out[i] = (int8_t)(most > 0 ? lrintf(weights[i] / most * 127) : 0);
    }
    return most / 127;
}

static void put_weights(
    const struct trainer *trainer, const struct model *model, struct buf *out, size_t stride)
{
    float *row = xcalloc(stride, sizeof *row);
    int8_t *bytes = xcalloc((size_t)trainer->feature_count + 1, stride);
    for (size_t i = 0; i < trainer->feature_count; i++) {
        weights_of(model, i, row);
        const struct text_model_feature feature = {
            .idf = trainer->idf[i], .scale = quantise(row, bytes + i * stride, stride)};
        buf_append(out, &feature, sizeof feature);
    }
    weights_of(model, trainer->feature_count, row);
    buf_append(out, row, stride * sizeof *row);
    buf_append(out, bytes, trainer->feature_count * stride);
    free(bytes);
    free(row);
}

static bool put_model(const struct trainer *trainer, struct buf *out, struct error *err)
{
    struct text_model_head head = {.magic = TEXT_MODEL_MAGIC,
        .order = TEXT_MODEL_ORDER,
        .labels = (uint32_t)trainer->label_count,
        .features = trainer->feature_count,
        .slots = 64,
        .threshold = trainer->threshold,
        .unseen_idf = trainer->unseen_idf};
    memcpy(head.calibration, trainer->calibration, sizeof head.calibration);
    head.stride = (head.labels + TEXT_MODEL_STRIDE - 1) / TEXT_MODEL_STRIDE * TEXT_MODEL_STRIDE;
    while (head.slots < 2 * head.features) {
        head.slots *= 2;
    }
    size_t start = out->len;
    struct model *model = train_without(trainer, TEXT_TRAIN_FOLDS);
    buf_append(out, &head, sizeof head);
    put_labels(trainer, out, &head);
    put_slots(trainer, out, head.slots);
    put_weights(trainer, model, out, head.stride);
    free_and_destroy_model(&model);
    if (out->failed) {
        return error_set(
            err, ERROR_REJECT, "too_much_data", "the model would be larger than %zu bytes", out->max);
    }
    memcpy(out->data + start, &head, sizeof head);
    text_model_seal(out->data + start, out->len - start);
    return true;
}

bool text_model_train(struct arena *arena, const struct text_example *examples, size_t count, struct buf *out,
    struct text_train_report *report, struct error *err)
{
    if (count > TEXT_TRAIN_MAX_EXAMPLES) {
        return error_set(
            err, ERROR_REJECT, "too_much_data", "%zu examples; at most %d", count, TEXT_TRAIN_MAX_EXAMPLES);
    }
    struct trainer trainer = {.arena = arena, .examples = examples, .count = count};
    trainer.samples = xcalloc(count, sizeof *trainer.samples);
    bool ok = find_labels(&trainer, err) && deal_folds(&trainer, err) && find_features(&trainer, err);
    if (ok) {
        for (size_t i = 0; i < count; i++) {
            trainer.samples[i].nodes = make_nodes(&trainer, examples[i].text);
        }
        trainer.scores = xcalloc(count * trainer.label_count, sizeof *trainer.scores);
        trainer.confidence = xcalloc(count, sizeof *trainer.confidence);
        trainer.right = xcalloc(count, sizeof *trainer.right);
        trainer.guesses = xcalloc(count, sizeof *trainer.guesses);
        calibrate(&trainer);
        fill_report(&trainer, report);
        ok = put_model(&trainer, out, err);
    }
    for (size_t i = 0; i < count; i++) {
        free(trainer.samples[i].nodes);
    }
    free(trainer.samples);
    free(trainer.table);
    free(trainer.idf);
    free(trainer.scores);
    free(trainer.confidence);
    free(trainer.right);
    free(trainer.guesses);
    return ok;
}
