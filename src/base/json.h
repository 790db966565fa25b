/* JSON in and out: cJSON behind a strict reading of RFC 8259. */
#ifndef HELPDESK_BASE_JSON_H
#define HELPDESK_BASE_JSON_H

#include <cjson/cJSON.h>
#include "base/buf.h"
#include "base/error.h"

#define JSON_MAX_DEPTH 64

/* Parses all of `text`. Refused (ERROR_REJECT, code "bad_json", text names the byte offset): anything RFC
 * 8259 does not allow, invalid UTF-8, U+0000 in a string, a lone surrogate, the same member twice in an
 * object, nesting over JSON_MAX_DEPTH, a number that is not finite or has over 63 characters. The caller
 * frees with cJSON_Delete. */
cJSON *json_parse(const char *text, size_t len, struct error *err);

/* The bytes of member `name` of the object that `text` is, exactly as written (`text` passed json_parse
 * before). False when there is no such member. With `inside`, the object is first looked up as that member of
 * `text` (NULL: `text` itself). */
bool json_raw_member(
    const char *text, size_t len, const char *inside, const char *name, const char **raw, size_t *raw_len);

const char *json_str(const cJSON *object, const char *name); /* NULL when absent or not a string; borrowed */
double json_num(const cJSON *object, const char *name, double fallback);
bool json_bool(const cJSON *object, const char *name, bool fallback);

/* Builder: appends a quoted, escaped string. */
void json_put_string(struct buf *out, const char *text);
/* Appends the compact form of `value`, and deletes it. */
void json_put_and_delete(struct buf *out, cJSON *value);

#endif
