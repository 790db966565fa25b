/* Reading the limits of tenants' budgets. */
#include "model/budget_limits.h"

#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/parse.h"

#define NUMBER_MAX 31 /* characters */

static bool invalid(struct error *err, const char *setting, const char *entry, size_t len, const char *right)
{
    return error_set(err, ERROR_FATAL, "setting_invalid", "%s: \"%.*s\" %s", setting,
        (int)(len < 100 ? len : 100), entry, right);
}

/* Digits, with one '.' unless `whole`. */
static bool read_limit(const char *text, size_t len, bool whole, double *out)
{
    char copy[NUMBER_MAX + 1];
    if (len == 0 || len > NUMBER_MAX || strspn(text, whole ? "0123456789" : "0123456789.") < len) {
        return false;
    }
    memcpy(copy, text, len);
    copy[len] = '\0';
    return parse_double(copy, out) && *out <= BUDGET_LIMIT_MAX;
}

static const struct budget_limit *find_limit(
    const struct budget_limits *limits, const char *tenant, size_t len)
{
    for (size_t i = 0; i < limits->count; i++) {
        const char *known = limits->of[i].tenant;
        if (strlen(known) == len && memcmp(known, tenant, len) == 0) {
            return &limits->of[i];
        }
    }
    return NULL;
}

/* "tenant=number"; NULL, or what is wrong with it. */
static const char *read_entry(const char *entry, size_t len, bool whole, struct budget_limits *out)
{
    const char *equals = memchr(entry, '=', len);
    size_t name = equals ? (size_t)(equals - entry) : 0;
    struct budget_limit made = {.tenant = ""};
    if (name == 0 || name > BUDGET_TENANT_MAX) {
        return "must be tenant=number";
    }
    if (find_limit(out, entry, name)) {
        return "names a tenant twice";
    }
    if (out->count == BUDGET_TENANTS_MAX) {
        return "is one tenant too many: 1000 can have limits of their own";
    }
    if (!read_limit(equals + 1, len - name - 1, whole, &made.limit)) {
        return whole ? "must end in a whole number from 0 to 1000000000000"
                     : "must end in a number from 0 to 1000000000000";
    }
    memcpy(made.tenant, entry, name);
    out->of = xrealloc(out->of, (out->count + 1) * sizeof(*out->of));
    out->of[out->count++] = made;
    return NULL;
}

bool budget_limits_parse(
    const char *setting, const char *text, bool whole, struct budget_limits *out, struct error *err)
{
    size_t len = strcspn(text, ",");
    *out = (struct budget_limits){0};
    if (!read_limit(text, len, whole, &out->all)) {
        return invalid(err, setting, text, len,
            whole ? "must be a whole number from 0 to 1000000000000, for all tenants that have none"
                  : "must be a number from 0 to 1000000000000, for all tenants that have none");
    }
    for (text += len; *text == ','; text += len) {
        len = strcspn(++text, ",");
        const char *wrong = read_entry(text, len, whole, out);
        if (wrong) {
            budget_limits_fini(out);
            return invalid(err, setting, text, len, wrong);
        }
    }
    return true;
}

void budget_limits_fini(struct budget_limits *limits)
{
    free(limits->of);
    *limits = (struct budget_limits){0};
}

double budget_limit_of(const struct budget_limits *limits, const char *tenant)
{
    const struct budget_limit *found = find_limit(limits, tenant, strlen(tenant));
    return found ? found->limit : limits->all;
}
