/* What tells that a document is still the same. */
#ifndef HELPDESK_KB_FINGERPRINT_H
#define HELPDESK_KB_FINGERPRINT_H

#include <stddef.h>
#include "base/arena.h"
#include "blob/blob.h"

/* SHA-256 (hex) of the content and of everything else that decides what becomes of it. */
const char *kb_fingerprint(
    struct arena *arena, const char *public_url, const char *key, const char *data, size_t len);

/* The object's etag as the base keeps it: another one when documents would be cut or cited in another way. */
const char *kb_etag(struct arena *arena, const char *public_url, const char *etag);

/* SHA-256 (hex) of the keys and etags of a list of objects. */
void kb_list_digest(const struct blob_object *const *objects, size_t count, char out[65]);

#endif
