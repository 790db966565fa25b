/* Search for a ticket: which passages and which accepted answers speak of what it asks, and how much of it
 * they cover. Full text, in two statements: one asks how common the ticket's words are, one finds the texts
 * that hold the rare ones; with vectors the same one finds the passages that are near to the ticket's, too:
 * all that is found of the base is of one revision. */
#ifndef HELPDESK_KB_SEARCH_H
#define HELPDESK_KB_SEARCH_H

#include "base/arena.h"
#include "base/error.h"
#include "db/db.h"
#include "kb/vector_memory.h"

enum kb_corpus { KB_CORPUS_KB, KB_CORPUS_TICKET };

struct kb_query { /* borrowed until `done` */
    const char *tenant;
    const char *subject;
    const char *body;               /* everything else the customer wrote; "" for nothing */
    const char *locale;             /* of the ticket; texts in its language come first */
    const char *not_ticket;         /* its own id: no accepted answer of it */
    size_t max_hits[2];             /* by corpus */
    const struct vector_near *near; /* texts near to the ticket's; NULL: words alone */
};

struct kb_hit {
    enum kb_corpus corpus;
    const char *source_id; /* "default/billing/refunds.md#2", "ticket/T-17" */
    const char *title;     /* "Refunds > How long it takes"; the past ticket's subject */
    const char *uri;
    const char *locale;
    const char *text;
    const char *metadata; /* of the passage's source: a JSON object of texts */
    double score;         /* relevance 0..1, the same scale for both corpora */
};

struct kb_search_result {
    struct kb_hit *hits; /* best first, both corpora */
    size_t count;
    double confidence; /* 0..1: how likely the best of them answer the query */
    int64_t revision;  /* of the base that all hits of its corpus were in together */
};

/* In the arena, which lives until `done`. Loop thread, never inside the call. Exactly one of both is not
 * NULL. `words` are those of the base in memory, which are searched once they are read; NULL: the database
 * is searched. Both find the same, but that the database weighs no more than 60 passages. */
typedef void kb_search_done(void *arg, const struct kb_search_result *result, const struct error *err);
struct word_memory;
void kb_search(struct db *db, struct word_memory *words, struct arena *arena, const struct kb_query *query,
    kb_search_done *done, void *arg);

#endif
