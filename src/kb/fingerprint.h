/* What tells that a document is still the same. */
#ifndef HELPDESK_KB_FINGERPRINT_H
#define HELPDESK_KB_FINGERPRINT_H

#include <stddef.h>
#include "base/arena.h"
#include "blob/blob.h"

#define KB_DIGEST_SIZE 65 /* its NUL included */

/* What a source decides about its documents. Borrowed. */
struct kb_rules {
    const char *public_url; /* "": none */
    const char *locale;     /* of documents that do not say; "": it is detected */
};

/* SHA-256 (hex) of the content and of everything else that decides what becomes of it. */
const char *kb_fingerprint(
    struct arena *arena, const struct kb_rules *rules, const char *key, const char *data, size_t len);

/* The object's etag as the base keeps it: another one when documents would be cut or cited in another way. */
const char *kb_etag(struct arena *arena, const struct kb_rules *rules, const char *etag);

/* SHA-256 (hex) of a page's keys and etags, and of where it begins and ends: behind key `after`. */
void kb_page_digest(const char *after, const struct blob_page *page, char out[KB_DIGEST_SIZE]);

#endif
