/* Reading the thresholds under which a language model is asked. */
#include "model/ask_below.h"

#include <stdlib.h>
#include <string.h>

#define SETTING "classifier.ask-below"

static bool invalid(struct error *err, const char *entry, size_t len, const char *right)
{
    return error_set(err, ERROR_FATAL, "setting_invalid", "%s: \"%.*s\" %s", SETTING, (int)len, entry, right);
}

static bool read_share(const char *text, size_t len, double *out)
{
    char copy[32];
    if (len == 0 || len >= sizeof(copy) || strspn(text, "0123456789.") < len) {
        return false;
    }
    memcpy(copy, text, len);
    copy[len] = '\0';
    char *end;
    *out = strtod(copy, &end);
    return *end == '\0' && *out <= 1;
}

static bool find_category(const struct taxonomy *taxonomy, const char *name, size_t len, size_t *at)
{
    for (size_t i = 0; i < taxonomy->category_count; i++) {
        const char *known = taxonomy->categories[i].name;
        if (strlen(known) == len && memcmp(known, name, len) == 0) {
            *at = i;
            return true;
        }
    }
    return false;
}

/* "category=number" */
static bool read_entry(const char *entry, size_t len, const struct taxonomy *taxonomy, bool *given,
    struct ask_below *out, struct error *err)
{
    const char *equals = memchr(entry, '=', len);
    size_t at;
    if (!equals) {
        return invalid(err, entry, len, "must be category=number");
    }
    if (!find_category(taxonomy, entry, (size_t)(equals - entry), &at)) {
        return invalid(err, entry, len, "names no category of the taxonomy");
    }
    if (given[at]) {
        return invalid(err, entry, len, "names a category twice");
    }
    given[at] = true;
    return read_share(equals + 1, len - (size_t)(equals + 1 - entry), &out->of[at]) ||
           invalid(err, entry, len, "must end in a number from 0 to 1");
}

bool ask_below_parse(
    const char *text, const struct taxonomy *taxonomy, struct ask_below *out, struct error *err)
{
    bool given[TAXONOMY_MAX_CATEGORIES] = {false};
    double all;
    size_t len = strcspn(text, ",");
    if (!read_share(text, len, &all)) {
        return invalid(err, text, len, "must be a number from 0 to 1, for all categories that have none");
    }
    for (size_t i = 0; i < TAXONOMY_MAX_CATEGORIES; i++) {
        out->of[i] = all;
    }
    for (text += len; *text == ','; text += len) {
        len = strcspn(++text, ",");
        if (!read_entry(text, len, taxonomy, given, out, err)) {
            return false;
        }
    }
    return true;
}

double ask_below_of(const struct ask_below *below, const struct taxonomy *taxonomy, const char *name)
{
    size_t at;
    return find_category(taxonomy, name, strlen(name), &at) ? below->of[at] : 1;
}
