/* Statistics of an evaluation. */
#include "cmd/evaluate_stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- tables ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static size_t keep_distinct(const char **names, size_t count)
{
    size_t kept = 0;
    qsort(names, count, sizeof(*names), by_text);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || strcmp(names[kept - 1], names[i]) != 0) {
            names[kept++] = names[i];
        }
    }
    return kept;
}

static size_t find_name(const struct evaluate_table *table, const char *name)
{
    const char **found = bsearch(&name, table->names, table->count, sizeof(*table->names), by_text);
    return (size_t)(found - table->names);
}

void evaluate_table_make(struct arena *arena, const char *const *labels, const char *const *answers,
    size_t count, struct evaluate_table *table)
{
    *table = (struct evaluate_table){.names = arena_array(arena, 2 * count + 1, sizeof(*table->names))};
    size_t names = 0;
    for (size_t i = 0; i < count; i++) {
        if (labels[i] != NULL && answers[i] != NULL) {
            table->names[names++] = labels[i];
            table->names[names++] = answers[i];
        }
    }
    table->count = keep_distinct(table->names, names);
    table->cells = arena_array(arena, table->count * table->count + 1, sizeof(*table->cells));
    for (size_t i = 0; i < count; i++) {
        if (labels[i] != NULL && answers[i] != NULL) {
            size_t label = find_name(table, labels[i]);
            size_t answer = find_name(table, answers[i]);
            table->cells[label * table->count + answer]++;
            table->total++;
            table->right += label == answer;
        }
    }
}

size_t evaluate_table_labelled(const struct evaluate_table *table, size_t name)
{
    size_t sum = 0;
    for (size_t i = 0; i < table->count; i++) {
        sum += table->cells[name * table->count + i];
    }
    return sum;
}

size_t evaluate_table_answered(const struct evaluate_table *table, size_t name)
{
    size_t sum = 0;
    for (size_t i = 0; i < table->count; i++) {
        sum += table->cells[i * table->count + name];
    }
    return sum;
}

size_t evaluate_table_hits(const struct evaluate_table *table, size_t name)
{
    return table->cells[name * table->count + name];
}

/* Whether cell `a` comes before cell `b` among the worst. */
static bool is_worse(const struct evaluate_table *table, size_t a, size_t b)
{
    return table->cells[a] > table->cells[b] || (table->cells[a] == table->cells[b] && a < b);
}

bool evaluate_table_worst(
    const struct evaluate_table *table, size_t rank, size_t *label, size_t *answer, size_t *tickets)
{
    size_t cells = table->count * table->count, last = cells, best = cells;
    for (size_t turn = 0; turn <= rank; turn++) {
        best = cells;
        for (size_t cell = 0; cell < cells; cell++) {
            bool wrong = table->cells[cell] > 0 && cell / table->count != cell % table->count;
            if (wrong && (last == cells || is_worse(table, last, cell)) &&
                (best == cells || is_worse(table, cell, best))) {
                best = cell;
            }
        }
        if (best == cells) {
            return false;
        }
        last = best;
    }
    *label = best / table->count;
    *answer = best % table->count;
    *tickets = table->cells[best];
    return true;
}

/* ---- numbers ---- */

static size_t bin_of(double confidence, size_t bins)
{
    double place = confidence * (double)bins;
    size_t bin = place > 0 ? (size_t)place : 0;
    return bin < bins ? bin : bins - 1;
}

double evaluate_calibration(const double *confidence, const bool *right, size_t count, size_t bins)
{
    double error = 0;
    for (size_t bin = 0; bin < bins && count > 0; bin++) {
        double gap = 0; /* of the sums, which is the mean's times the bin's tickets */
        for (size_t i = 0; i < count; i++) {
            if (bin_of(confidence[i], bins) == bin) {
                gap += confidence[i] - (right[i] ? 1 : 0);
            }
        }
        error += fabs(gap) / (double)count;
    }
    return error;
}

void evaluate_interval(size_t right, size_t total, double *low, double *high)
{
    const double z = 1.959964;
    if (total == 0) {
        *low = 0;
        *high = 1;
        return;
    }
    double n = (double)total, p = (double)right / n;
    double middle = (p + z * z / (2 * n)) / (1 + z * z / n);
    double half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n);
    *low = fmax(0, middle - half);
    *high = fmin(1, middle + half);
}

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double evaluate_percentile(double *values, size_t count, double share)
{
    if (count == 0) {
        return 0;
    }
    qsort(values, count, sizeof(*values), by_number);
    double rank = ceil(share * (double)count);
    size_t at = rank < 1 ? 0 : (size_t)rank - 1;
    return values[at < count ? at : count - 1];
}

/* ---- choosing ---- */

/* How many of each group: one in turn until enough or all are taken. */
static void share_out(const size_t *sizes, size_t groups, size_t wanted, size_t *shares)
{
    bool more = true;
    while (wanted > 0 && more) {
        more = false;
        for (size_t i = 0; i < groups && wanted > 0; i++) {
            if (shares[i] < sizes[i]) {
                shares[i]++;
                wanted--;
                more = true;
            }
        }
    }
}

size_t evaluate_choose(
    const int *group, size_t count, size_t groups, size_t wanted, struct arena *arena, size_t *chosen)
{
    size_t *sizes = arena_array(arena, groups, sizeof(*sizes));
    size_t *shares = arena_array(arena, groups, sizeof(*shares));
    size_t *seen = arena_array(arena, groups, sizeof(*seen));
    size_t made = 0;
    for (size_t i = 0; i < count; i++) {
        if (group[i] >= 0) {
            sizes[group[i]]++;
        }
    }
    share_out(sizes, groups, wanted, shares);
    for (size_t i = 0; i < count; i++) {
        if (group[i] >= 0) {
            /* the k-th of n is taken when k*share/n reaches another whole number */
            size_t g = (size_t)group[i], k = seen[g]++;
            if (k * shares[g] / sizes[g] != (k + 1) * shares[g] / sizes[g]) {
                chosen[made++] = i;
            }
        }
    }
    return made;
}
