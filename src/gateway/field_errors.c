/* Mistakes of a JSON body, collected by pointer, and the typed readers that find them. */
#include "gateway/field_errors.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/utf8.h"

#define WARNING_NAME_MAX 64

void field_errors_init(struct field_errors *errors, struct arena *arena)
{
    errors->arena = arena;
    errors->count = 0;
}

const char *field_pointer(struct arena *arena, const char *parent, const char *name)
{
    size_t base = strlen(parent);
    char *out = arena_alloc(arena, base + 2 * strlen(name) + 2);
    memcpy(out, parent, base);
    char *at = out + base;
    *at++ = '/';
    for (; *name != '\0'; name++) {
        if (*name == '~' || *name == '/') { /* RFC 6901 section 3 */
            *at++ = '~';
            *at++ = *name == '~' ? '0' : '1';
        } else {
            *at++ = *name;
        }
    }
    *at = '\0';
    return out;
}

void field_error(struct field_errors *errors, const char *parent, const char *name, const char *format, ...)
{
    if (errors->count == FIELD_ERRORS_MAX) {
        return;
    }
    char detail[300];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    struct http_field_error *error = &errors->list[errors->count++];
    error->pointer = field_pointer(errors->arena, parent, name);
    error->detail = arena_strdup(errors->arena, detail);
}

void field_error_root(struct field_errors *errors, const char *detail)
{
    if (errors->count < FIELD_ERRORS_MAX) {
        errors->list[errors->count++] = (struct http_field_error){"", arena_strdup(errors->arena, detail)};
    }
}

const cJSON *field_get(const cJSON *object, const char *name)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNull(member) ? NULL : member;
}

bool field_require(struct field_errors *errors, const cJSON *object, const char *parent, const char *name)
{
    if (field_get(object, name) != NULL) {
        return true;
    }
    field_error(errors, parent, name, "is required");
    return false;
}

const char *field_string(
    struct field_errors *errors, const cJSON *object, const char *parent, const char *name)
{
    const cJSON *member = field_get(object, name);
    if (member == NULL) {
        return NULL;
    }
    if (!cJSON_IsString(member)) {
        field_error(errors, parent, name, "must be a string");
        return NULL;
    }
    return arena_strdup(errors->arena, member->valuestring);
}

/* C0, DEL and C1: what a terminal or a log could take as a command. */
static bool has_control(const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        if (*at < 0x20 || *at == 0x7F || (*at == 0xC2 && at[1] >= 0x80 && at[1] <= 0x9F)) {
            return true;
        }
    }
    return false;
}

const char *field_token(
    struct field_errors *errors, const cJSON *object, const char *parent, const char *name, size_t max)
{
    const char *text = field_string(errors, object, parent, name);
    if (text == NULL) {
        return NULL;
    }
    if (utf8_blank(text)) {
        field_error(errors, parent, name, "must not be blank");
        return NULL;
    }
    if (max != 0 && (strlen(text) > max || has_control(text))) {
        field_error(errors, parent, name, "must be 1 to %zu bytes without control characters", max);
        return NULL;
    }
    return text;
}

bool field_bool(struct field_errors *errors, const cJSON *object, const char *parent, const char *name)
{
    const cJSON *member = field_get(object, name);
    if (member != NULL && !cJSON_IsBool(member)) {
        field_error(errors, parent, name, "must be true or false");
    }
    return cJSON_IsTrue(member);
}

bool field_number(struct field_errors *errors, const cJSON *object, const char *parent, const char *name,
    double min, double max, double *out)
{
    const cJSON *member = field_get(object, name);
    if (member == NULL) {
        return false;
    }
    if (!cJSON_IsNumber(member) || member->valuedouble < min || member->valuedouble > max) {
        field_error(errors, parent, name, "must be a number from %g to %g", min, max);
        return false;
    }
    *out = member->valuedouble;
    return true;
}

bool field_integer(struct field_errors *errors, const cJSON *object, const char *parent, const char *name,
    int min, int max, int32_t *out)
{
    const cJSON *member = field_get(object, name);
    if (member == NULL) {
        return false;
    }
    if (!cJSON_IsNumber(member) || member->valuedouble < min || member->valuedouble > max ||
        member->valuedouble != floor(member->valuedouble)) {
        field_error(errors, parent, name, "must be a whole number from %d to %d", min, max);
        return false;
    }
    *out = (int32_t)member->valuedouble;
    return true;
}

bool field_time(
    struct field_errors *errors, const cJSON *object, const char *parent, const char *name, int64_t *out)
{
    const char *text = field_string(errors, object, parent, name);
    if (text == NULL) {
        return false;
    }
    if (!clock_parse(text, out)) {
        field_error(errors, parent, name,
            "must be an RFC 3339 date and time with offset, such as 2026-11-22T10:00:00Z");
        return false;
    }
    return true;
}

const cJSON *field_object(
    struct field_errors *errors, const cJSON *object, const char *parent, const char *name)
{
    const cJSON *member = field_get(object, name);
    if (member != NULL && !cJSON_IsObject(member)) {
        field_error(errors, parent, name, "must be an object");
        return NULL;
    }
    return member;
}

bool field_choice(struct field_errors *errors, const cJSON *object, const char *parent, const char *name,
    field_name_of *name_of, unsigned count, unsigned *out)
{
    const char *text = field_string(errors, object, parent, name);
    if (text == NULL) {
        return false;
    }
    char choices[200];
    size_t len = 0;
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(text, name_of(i)) == 0) {
            *out = i;
            return true;
        }
        int wrote = snprintf(choices + len, sizeof choices - len, "%s%s", i == 0 ? "" : ", ", name_of(i));
        len += wrote > 0 && (size_t)wrote < sizeof choices - len ? (size_t)wrote : 0;
    }
    field_error(errors, parent, name, "must be one of %s", choices);
    return false;
}

void field_find_unknown(struct field_unknown *unknown, struct arena *arena, const cJSON *object,
    const char *parent, const char *const *known)
{
    const cJSON *member;
    cJSON_ArrayForEach(member, object)
    {
        size_t i = 0;
        while (known[i] != NULL && strcmp(known[i], member->string) != 0) {
            i++;
        }
        if (known[i] != NULL) {
            continue;
        }
        if (unknown->count == sizeof unknown->pointers / sizeof unknown->pointers[0]) {
            unknown->more++;
            continue;
        }
        unknown->pointers[unknown->count++] = field_pointer(arena, parent, member->string);
    }
}

const char *field_warning(const struct field_unknown *unknown, struct arena *arena)
{
    if (unknown->count == 0) {
        return NULL;
    }
    struct buf out;
    buf_init(&out, 4096);
    buf_puts(&out, "ignored unknown members: ");
    for (size_t i = 0; i < unknown->count; i++) {
        buf_puts(&out, i == 0 ? "" : ", ");
        const char *at = unknown->pointers[i];
        /* A member's name is the client's: nothing of it may end the header or start another. */
        for (size_t len = 0; at[len] != '\0' && len < WARNING_NAME_MAX; len++) {
            bool printable = at[len] > 0x20 && at[len] < 0x7F && at[len] != ',';
            buf_putc(&out, printable ? at[len] : '?');
        }
    }
    if (unknown->more > 0) {
        buf_printf(&out, " and %zu more", unknown->more);
    }
    const char *text = arena_strdup(arena, buf_text(&out));
    buf_fini(&out);
    return text;
}
