/* A direct-mapped table: an object displaces the one before it in its slot. */
#include "kb/seen.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "kb/event.h"

#define SLOTS 16384
#define ID_BYTES 16
#define SEQUENCER_SIZE 33 /* Amazon's have 18 digits, MinIO's 16; longer ones are not kept */

struct slot {
    unsigned char id[ID_BYTES]; /* of a SHA-256: nobody chooses what he displaces, or is taken for */
    char sequencer[SEQUENCER_SIZE];
    int64_t began_ms; /* 0: empty */
};

struct kb_seen {
    struct slot slots[SLOTS];
};

struct kb_seen *kb_seen_new(void)
{
    return xcalloc(1, sizeof(struct kb_seen));
}

void kb_seen_free(struct kb_seen *seen)
{
    free(seen);
}

static void identify(const char *source, const char *key, unsigned char id[EVP_MAX_MD_SIZE])
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    if (!digest || !EVP_DigestInit_ex(digest, EVP_sha256(), NULL) ||
        !EVP_DigestUpdate(digest, source, strlen(source) + 1) ||
        !EVP_DigestUpdate(digest, key, strlen(key)) || !EVP_DigestFinal_ex(digest, id, NULL)) {
        alloc_failed();
    }
    EVP_MD_CTX_free(digest);
}

static size_t slot_of(const unsigned char *id)
{
    return (id[0] | (size_t)id[1] << 8) % SLOTS;
}

bool kb_seen_covers(
    const struct kb_seen *seen, const char *source, const char *key, const char *sequencer, int64_t taken_ms)
{
    unsigned char id[EVP_MAX_MD_SIZE];
    identify(source, key, id);
    const struct slot *slot = &seen->slots[slot_of(id)];
    if (!slot->began_ms || memcmp(slot->id, id, ID_BYTES) != 0) {
        return false;
    }
    return slot->began_ms > taken_ms ||
           (*sequencer && *slot->sequencer && kb_sequencer_compare(sequencer, slot->sequencer) <= 0);
}

void kb_seen_read(
    struct kb_seen *seen, const char *source, const char *key, const char *sequencer, int64_t began_ms)
{
    unsigned char id[EVP_MAX_MD_SIZE];
    identify(source, key, id);
    struct slot *slot = &seen->slots[slot_of(id)];
    if (memcmp(slot->id, id, ID_BYTES) != 0) {
        *slot = (struct slot){.began_ms = 0};
        memcpy(slot->id, id, ID_BYTES);
    }
    slot->began_ms = began_ms > slot->began_ms ? began_ms : slot->began_ms;
    if (strlen(sequencer) < SEQUENCER_SIZE && kb_sequencer_compare(sequencer, slot->sequencer) > 0) {
        snprintf(slot->sequencer, sizeof(slot->sequencer), "%s", sequencer);
    }
}
