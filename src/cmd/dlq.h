/* What the verbs of `helpdesk dlq` share. */
#ifndef HELPDESK_CMD_DLQ_H
#define HELPDESK_CMD_DLQ_H

#include "bus/dead.h"
#include "cmd/dlq_args.h"
#include "cmd/dlq_marks.h"

#define DLQ_LETTER_ARENA ((size_t)256 << 20) /* a letter, decoded, quoted and in hexadecimal */

/* Each returns the exit code. */
int dlq_list(const struct conf *conf, const struct dlq_args *args);
int dlq_show(const struct conf *conf, const struct dlq_args *args);
int dlq_handle(const struct conf *conf, const struct dlq_args *args); /* replay and discard */

/* The marks of a partition as it was opened; dlq_marks_fini in any case. False: err. */
bool dlq_open_marks(struct dlq_marks *marks, const struct dead *dead, const char *stage, int32_t partition,
    struct error *err);
/* What there is to read of them: the first offset that is still there and that they do not say is handled. */
int64_t dlq_first_waiting(const struct dlq_marks *marks, const struct dead *dead, int32_t partition);

#endif
