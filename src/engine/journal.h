/* The journal of what runs: tells, after a process died, which records it had in its hands.
 *
 * A record whose processing kills the process would otherwise kill it again for ever. Every job that runs
 * holds a slot in a memory-mapped file: writing one is a store to memory, no system call, and it outlives the
 * process, SIGKILL included, because the page cache does. A slot that its process left behind when it died is
 * one crash against that record; crashes are counted in the same file. A process that ends in good order
 * leaves none.
 *
 * Files are <run.dir>/journal/<stage>.<n>, n the first that no living process holds (flock); a process that
 * starts inherits whatever its predecessor left there. A partition may have moved to another process in
 * between, so the crashes of a record are the sum over all files of the stage in the folder: counts, and the
 * slots of processes that are dead. Processes that share no folder count for themselves.
 *
 * A record is named by topic, partition, offset and timestamp: in a topic that was made anew, an old count
 * meets no new record. Files are of one size, reserved on the disk at the start, so that no store ever meets
 * a full disk; they hold as many slots as engine.in-flight may ever be. What is read from one is checked like
 * any input; one that is no journal is made anew. Loop thread. */
#ifndef HELPDESK_ENGINE_JOURNAL_H
#define HELPDESK_ENGINE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include "base/error.h"
#include "bus/record.h"

#define JOURNAL_SLOTS 10000    /* the most that engine.in-flight may be */
#define JOURNAL_SUSPECTS 10000 /* records with crashes that a file remembers */
#define JOURNAL_KEEP_MS                                                                                      \
    INT64_C(86400000) /* a crash is remembered for a day: longer than any restart takes                      \
                       */

struct journal;

/* Takes the stage's first free file in `run_dir`/journal (made if missing) and turns what was left in it into
 * counts. NULL: err (ERROR_RETRY "journal_unusable") says why. */
struct journal *journal_open(const char *run_dir, const char *stage, struct error *err);
/* Whatever still runs is no crash: its slots are cleared. NULL is fine. */
void journal_close(struct journal *journal);

/* The record's job starts. The slot for journal_leave, or -1: not written down (its topic's name is too
 * long). */
int journal_enter(struct journal *journal, const struct bus_record *record);
void journal_leave(struct journal *journal, int slot); /* -1 is fine */

/* Reads the other files again: partitions have come, perhaps from a process that died. */
void journal_refresh(struct journal *journal);
size_t journal_suspects(const struct journal *journal); /* records with a crash, at the last refresh */
/* How many times a process died with this record in its hands. */
int journal_crashes(const struct journal *journal, const struct bus_record *record);
void journal_forget(struct journal *journal, const struct bus_record *record); /* it is done: no suspect */

#endif
