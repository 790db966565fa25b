/* The words of a query: which of them ask something, how much each tells, and how much a text covers of them.
 * Private to the search. */
#ifndef HELPDESK_KB_TERMS_H
#define HELPDESK_KB_TERMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"

#define TERMS_MAX 64   /* of one group; the least telling are left out */
#define TERMS_UNITS 40 /* sentences of a query */
#define TERMS_K1 2.0   /* of BM25: how soon a word said again counts no more */

/* A part of the query: its subject or a sentence. */
struct kb_unit {
    const char *text; /* without words that ask nothing ("please", "hello") */
    double weight;    /* what is asked in the subject or with a question mark weighs more */
};

/* Cuts a query into units; the array is in the arena, at most TERMS_UNITS. */
struct kb_unit *kb_units(struct arena *arena, const char *subject, const char *body, size_t *count);

struct kb_term {
    const char *lexeme;
    uint64_t units; /* bit per unit that holds it */
    int64_t texts;  /* of the corpus that hold it */
    double idf;     /* how telling it is */
    double weight;  /* idf times what its units weigh */
    bool sought;    /* rare enough to look texts up by it */
};

/* The terms under one text search configuration in one corpus: texts of other languages are matched with
 * others. */
struct kb_terms {
    const char *corpus;
    const char *config;
    int64_t texts; /* of the corpus */
    struct kb_term *items;
    size_t count, capacity;
};

/* One row of the statement that splits the units: unit from 0. */
void kb_terms_add(
    struct arena *arena, struct kb_terms *terms, const char *lexeme, size_t unit, int64_t texts);
/* When all are added: weighs them, keeps TERMS_MAX, decides which are sought. */
void kb_terms_weigh(struct kb_terms *terms, const struct kb_unit *units, size_t unit_count);

/* What the best imaginable text would score: one that holds every word without end. */
double kb_terms_best(const struct kb_terms *terms);
/* How much of the query the terms in `matched` (bit by index) cover: 0..1. */
double kb_terms_coverage(const struct kb_terms *terms, uint64_t matched);
/* The same for that of its questions (the subject is one) that is covered best: a long story around a clear
 * question does not make the answer worse. A question of one common word is not enough for 1. */
double kb_terms_focus(
    const struct kb_terms *terms, uint64_t matched, const struct kb_unit *units, size_t unit_count);

#endif
