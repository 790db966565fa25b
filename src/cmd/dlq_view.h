/* Dead letters on a terminal. All of their text is hostile, and shown escaped. */
#ifndef HELPDESK_CMD_DLQ_VIEW_H
#define HELPDESK_CMD_DLQ_VIEW_H

#include "cmd/dlq_letter.h"
#include "cmd/term.h"

/* In a list: place, time and class; where it came from and its key; the message, in a few lines. */
void dlq_view_brief(struct term *term, const struct dlq_letter *letter);
/* Everything: the headers, and the record as JSON or, when nobody can decode it, its first bytes in
 * hexadecimal. */
void dlq_view_whole(struct term *term, struct dlq_letter *letter, struct arena *arena);

#endif
