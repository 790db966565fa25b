/* Priority and deadline from a record's headers. */
#include "engine/hints.h"

#include <string.h>
#include "base/parse.h"

#define NUMBER_MAX 20 /* characters of the longest 64-bit number */

enum ready_priority hints_priority(const struct bus_record *record)
{
    static const char *const names[READY_PRIORITIES] = {"critical", "high", "medium", "low"};
    const struct bus_header *header = bus_record_header(record, "priority");
    for (int i = 0; header && header->value && i < READY_PRIORITIES; i++) {
        if (header->len == strlen(names[i]) && memcmp(header->value, names[i], header->len) == 0) {
            return (enum ready_priority)i;
        }
    }
    return READY_MEDIUM;
}

int64_t hints_deadline_left_ms(const struct bus_record *record, int64_t wall_ms)
{
    const struct bus_header *header = bus_record_header(record, "deadline-at");
    char text[NUMBER_MAX + 1] = "";
    int64_t at;
    int64_t left;
    if (!header || !header->value || header->len > NUMBER_MAX) {
        return INT64_MAX;
    }
    memcpy(text, header->value, header->len);
    if (strlen(text) != header->len || !parse_int64(text, &at) || at < 0 ||
        __builtin_sub_overflow(at, wall_ms, &left) || left > INT32_MAX) {
        return INT64_MAX;
    }
    return left;
}
