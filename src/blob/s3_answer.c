/* XML of S3, read as a stream: what a server sends takes no more memory than its own bytes. */
#include <libxml/xmlreader.h>
#include <string.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/parse.h"
#include "blob/s3.h"
#include "http/uri.h"

#define TEXT_MAX 4096 /* of one element */

/* Elements on the way to a text: "ListBucketResult/Contents/Key" is depth 2. */
#define DEPTH_MAX 3

struct reading {
    xmlTextReader *reader;
    const char *names[DEPTH_MAX]; /* of the elements we are in; static texts or NULL */
    struct buf text;
};

/* Those that anybody asks for. */
static const char *known_name(const char *name)
{
    static const char *const known[] = {"ListBucketResult", "Contents", "Key", "LastModified", "ETag", "Size",
        "IsTruncated", "NextContinuationToken", "EncodingType", "Error", "Code", NULL};
    for (size_t i = 0; known[i]; i++) {
        if (!strcmp(known[i], name)) {
            return known[i];
        }
    }
    return NULL;
}

static bool reading_start(struct reading *reading, const char *body, size_t len)
{
    *reading = (struct reading){0};
    buf_init(&reading->text, TEXT_MAX);
    /* No document type: entities are declared there, and no answer of S3 has one. */
    if (len == 0 || len > S3_LIST_MAX || memmem(body, len, "<!DOCTYPE", 9)) {
        return false;
    }
    reading->reader = xmlReaderForMemory(body, (int)len, NULL, "UTF-8",
        XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOCDATA);
    return reading->reader != NULL;
}

static void reading_end(struct reading *reading)
{
    if (reading->reader) {
        xmlFreeTextReader(reading->reader);
    }
    buf_fini(&reading->text);
}

static bool is_at(const struct reading *reading, const char *root, const char *first, const char *second)
{
    const char *const wanted[] = {root, first, second};
    for (size_t i = 0; i < DEPTH_MAX && wanted[i]; i++) {
        if (!reading->names[i] || strcmp(reading->names[i], wanted[i]) != 0) {
            return false;
        }
    }
    return true;
}

enum happening { XML_BEGIN, XML_END, XML_OVER, XML_WRONG };

/* On to where an element begins or ends; its depth in `depth`, its text at its end in `text`. */
static enum happening reading_next(struct reading *reading, int *depth)
{
    int got;
    while ((got = xmlTextReaderRead(reading->reader)) == 1) {
        int type = xmlTextReaderNodeType(reading->reader);
        *depth = xmlTextReaderDepth(reading->reader);
        if (type == XML_READER_TYPE_ELEMENT) {
            buf_reset(&reading->text);
            if (*depth < DEPTH_MAX) {
                reading->names[*depth] =
                    known_name((const char *)xmlTextReaderConstLocalName(reading->reader));
            }
            if (!xmlTextReaderIsEmptyElement(reading->reader)) {
                return XML_BEGIN;
            }
            return XML_END;
        }
        if (type == XML_READER_TYPE_END_ELEMENT) {
            return XML_END;
        }
        const xmlChar *value = type == XML_READER_TYPE_TEXT || type == XML_READER_TYPE_CDATA ||
                                       type == XML_READER_TYPE_SIGNIFICANT_WHITESPACE
                                   ? xmlTextReaderConstValue(reading->reader)
                                   : NULL;
        if (value) {
            buf_puts(&reading->text, (const char *)value);
        }
    }
    return got == 0 ? XML_OVER : XML_WRONG;
}

/* ---- a list ---- */

struct listing {
    struct arena *arena;
    struct s3_list *out;
    struct blob_object object; /* the one that is read */
    bool truncated;
    bool encoded;
    const char *token;
};

static bool wrong(struct error *err, const char *what)
{
    return error_set(
        err, ERROR_RETRY, "blob_unavailable", "the server's list of objects cannot be used: %s", what);
}

/* Without the quotes, of which a list and a Content header have different ones. */
static const char *plain_etag(struct arena *arena, const char *text)
{
    size_t len = strlen(text);
    bool quoted = len >= 2 && text[0] == '"' && text[len - 1] == '"';
    return quoted ? arena_strndup(arena, text + 1, len - 2) : arena_strdup(arena, text);
}

static bool take_field(struct listing *listing, const struct reading *reading, struct error *err)
{
    const char *name = reading->names[2], *text = buf_text(&reading->text);
    if (!name) {
        return true;
    }
    if (reading->text.failed) {
        return wrong(err, "a text in it is too long");
    }
    if (!strcmp(name, "Key")) {
        listing->object.key = arena_strdup(listing->arena, text);
    } else if (!strcmp(name, "ETag")) {
        listing->object.etag = plain_etag(listing->arena, text);
    } else if (!strcmp(name, "Size")) {
        return (parse_int64(text, &listing->object.size) && listing->object.size >= 0) ||
               wrong(err, "a size is not a number");
    } else if (!strcmp(name, "LastModified")) {
        return clock_parse(text, &listing->object.modified_ms) || wrong(err, "a time is not one");
    }
    return true;
}

static bool take_object(struct listing *listing, struct error *err)
{
    if (!listing->object.key || !listing->object.etag) {
        return wrong(err, "an object has no key or no ETag");
    }
    if (listing->out->count == S3_PAGE_OBJECTS) {
        return wrong(err, "it has more objects than were asked for");
    }
    listing->out->objects[listing->out->count++] = listing->object;
    listing->object = (struct blob_object){0};
    return true;
}

static bool take_top(struct listing *listing, const struct reading *reading, struct error *err)
{
    const char *name = reading->names[1], *text = buf_text(&reading->text);
    if (!name) {
        return true;
    }
    if (!strcmp(name, "Contents")) {
        return take_object(listing, err);
    }
    if (!strcmp(name, "IsTruncated")) {
        listing->truncated = !strcmp(text, "true");
    } else if (!strcmp(name, "EncodingType")) {
        listing->encoded = !strcmp(text, "url");
    } else if (!strcmp(name, "NextContinuationToken")) {
        if (reading->text.failed) {
            return wrong(err, "its continuation token is too long");
        }
        listing->token = arena_strdup(listing->arena, text);
    }
    return true;
}

static bool take_element(struct listing *listing, const struct reading *reading, int depth, struct error *err)
{
    if (depth == 1) {
        return take_top(listing, reading, err);
    }
    return depth != 2 || !is_at(reading, "ListBucketResult", "Contents", NULL) ||
           take_field(listing, reading, err);
}

static bool read_list(struct listing *listing, struct reading *reading, struct error *err)
{
    enum happening what;
    int depth = 0;
    bool ended = false;
    while ((what = reading_next(reading, &depth)) == XML_BEGIN || what == XML_END) {
        if (what != XML_END) {
            continue;
        }
        if (depth == 0) {
            ended = is_at(reading, "ListBucketResult", NULL, NULL);
        } else if (!take_element(listing, reading, depth, err)) {
            return false;
        }
        if (depth < DEPTH_MAX) {
            reading->names[depth] = NULL;
        }
    }
    return (what == XML_OVER && ended) || wrong(err, "it is not a whole ListBucketResult");
}

/* Decodes the keys and takes the prefix from them. */
static bool settle_keys(struct listing *listing, const char *prefix, struct error *err)
{
    struct s3_list *out = listing->out;
    size_t kept = 0, prefix_len = strlen(prefix);
    for (size_t i = 0; i < out->count; i++) {
        const char *key = out->objects[i].key;
        if (listing->encoded) {
            size_t len = strlen(key);
            char *decoded = arena_alloc(listing->arena, len + 1);
            if (!uri_decode(key, len, true, decoded)) {
                out->refused++;
                continue;
            }
            key = decoded;
        }
        if (strncmp(key, prefix, prefix_len) != 0) {
            return wrong(err, "a key does not begin with the prefix that was asked for");
        }
        key += prefix_len;
        size_t len = strlen(key);
        if (len > 0 && key[len - 1] != '/') { /* else what consoles make to show a folder */
            out->objects[kept] = out->objects[i];
            out->objects[kept++].key = key;
        }
    }
    out->count = kept;
    return true;
}

bool s3_answer_list(struct arena *arena, const char *body, size_t len, const char *prefix,
    struct s3_list *out, struct error *err)
{
    struct reading reading;
    *out = (struct s3_list){.objects = arena_array(arena, S3_PAGE_OBJECTS, sizeof(*out->objects))};
    struct listing listing = {.arena = arena, .out = out};
    bool ok =
        reading_start(&reading, body, len) ? read_list(&listing, &reading, err) : wrong(err, "it is not XML");
    reading_end(&reading);
    if (!ok || !settle_keys(&listing, prefix, err)) {
        return false;
    }
    if (listing.truncated && (!listing.token || !*listing.token)) {
        return wrong(err, "it goes on but has no continuation token");
    }
    out->next = listing.truncated ? listing.token : NULL;
    return true;
}

/* ---- an error ---- */

void s3_answer_code(const char *body, size_t len, char out[S3_CODE_SIZE])
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    struct reading reading;
    int depth = 0;
    out[0] = '\0';
    bool ok = reading_start(&reading, body, len);
    while (ok && !out[0]) {
        enum happening what = reading_next(&reading, &depth);
        if (what == XML_END && depth == 1 && is_at(&reading, "Error", "Code", NULL)) {
            const char *code = buf_text(&reading.text);
            size_t code_len = strspn(code, allowed);
            memcpy(out, code, code_len < S3_CODE_SIZE ? code_len : S3_CODE_SIZE - 1);
            out[code_len < S3_CODE_SIZE ? code_len : S3_CODE_SIZE - 1] = '\0';
            break;
        }
        ok = what == XML_BEGIN || what == XML_END;
    }
    reading_end(&reading);
}

bool s3_answer_denies_object(int status, const char *code)
{
    /* https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html */
    static const char *const ours[] = {"SignatureDoesNotMatch", "InvalidAccessKeyId", "InvalidToken",
        "ExpiredToken", "TokenRefreshRequired", "RequestTimeTooSkewed", "RequestExpired", "AccountProblem",
        "AllAccessDisabled", "NotSignedUp", "InvalidSecurity", "InvalidPayer"};
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        if (!strcmp(code, ours[i])) {
            return false;
        }
    }
    /* Of "KMS.DisabledException" the code is what stands before the dot; InvalidRequest: it is encrypted with
     * a customer's own key. */
    return status == 403 || !strcmp(code, "AccessDenied") || !strcmp(code, "InvalidObjectState") ||
           (status == 400 && (!strcmp(code, "KMS") || !strcmp(code, "InvalidRequest")));
}
