/* Digests of documents and of whole sources (OpenSSL's SHA-256). */
#include "kb/fingerprint.h"

#include <openssl/evp.h>
#include <string.h>
#include "base/alloc.h"
#include "kb/document.h"

static EVP_MD_CTX *digest_start(void)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    if (!digest || !EVP_DigestInit_ex(digest, EVP_sha256(), NULL)) {
        alloc_failed();
    }
    return digest;
}

/* With its final NUL, so that "ab" "c" and "a" "bc" differ. */
static void digest_text(EVP_MD_CTX *digest, const char *text)
{
    EVP_DigestUpdate(digest, text, strlen(text) + 1);
}

static void digest_rules(EVP_MD_CTX *digest, const struct kb_rules *rules)
{
    digest_text(digest, KB_CUTTER_VERSION);
    digest_text(digest, rules->public_url);
    if (*rules->locale) {
        digest_text(digest, rules->locale);
    }
}

static void digest_end(EVP_MD_CTX *digest, char out[KB_DIGEST_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    EVP_DigestFinal_ex(digest, bytes, &len);
    EVP_MD_CTX_free(digest);
    for (unsigned int i = 0; i < 32; i++) {
        out[2 * i] = hex[bytes[i] >> 4];
        out[2 * i + 1] = hex[bytes[i] & 15];
    }
    out[64] = '\0';
}

const char *kb_fingerprint(
    struct arena *arena, const struct kb_rules *rules, const char *key, const char *data, size_t len)
{
    EVP_MD_CTX *digest = digest_start();
    digest_rules(digest, rules);
    digest_text(digest, key);
    EVP_DigestUpdate(digest, data, len);
    char *out = arena_alloc(arena, KB_DIGEST_SIZE);
    digest_end(digest, out);
    return out;
}

const char *kb_etag(struct arena *arena, const struct kb_rules *rules, const char *etag)
{
    EVP_MD_CTX *digest = digest_start();
    digest_rules(digest, rules);
    char hex[KB_DIGEST_SIZE];
    digest_end(digest, hex);
    return arena_printf(arena, "%s/%.8s", etag, hex);
}

void kb_page_digest(const char *after, const struct blob_page *page, char out[KB_DIGEST_SIZE])
{
    EVP_MD_CTX *digest = digest_start();
    digest_text(digest, after);
    for (size_t i = 0; i < page->count; i++) {
        digest_text(digest, page->objects[i].key);
        digest_text(digest, page->objects[i].etag);
    }
    digest_text(digest, page->gap ? page->gap : "");
    digest_text(digest, page->last ? "last" : "");
    digest_end(digest, out);
}
