/* UUIDs of version 7 (time-ordered) and version 5 (derived), RFC 9562. */
#include "base/ids.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"

/* UUIDv5 of "helpdesk" in the DNS namespace of RFC 9562: anyone can derive the project's namespace again. */
static const unsigned char namespace_bytes[16] = {
    0x1e, 0x34, 0x9f, 0x24, 0x97, 0x21, 0x5b, 0x51, 0xba, 0x5e, 0x86, 0x44, 0x1b, 0x38, 0x7c, 0xba};

static void uuid_write(const unsigned char bytes[16], char out[UUID_TEXT_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    size_t at = 0;
    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            out[at++] = '-';
        }
        out[at++] = hex[bytes[i] >> 4];
        out[at++] = hex[bytes[i] & 15];
    }
    out[at] = '\0';
}

static void uuid_stamp(unsigned char bytes[16], unsigned version)
{
    bytes[6] = (unsigned char)((bytes[6] & 0x0F) | version << 4);
    bytes[8] = (unsigned char)((bytes[8] & 0x3F) | 0x80); /* the RFC's variant */
}

/* The next (millisecond, counter) pair, always above the last one (RFC 9562 section 6.2, method 1). */
static uint64_t v7_next(unsigned seed, unsigned *counter_out)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static uint64_t last_ms;
    static unsigned counter;
    uint64_t now = (uint64_t)clock_wall_ms();
    pthread_mutex_lock(&lock);
    if (now > last_ms) {
        last_ms = now;
        counter = seed & 0x7FF; /* half of the counter's range is kept for counting */
    } else if (++counter > 0xFFF) {
        last_ms++; /* more than the counter holds in one millisecond: borrow the next */
        counter = seed & 0x7FF;
    }
    uint64_t ms = last_ms;
    *counter_out = counter;
    pthread_mutex_unlock(&lock);
    return ms;
}

void uuid_v7(char out[UUID_TEXT_SIZE])
{
    unsigned char bytes[16];
    if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes)) { /* up to 256 bytes it is all or an error */
        log_error("no random numbers from the system");
        abort();
    }
    unsigned counter;
    uint64_t ms = v7_next((unsigned)bytes[0] << 8 | bytes[1], &counter);
    for (int i = 0; i < 6; i++) {
        bytes[i] = (unsigned char)(ms >> (40 - 8 * i));
    }
    bytes[6] = (unsigned char)(counter >> 8);
    bytes[7] = (unsigned char)counter;
    uuid_stamp(bytes, 7);
    uuid_write(bytes, out);
}

void uuid_v5(const char *name, size_t len, char out[UUID_TEXT_SIZE])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!ctx || !EVP_DigestInit_ex(ctx, EVP_sha1(), NULL) ||
        !EVP_DigestUpdate(ctx, namespace_bytes, sizeof(namespace_bytes)) ||
        !EVP_DigestUpdate(ctx, name, len) || !EVP_DigestFinal_ex(ctx, digest, NULL)) {
        log_error("SHA-1 is not available");
        abort();
    }
    EVP_MD_CTX_free(ctx);
    uuid_stamp(digest, 5);
    uuid_write(digest, out);
}

void uuid_child(const char *parent, const char *step, unsigned index, char out[UUID_TEXT_SIZE])
{
    struct buf name;
    buf_init(&name, strlen(parent) + strlen(step) + 16);
    buf_printf(&name, "%s/%s/%u", parent, step, index);
    uuid_v5(buf_text(&name), name.len, out);
    buf_fini(&name);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool uuid_valid(const char *text)
{
    if (!text || strnlen(text, UUID_TEXT_SIZE) != UUID_TEXT_SIZE - 1) {
        return false;
    }
    for (int i = 0; i < UUID_TEXT_SIZE - 1; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : hex_value(text[i]) < 0) {
            return false;
        }
    }
    return true;
}

bool uuid_v7_time(const char *text, int64_t *wall_ms)
{
    if (!uuid_valid(text) || text[14] != '7' || (hex_value(text[19]) & 0xC) != 0x8) {
        return false;
    }
    int64_t ms = 0;
    for (int i = 0; i < 13; i++) {
        if (i != 8) {
            ms = ms * 16 + hex_value(text[i]);
        }
    }
    *wall_ms = ms;
    return true;
}
