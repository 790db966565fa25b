/* The parts of a key, each with its length, and their digest. */
#include "model/answer_key.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <string.h>
#include "base/utf8.h"

#define PARTS_MAX (4 * 1024 * 1024)

void answer_key_begin(struct answer_key *key)
{
    buf_init(&key->parts, PARTS_MAX);
}

void answer_key_put(struct answer_key *key, const char *text)
{
    if (text) {
        buf_printf(&key->parts, "%zu:", strlen(text));
        buf_puts(&key->parts, text);
    } else {
        buf_puts(&key->parts, "-:");
    }
}

void answer_key_put_int(struct answer_key *key, int64_t number)
{
    buf_printf(&key->parts, "i%" PRId64 ":", number);
}

/* Folding has made the spaces of all scripts one, and what is left of them are bytes below '!'. */
static void put_folded(struct answer_key *key, struct arena *arena, const char *text)
{
    char *folded = utf8_fold(arena, text);
    size_t len = 0;
    for (const char *at = folded; *at;) {
        size_t blanks = strspn(at, " \t\r\n\v\f");
        at += blanks;
        if (blanks > 0 && len > 0 && *at) {
            folded[len++] = ' ';
        }
        size_t word = strcspn(at, " \t\r\n\v\f");
        memmove(folded + len, at, word);
        len += word;
        at += word;
    }
    folded[len] = '\0';
    answer_key_put(key, folded);
}

void answer_key_put_ticket(struct answer_key *key, const struct msg_ticket *ticket)
{
    struct arena *arena = arena_new(0);
    put_folded(key, arena, ticket->subject);
    put_folded(key, arena, ticket->description);
    answer_key_put(key, ticket->channel);
    answer_key_put(key, ticket->locale);
    answer_key_put_int(key, (int64_t)ticket->messages_count);
    for (size_t i = 0; i < ticket->messages_count; i++) {
        answer_key_put_int(key, (int64_t)ticket->messages[i].role);
        put_folded(key, arena, ticket->messages[i].text);
    }
    answer_key_put(key, ticket->messages_count > 0 ? ticket->customer_external_id : NULL);
    arena_free(arena);
}

static bool names(const char *text, const char *id)
{
    return id && strlen(id) > 2 && strcasestr(text, id);
}

bool answer_names_ticket(const char *text, const struct msg_ticket *ticket)
{
    return names(text, ticket->ticket_id) || names(text, ticket->external_ticket_id);
}

bool answer_key_end(struct answer_key *key, struct cache_key *out)
{
    unsigned size = CACHE_KEY_SIZE;
    bool ok = !key->parts.failed &&
              EVP_Digest(buf_text(&key->parts), key->parts.len, out->bytes, &size, EVP_sha256(), NULL) == 1;
    buf_fini(&key->parts);
    return ok;
}
