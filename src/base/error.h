/* What went wrong, and what is to be done about it. */
#ifndef HELPDESK_BASE_ERROR_H
#define HELPDESK_BASE_ERROR_H

#include <stdint.h>

/* What the one who hears of an error does with the work that met it. Mapped to an action in engine/outcome.c
 * only. */
enum error_disposition {
    ERROR_NONE,   /* no error */
    ERROR_RETRY,  /* weather: the same work may succeed later */
    ERROR_REJECT, /* this input can never succeed: dead letter, 4xx */
    ERROR_FATAL,  /* this process cannot go on: configuration, bug, fenced */
};

struct error {
    enum error_disposition disposition;
    char code[40];          /* stable, snake_case: "db_unavailable", "schema_unknown" */
    char text[400];         /* one sentence for a person; never a secret, never a customer's text */
    int64_t retry_after_ms; /* with ERROR_RETRY: not before that, 0 when unknown */
};

/* error_set(err, disposition, code, format, ...)
 *
 * Fills `err` (may be NULL: nothing happens). The text is cut to fit. Always false, so that a function can
 * `return error_set(...)`; a macro, so that compiler and analyzer see that it is. */
#define error_set(...) (error_fill(__VA_ARGS__), error_false())
void error_fill(struct error *err, enum error_disposition disposition, const char *code, const char *format,
    ...) __attribute__((format(printf, 4, 5)));
static inline _Bool error_false(void)
{
    return 0;
}

/* "retry", "reject", "fatal" or "none". */
const char *error_disposition_name(enum error_disposition disposition);

#endif
