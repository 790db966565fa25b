/* Any bytes through the strict JSON reader; what it accepts must survive writing and reading again. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_raw(const char *text, size_t len, const cJSON *value)
{
    for (const cJSON *member = cJSON_IsObject(value) ? value->child : NULL; member; member = member->next) {
        const char *raw;
        size_t raw_len;
        if (!json_raw_member(text, len, NULL, member->string, &raw, &raw_len) || raw < text ||
            raw + raw_len > text + len)
            abort();
        cJSON *again = json_parse(raw, raw_len, NULL);
        if (!again || !cJSON_Compare(again, member, true))
            abort();
        cJSON_Delete(again);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = {0};
    const char *text = (const char *)data;
    cJSON *value = json_parse(text, size, &err);
    if (!value) {
        if (err.disposition != ERROR_REJECT || !*err.text)
            abort();
        return 0;
    }
    check_raw(text, size, value);
    struct buf out;
    buf_init(&out, (size_t)64 << 20);
    if (cJSON_IsString(value))
        json_put_string(&out, value->valuestring);
    else
        json_put_and_delete(&out, cJSON_Duplicate(value, true));
    cJSON *again = json_parse(buf_text(&out), out.len, &err);
    if (!again || !cJSON_Compare(value, again, true))
        abort();
    cJSON_Delete(again);
    cJSON_Delete(value);
    buf_fini(&out);
    return 0;
}
