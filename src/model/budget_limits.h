/* The limits of tenants' budgets, as settings write them. */
#ifndef HELPDESK_MODEL_BUDGET_LIMITS_H
#define HELPDESK_MODEL_BUDGET_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include "base/error.h"

#define BUDGET_TENANTS_MAX 1000
#define BUDGET_TENANT_MAX 64  /* bytes of a tenant's name */
#define BUDGET_LIMIT_MAX 1e12 /* exact as a double, in any of the units */

struct budget_limit {
    char tenant[BUDGET_TENANT_MAX + 1];
    double limit;
};

struct budget_limits {
    double all; /* of tenants that have none of their own */
    struct budget_limit *of;
    size_t count;
};

/* Reads "10" or "10,acme=50,beta=0": one number for all tenants, then those that have their own, each once;
 * whole numbers with `whole`. False: ERROR_FATAL "setting_invalid", the text names `setting`, the entry and
 * what would be right; nothing to free then. Any thread. */
bool budget_limits_parse(
    const char *setting, const char *text, bool whole, struct budget_limits *out, struct error *err);
void budget_limits_fini(struct budget_limits *limits);

double budget_limit_of(const struct budget_limits *limits, const char *tenant);

#endif
