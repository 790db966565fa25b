/* The words of tenants' passages in the memory of a process that searches: read when a tenant is first asked
 * for, then brought up to the revision that a search asks for. Loop thread. A database that is set back to an
 * older state while the process runs is noticed by its revision only. */
#ifndef HELPDESK_KB_WORD_MEMORY_H
#define HELPDESK_KB_WORD_MEMORY_H

#include "db/db.h"
#include "kb/word_index.h"

struct word_memory;

/* `max_bytes` bounds all tenants' words together: the tenant that is read when they are too many is searched
 * in the database until the process ends, as is one whose words cannot be read. Sets helpdesk_word_bytes,
 * counts helpdesk_word_searches_total{in}. `db` outlives it. */
struct word_memory *word_memory_new(struct db *db, size_t max_bytes);
/* When nobody waits for it. The rest is freed when the last statement has come back. NULL is fine. */
void word_memory_close(struct word_memory *memory);

/* `index` has the base as it was at `revision`; it is not kept after the call. NULL: the database is to be
 * searched, as the words are still being read, cannot be read, or do not fit. */
typedef void word_memory_ready(void *arg, struct word_index *index, int64_t revision);
/* Asks for the words at revision `least` or a later one: waits for one statement at most. `done` may be
 * called inside the call. */
void word_memory_reach(
    struct word_memory *memory, const char *tenant, int64_t least, word_memory_ready *done, void *arg);
/* The database's revision is older than what was read: the tenant's words are read anew. */
void word_memory_forget(struct word_memory *memory, const char *tenant);

#endif
