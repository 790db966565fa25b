/* The arguments of `helpdesk dlq`, and which letters they mean. */
#ifndef HELPDESK_CMD_DLQ_ARGS_H
#define HELPDESK_CMD_DLQ_ARGS_H

#include <stdbool.h>
#include "cmd/dlq_letter.h"
#include "stages/stage.h"

#define DLQ_PLACES_MAX 1000

enum dlq_verb { DLQ_LIST, DLQ_SHOW, DLQ_REPLAY, DLQ_DISCARD };

/* A letter named by its place in the topic. */
struct dlq_place {
    int32_t partition;
    int64_t offset;
};

/* A letter must match all that is given. Texts are borrowed from argv. */
struct dlq_filter {
    const char *error_class;
    const char *key; /* what the key starts with */
    const char *tenant, *ticket, *correlation;
    int64_t since, until; /* when it died: since <= t < until; ms since the epoch */
    struct dlq_place *places;
    size_t place_count; /* 0: any place */
    bool any;           /* nothing is given */
};

struct dlq_args {
    enum dlq_verb verb;
    const struct stage *stage; /* NULL: all of them (list) */
    struct dlq_filter filter;
    int64_t limit; /* most letters */
    bool all, json, dry_run, yes;
    const char *reason; /* NULL: none given */
};

extern const struct stage *const dlq_stages[]; /* ends with NULL */

/* Takes the command's argv; `now` in ms since the epoch is what "2h" counts from. -1: go on, and
 * dlq_args_fini later; else the code to exit with, all said. */
int dlq_args_read(struct dlq_args *args, int argc, char **argv, int64_t now);
void dlq_args_fini(struct dlq_args *args);

/* Whether the letter at this place can be meant: no other partition need be read. */
bool dlq_filter_has_partition(const struct dlq_filter *filter, int32_t partition);
/* Identifies the letter when ids are asked for. */
bool dlq_filter_match(const struct dlq_filter *filter, struct arena *arena, struct dlq_letter *letter);

#endif
