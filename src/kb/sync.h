/* Brings the knowledge base to what a source of documents holds: one document, or all that differ. Any number
 * of processes may do so at once: a document that someone else changed meanwhile is read again. */
#ifndef HELPDESK_KB_SYNC_H
#define HELPDESK_KB_SYNC_H

#include "base/error.h"
#include "blob/blob.h"
#include "db/db.h"
#include "kb/fingerprint.h"
#include "kb/parser.h"
#include "kb/store.h"
#include "loop/loop.h"

struct kb_sync_env { /* borrowed; outlives everything started with it */
    struct loop *loop;
    struct db *db;
    struct blob_source *source;
    const char *tenant; /* whose documents they are */
    struct kb_rules rules;
    struct kb_parser *parser;
    size_t max_document; /* bytes */
    bool keep;           /* the history keeps the contents */
};

enum kb_synced {
    KB_SYNCED_UNCHANGED,
    KB_SYNCED_CHANGED,
    KB_SYNCED_REMOVED, /* from the base; the source does not have it */
    KB_SYNCED_FAILED,  /* the document cannot be read: the base says why and keeps nothing of it */
};

/* `err` (weather only) NULL: `what` is true now. Loop thread. */
typedef void kb_document_synced(void *arg, enum kb_synced what, const struct error *err);

/* Document `key` (copied), which may be in the source, in the base, in both or in neither. */
void kb_sync_document(const struct kb_sync_env *env, const char *key, kb_document_synced *done, void *arg);
/* The same when it is at hand what the base knows of it, and what the source lists of it (NULL: it does not):
 * of what is listed as too large nothing is read. `since` lives until `done`; its mark is newer then. */
void kb_sync_known_document(const struct kb_sync_env *env, const char *key, struct kb_since *since,
    const struct blob_object *listed, kb_document_synced *done, void *arg);

struct kb_sync_counts {
    int found;   /* documents in the source */
    int read;    /* of them, read in this run */
    int changed; /* in the base */
    int failed;
    int removed; /* from the base */
    int left;    /* of those found so far, neither read nor seen to be unchanged yet */
    int refused; /* objects whose keys are not valid */
    /* Wall time of the oldest change that the base does not have: while it runs, of those found so far; at
     * the end, of those that could not be read. 0: none. */
    int64_t oldest_ms;
};

/* The pages of a source that were the same in the base at the last run; zeroed: nothing is known. Good for
 * one revision of the base. */
struct kb_sync_memory {
    char (*digests)[KB_DIGEST_SIZE]; /* of each page; "": there was something to do */
    size_t count;
    size_t capacity;
};

void kb_sync_memory_forget(struct kb_sync_memory *memory); /* frees what it holds */

struct kb_sync_request {
    bool full;                     /* read every document again */
    struct kb_sync_memory *memory; /* NULL: none; else pages that look the same are not compared */
    /* Loop thread. `progress` (may be NULL) after each document; `stopped` (may be NULL) true: start no more.
     */
    void (*progress)(void *arg, const struct kb_sync_counts *counts);
    bool (*stopped)(void *arg);
    /* `err`: the run ended early (source or database away, or stopped: "kb_stopped"). `why`: what could not
     * be looked at,
     * "" when nothing. */
    void (*done)(void *arg, const struct kb_sync_counts *counts, const char *why, const struct error *err);
    void *arg;
};

/* Reads what is new or different, removes what is gone. */
void kb_sync_run(const struct kb_sync_env *env, const struct kb_sync_request *request);

#endif
