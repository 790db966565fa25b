/* The vectors of passages in PostgreSQL (schemas/sql/0008_kb_vectors.up.sql): who makes them, and for which
 * texts. Loop thread; `done` is called once, never inside the call; statements and what they bring are in
 * `arena`, which lives until then. */
#ifndef HELPDESK_KB_VECTOR_STORE_H
#define HELPDESK_KB_VECTOR_STORE_H

#include "base/arena.h"
#include "base/error.h"
#include "db/db.h"

struct kb_vector_claim {
    const char *tenant;
    int64_t revision;  /* of the base */
    const char *model; /* identity of the vectors that are there of the wanted model; "": none */
};

struct kb_vector_text {
    const char *hash; /* SHA-256, hexadecimal */
    const char *text; /* title, heading path and passage */
};

struct kb_vector_made {
    const char *hash;
    const char *vector; /* hexadecimal; NULL: the model does not take the text */
    const char *why;    /* with NULL */
};

struct kb_vector_worker { /* borrowed */
    struct db *db;
    const char *holder; /* this process */
    int64_t lease_ms;   /* how long others wait for it after each statement */
};

/* `claim` NULL without `err`: there is nothing to do. `model`: what the identity starts with. */
typedef void kb_vector_claimed(void *arg, const struct kb_vector_claim *claim, const struct error *err);
void kb_vectors_claim(const struct kb_vector_worker *worker, struct arena *arena, const char *model,
    kb_vector_claimed *done, void *arg);

/* Texts of passages without a vector of `model`, at most `max`, and how many there are. */
typedef void kb_vector_listed(
    void *arg, const struct kb_vector_text *texts, size_t count, int64_t missing, const struct error *err);
void kb_vectors_missing(struct db *db, struct arena *arena, const char *tenant, const char *model, size_t max,
    kb_vector_listed *done, void *arg);

/* `ours` false: another process has the tenant now, and nothing was written. */
typedef void kb_vector_written(void *arg, bool ours, const struct error *err);
void kb_vectors_put(const struct kb_vector_worker *worker, struct arena *arena, const char *tenant,
    const char *model, const struct kb_vector_made *made, size_t count, kb_vector_written *done, void *arg);
/* Nothing is missing: the model is searched from now on. */
void kb_vectors_done(const struct kb_vector_worker *worker, struct arena *arena, const char *tenant,
    const char *model, int64_t revision, kb_vector_written *done, void *arg);
/* Vectors that no passage needs go after a day, of one base that changed since they were last looked for and
 * that nobody makes vectors for now: kb_vectors_done leaves that out when it was done a moment before, and
 * an empty base may never get there. `done`: `ours` says that there was one. */
void kb_vectors_prune(struct db *db, struct arena *arena, kb_vector_written *done, void *arg);
/* Gives the tenant back; nobody takes it for `wait_ms`. */
void kb_vectors_later(const struct kb_vector_worker *worker, struct arena *arena, const char *tenant,
    int64_t wait_ms, kb_vector_written *done, void *arg);

#endif
