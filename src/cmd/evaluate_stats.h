/* Statistics of an evaluation: plain functions on numbers and names. */
#ifndef HELPDESK_CMD_EVALUATE_STATS_H
#define HELPDESK_CMD_EVALUATE_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include "base/arena.h"

/* Answers against labels. Row: the label, column: the answer. */
struct evaluate_table {
    const char **names; /* sorted; borrowed from what was counted */
    size_t count;
    size_t *cells; /* count * count */
    size_t total;
    size_t right;
};

/* Counts `labels[i]` against `answers[i]` for all i where both are not NULL. Everything made is in the arena.
 */
void evaluate_table_make(struct arena *arena, const char *const *labels, const char *const *answers,
    size_t count, struct evaluate_table *table);
size_t evaluate_table_labelled(const struct evaluate_table *table, size_t name); /* have this label */
size_t evaluate_table_answered(const struct evaluate_table *table, size_t name); /* got this answer */
size_t evaluate_table_hits(const struct evaluate_table *table, size_t name);     /* both */

/* The cell, off the diagonal, with the `rank`-th most tickets (0: the most; ties in the order of names).
 * False: no more. */
bool evaluate_table_worst(
    const struct evaluate_table *table, size_t rank, size_t *label, size_t *answer, size_t *tickets);

/* Expected calibration error over `bins` bins of equal width (Guo et al., "On Calibration of Modern Neural
 * Networks", 2017). 0 when count is 0. */
double evaluate_calibration(const double *confidence, const bool *right, size_t count, size_t bins);

/* 95 % confidence interval of a share (Wilson 1927). 0..1 when total is 0. */
void evaluate_interval(size_t right, size_t total, double *low, double *high);

/* Nearest rank: the least value that at least `share` (0..1] of all are not above. Sorts `values`; 0 when
 * there are none. */
double evaluate_percentile(double *values, size_t count, double share);

/* Chooses up to `wanted` items, in turns from each group (0..groups-1; a negative one is left out) and spread
 * evenly within it. Indices, ascending, into `chosen` (room for `wanted`); gives how many. The same input
 * gives the same choice. */
size_t evaluate_choose(
    const int *group, size_t count, size_t groups, size_t wanted, struct arena *arena, size_t *chosen);

#endif
