/* JSON in and out: cJSON behind the strict scanner. */
#include "base/json.h"

#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/json_scan.h"
#include "base/utf8.h"

cJSON *json_parse(const char *text, size_t len, struct error *err)
{
    struct json_scan scan;
    json_scan_init(&scan, text, len);
    bool ok = json_scan_value(&scan);
    if (ok) {
        json_scan_space(&scan);
        ok = scan.at == len || json_scan_fail(&scan, scan.at, "something follows the value");
    }
    cJSON *value = NULL;
    if (ok) {
        value = cJSON_ParseWithLengthOpts(text, len, NULL, false);
        if (!value) {
            alloc_failed(); /* what passed the scanner is JSON: only memory can be wanting */
        }
    } else {
        error_set(err, ERROR_REJECT, "bad_json", "not valid JSON at byte %zu: %s", scan.wrong_at, scan.wrong);
    }
    json_scan_fini(&scan);
    return value;
}

/* Finds member `wanted` of the object at the scan's position; the scan then stands at the member's value. */
static bool find_member(struct json_scan *scan, const char *wanted)
{
    struct buf name;
    bool found = false;
    json_scan_space(scan);
    if (!json_scan_take(scan, '{')) {
        return false;
    }
    buf_init(&name, scan->len);
    for (;;) {
        buf_reset(&name);
        json_scan_space(scan);
        if (!json_scan_string(scan, &name)) {
            break;
        }
        json_scan_space(scan);
        if (!json_scan_take(scan, ':')) {
            break;
        }
        json_scan_space(scan);
        found = name.len == strlen(wanted) && memcmp(buf_text(&name), wanted, name.len) == 0;
        if (found || !json_scan_value(scan)) {
            break;
        }
        json_scan_space(scan);
        if (!json_scan_take(scan, ',')) {
            break;
        }
    }
    buf_fini(&name);
    return found;
}

bool json_raw_member(
    const char *text, size_t len, const char *inside, const char *name, const char **raw, size_t *raw_len)
{
    struct json_scan scan;
    json_scan_init(&scan, text, len);
    bool found = (!inside || find_member(&scan, inside)) && find_member(&scan, name);
    if (found) {
        size_t start = scan.at;
        found = json_scan_value(&scan);
        *raw = text + start;
        *raw_len = scan.at - start;
    }
    json_scan_fini(&scan);
    return found;
}

const char *json_str(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

double json_num(const cJSON *object, const char *name, double fallback)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : fallback;
}

bool json_bool(const cJSON *object, const char *name, bool fallback)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsBool(item) ? (bool)cJSON_IsTrue(item) : fallback;
}

static void put_escaped(struct buf *out, unsigned char c)
{
    static const char letters[] = "btn\0fr"; /* from \b on */
    if (c == '"' || c == '\\') {
        buf_printf(out, "\\%c", c);
    } else if (c >= '\b' && c <= '\r' && c != '\v') {
        buf_printf(out, "\\%c", letters[c - '\b']);
    } else {
        buf_printf(out, "\\u%04x", c);
    }
}

void json_put_string(struct buf *out, const char *text)
{
    size_t len = strlen(text);
    size_t plain = 0; /* start of what can be copied as it is */
    buf_putc(out, '"');
    for (size_t at = 0; at < len;) {
        int32_t code = 0;
        size_t bytes = utf8_char(text + at, len - at, &code);
        if (bytes > 0 && code >= 0x20 && code != '"' && code != '\\') {
            at += bytes;
            continue;
        }
        buf_append(out, text + plain, at - plain);
        if (bytes == 0) {
            buf_puts(out, "\xEF\xBF\xBD"); /* U+FFFD for a malformed byte */
        } else {
            put_escaped(out, (unsigned char)code);
        }
        at += bytes > 0 ? bytes : 1;
        plain = at;
    }
    buf_append(out, text + plain, len - plain);
    buf_putc(out, '"');
}

void json_put_and_delete(struct buf *out, cJSON *value)
{
    char *text = cJSON_PrintUnformatted(value);
    if (!text) {
        alloc_failed();
    }
    buf_puts(out, text);
    cJSON_free(text);
    cJSON_Delete(value);
}
