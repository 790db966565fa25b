/* The parts of `helpdesk evaluate`: the tickets of the file (evaluate_tickets.c), the database that lives as
 * long as the command (evaluate_db.c), the stages over all tickets (evaluate_run.c), what came out
 * (evaluate_report.c) and its forms (evaluate_text.c, evaluate_html.c, evaluate_json.c). Private to cmd. */
#ifndef HELPDESK_CMD_EVALUATE_H
#define HELPDESK_CMD_EVALUATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/buf.h"
#include "cmd/evaluate_stats.h"
#include "cmd/term.h"
#include "conf/conf.h"
#include "msg/codec.h"

enum evaluate_label { EVALUATE_CATEGORY, EVALUATE_PRIORITY, EVALUATE_DEPARTMENT, EVALUATE_SENTIMENT };
#define EVALUATE_LABELS 4
extern const char *const evaluate_label_names[EVALUATE_LABELS];

/* What becomes of a ticket, the best first. */
enum evaluate_outcome {
    EVALUATE_READY,     /* the draft could go out */
    EVALUATE_HELD,      /* a draft without a flag that a person should still look at */
    EVALUATE_FLAGGED,   /* a draft with a safety flag */
    EVALUATE_ESCALATED, /* handed to a person */
    EVALUATE_FALLBACK,  /* the guardrails failed */
    EVALUATE_FAILED,    /* no answer */
};
#define EVALUATE_OUTCOMES 6
extern const char *const evaluate_outcome_names[EVALUATE_OUTCOMES];

struct evaluate_ticket {
    size_t line;                                           /* of the file */
    const char *id;                                        /* as in the file; "" when it has none */
    const char *subject, *description, *customer, *locale; /* locale: or NULL */
    const char *labels[EVALUATE_LABELS];                   /* folded; NULL: none */
    bool has_created_at;
    int64_t created_at;
    /* What came out: */
    const char *answers[EVALUATE_LABELS]; /* folded; NULL: not classified */
    double confidence;
    const char *current; /* category by the current settings, folded; NULL: not asked */
    enum evaluate_outcome outcome;
    bool degraded;
    const char **reasons; /* why it is not ready, or less than it could be, or failed */
    size_t reason_count;
    bool ran[MSG_STEP_COUNT];
    double latency_ms[MSG_STEP_COUNT];
    const char *models[MSG_STEP_COUNT];
    int64_t input_tokens, output_tokens;
    double cost_usd;
    const char *draft; /* NULL: none */
    const char **citations;
    size_t citation_count;
    const char **flags;
    size_t flag_count;
};

#define EVALUATE_DRAFTS 20
#define EVALUATE_MAX_TICKETS 100000
#define EVALUATE_MAX_NOTES 100 /* of the file that are named; the rest is counted */

/* Everything lives in the arena until the command ends. */
struct evaluate {
    struct arena *arena;
    const char *file, *folder, *candidate; /* candidate: or NULL */
    size_t limit;
    double per_day;     /* 0: from the file's dates */
    const char *budget; /* USD for the models of this evaluation; NULL: as the settings say for a day */
    struct conf *current;
    struct conf *conf; /* the settings that are evaluated; `current` without a candidate */
    struct evaluate_ticket *tickets;
    size_t ticket_count, room;
    const char **notes; /* about the file: ignored columns, bad rows by line */
    size_t note_count;
    size_t bad_rows;
    bool labelled[EVALUATE_LABELS]; /* the file has such a column */
    int documents, documents_failed;
    int in_flight;
    double seconds;
};

/* Reads the file. False: `err`. */
bool evaluate_tickets_read(struct evaluate *evaluate, struct error *err);

/* A database of the server of `url`, under a name of its own, migrated; its address is in `arena`. NULL:
 * `err`. */
struct evaluate_db;
struct evaluate_db *evaluate_db_make(const char *url, struct arena *arena, struct error *err);
const char *evaluate_db_url(const struct evaluate_db *db);
/* Drops it, whoever is connected. False: `err` names it. NULL is fine. */
bool evaluate_db_remove(struct evaluate_db *db, struct error *err);

/* While `held`, SIGINT and SIGTERM wait: around making and dropping the database, which would else be left
 * behind. evaluate_run lets them through while it runs, and holds them again before it returns. */
void evaluate_hold_signals(bool held);

/* Fills the knowledge base of `url` from the folder and takes every ticket through the stages. False: `err`;
 * code "interrupted" after SIGINT or SIGTERM. */
bool evaluate_run(struct evaluate *evaluate, const char *url, struct error *err);

struct evaluate_tally {
    const char *name;
    size_t tickets;
};

struct evaluate_report {
    const struct evaluate *evaluate;
    struct evaluate_table tables[EVALUATE_LABELS]; /* total 0: no labels */
    double calibration;                            /* of the category, when it has labels */
    size_t flips;                                  /* tickets whose category differs from the current one */
    size_t flips_better, flips_worse;              /* among those with a label */
    size_t outcomes[EVALUATE_OUTCOMES];
    size_t degraded;
    struct evaluate_tally *reasons; /* the most frequent first */
    size_t reason_count;
    struct evaluate_tally *models; /* "classify: model" */
    size_t model_count;
    double median_ms[MSG_STEP_COUNT + 1], p95_ms[MSG_STEP_COUNT + 1]; /* the last: all steps of a ticket */
    double input_tokens, output_tokens, cost_usd;                     /* mean of a ticket */
    double per_day;                                                   /* 0: unknown */
    size_t drafts[EVALUATE_DRAFTS];
    size_t draft_count;
};

bool evaluate_flipped(
    const struct evaluate_ticket *ticket); /* another category than the current settings give */
void evaluate_report_make(const struct evaluate *evaluate, struct evaluate_report *report);

void evaluate_text(const struct evaluate_report *report, struct term *term);
void evaluate_html(const struct evaluate_report *report, struct buf *out);
void evaluate_json(const struct evaluate_report *report, struct buf *out);

#endif
