/* The knowledge base in PostgreSQL: documents switched whole, each by one statement. */
#ifndef HELPDESK_KB_STORE_H
#define HELPDESK_KB_STORE_H

#include "base/arena.h"
#include "base/error.h"
#include "db/db.h"
#include "kb/document.h"

struct kb_place { /* which document; borrowed */
    const char *tenant;
    const char *source;
    const char *key;
};

/* What the base holds of an object. */
struct kb_known {
    const char *key;
    const char *etag; /* as it was put; "": it is to be read again, such as one that has expired */
    int64_t revision; /* of the base when the document changed last; 0: it is not in the base */
};

struct kb_known_list { /* sorted by key, in byte order */
    struct kb_known *items;
    size_t count;
    int64_t mark; /* of all of them, and of what the base does not have */
};

/* What was known of a document before its object was read: what others did since then is newer. */
struct kb_since {
    int64_t revision; /* of kb_known */
    int64_t mark; /* of the base: what the revision does not tell, such as that the document was removed */
};

/* What is to become of a document. */
struct kb_put {
    struct kb_place place;
    struct kb_since since;
    const char *uri;
    const char *fingerprint;
    const char *etag; /* "": the next scan reads the object again */
    int64_t size;
    int64_t modified_ms;
    const struct kb_document *document; /* NULL: it failed, nothing of it is found */
    const char *why;                    /* of the failure */
    const void *bytes;                  /* what was read, for the history; NULL: not to be kept */
    size_t byte_count;
};

enum kb_change {
    KB_UNCHANGED, /* the base says the same already: no new revision */
    KB_CHANGED,
    KB_CONFLICT, /* someone else read it since, and found something else: read the object again */
};

/* All call back on the loop thread, never inside the call. `err` NULL: done. */
typedef void kb_changed(void *arg, enum kb_change change, const struct error *err);
typedef void kb_listed(void *arg, const struct kb_known_list *list, const struct error *err);
typedef void kb_looked_up(void *arg, const struct kb_since *since, const struct error *err);

/* The statements are built in `arena`, which must live until `done` was called; so must `put` and `since`,
 * whose mark is the newest then: good for what is read from then on. */
void kb_store_put(struct db *db, struct arena *arena, struct kb_put *put, kb_changed *done, void *arg);
void kb_store_remove(struct db *db, struct arena *arena, const struct kb_place *place, struct kb_since *since,
    kb_changed *done, void *arg);
/* The first `limit` documents of a source behind `place->key` ("": from the start). What the list names is in
 * `arena`. What must be read again though the source has not changed it has no etag: what has expired, and
 * with `keep` (bytes are kept for the history) what has been read without. */
void kb_store_list(struct db *db, struct arena *arena, const struct kb_place *place, size_t limit, bool keep,
    kb_listed *done, void *arg);
/* What is known of one document now; NULL with `err`. */
void kb_store_look_up(
    struct db *db, struct arena *arena, const struct kb_place *place, kb_looked_up *done, void *arg);

#endif
