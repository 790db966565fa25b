/* Collects what is wrong with a body, by JSON pointer (RFC 6901), and reads members of given types. */
#ifndef HELPDESK_GATEWAY_FIELD_ERRORS_H
#define HELPDESK_GATEWAY_FIELD_ERRORS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "http/server.h"

#define FIELD_ERRORS_MAX 64 /* further mistakes of the same body are not listed */

struct field_errors {
    struct arena *arena; /* the pointers' and details' memory */
    size_t count;
    struct http_field_error list[FIELD_ERRORS_MAX];
};

void field_errors_init(struct field_errors *errors, struct arena *arena);

/* Where a member stands: its parent's pointer, and its name. */
const char *field_pointer(struct arena *arena, const char *parent, const char *name);

/* `parent` is the pointer of the object ("" for the body itself). `format` says what would be right. */
void field_error(struct field_errors *errors, const char *parent, const char *name, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The body as a whole is wrong: the pointer is "". */
void field_error_root(struct field_errors *errors, const char *detail);

/* Member `name`, or NULL when it is absent or null. */
const cJSON *field_get(const cJSON *object, const char *name);

/* Readers: what is absent or null leaves the result NULL or false without a complaint; another type is a
 * mistake. Strings are copied to the arena. */
const char *field_string(
    struct field_errors *errors, const cJSON *object, const char *parent, const char *name);
/* The same, not blank, at most `max` bytes (0: any number), no control characters when `max` is given.
 */
const char *field_token(
    struct field_errors *errors, const cJSON *object, const char *parent, const char *name, size_t max);
bool field_bool(struct field_errors *errors, const cJSON *object, const char *parent, const char *name);
bool field_number(struct field_errors *errors, const cJSON *object, const char *parent, const char *name,
    double min, double max, double *out); /* false: absent or wrong */
bool field_integer(struct field_errors *errors, const cJSON *object, const char *parent, const char *name,
    int min, int max, int32_t *out);
bool field_time(
    struct field_errors *errors, const cJSON *object, const char *parent, const char *name, int64_t *out);
const cJSON *field_object(
    struct field_errors *errors, const cJSON *object, const char *parent, const char *name);

/* One of an enum's symbols; `name_of` gives the symbols 0 .. count-1. False: absent or wrong. */
typedef const char *field_name_of(unsigned value);
bool field_choice(struct field_errors *errors, const cJSON *object, const char *parent, const char *name,
    field_name_of *name_of, unsigned count, unsigned *out);
/* Makes the field_name_of of enum msg_<type>, called <type>_at. */
#define FIELD_NAME_OF(type)                                                                                  \
    static const char *type##_at(unsigned value)                                                             \
    {                                                                                                        \
        return msg_##type##_name((enum msg_##type)value);                                                    \
    }

/* Says that a member is missing, if it is (absent or null). */
bool field_require(struct field_errors *errors, const cJSON *object, const char *parent, const char *name);

/* Members of `object` that `known` (NULL-terminated) does not list: their pointers go to `unknown`, up to its
 * size. */
struct field_unknown {
    size_t count;
    size_t more; /* how many did not fit */
    const char *pointers[16];
};
void field_find_unknown(struct field_unknown *unknown, struct arena *arena, const cJSON *object,
    const char *parent, const char *const *known);
/* The header's text: printable ASCII, bounded; NULL when there are none. */
const char *field_warning(const struct field_unknown *unknown, struct arena *arena);

#endif
