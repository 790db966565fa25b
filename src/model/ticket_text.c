/* Puts a ticket's text together, within bounds. */
#include "model/ticket_text.h"

#include "base/buf.h"
#include "base/utf8.h"

#define MAX_TEXT 24000 /* bytes of a ticket that are read: what matters is said early */

char *ticket_text(struct arena *arena, const struct msg_ticket *ticket, size_t *subject_end)
{
    struct buf text;
    buf_init(&text, MAX_TEXT * 2);
    buf_append(&text, ticket->subject, utf8_clip(ticket->subject, 2000));
    if (subject_end != NULL) {
        *subject_end = text.len;
    }
    buf_puts(&text, "\n");
    buf_append(&text, ticket->description, utf8_clip(ticket->description, MAX_TEXT - 4000));
    for (size_t i = ticket->messages_count; i > 0 && text.len < MAX_TEXT; i--) {
        const struct msg_message *message = &ticket->messages[i - 1];
        if (message->role == MSG_ROLE_CUSTOMER) {
            buf_puts(&text, "\n");
            buf_append(&text, message->text, utf8_clip(message->text, 4000));
        }
    }
    char *out = arena_strndup(arena, buf_text(&text), text.len);
    buf_fini(&text);
    return out;
}
