/* Log lines: one JSON object a line on standard error. No customer's text, id or secret is ever a field. */
#ifndef HELPDESK_BASE_LOG_H
#define HELPDESK_BASE_LOG_H

#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_kind { LOG_KIND_END, LOG_KIND_STR, LOG_KIND_INT, LOG_KIND_NUM };

struct log_field {
    const char *name;
    enum log_kind kind;
    const char *str;
    int64_t integer;
    double number;
};

#define LOG_STR(n, v) ((struct log_field){.name = (n), .kind = LOG_KIND_STR, .str = (v)})
#define LOG_INT(n, v) ((struct log_field){.name = (n), .kind = LOG_KIND_INT, .integer = (int64_t)(v)})
#define LOG_NUM(n, v) ((struct log_field){.name = (n), .kind = LOG_KIND_NUM, .number = (v)})

/* Set once at start: `role` goes into every line ("classifier"), lines below `level` are dropped. `role` is
 * borrowed. */
void log_setup(const char *role, enum log_level level);
int log_level_parse(const char *name); /* "debug" "info" "warn" "error"; -1 when none of them */

/* Any thread. `fields` ends with a LOG_KIND_END. A line is written with one write(2). */
void log_write(enum log_level level, const char *message, const struct log_field *fields);

/* log_info("partition assigned", LOG_STR("topic", t), LOG_INT("partition", p)); */
#define log_at(level, message, ...)                                                                          \
    log_write((level), (message), LOG_FIELDS(__VA_ARGS__ __VA_OPT__(, ){.kind = LOG_KIND_END}))
#define LOG_FIELDS(...) ((const struct log_field[]){__VA_ARGS__})
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)

#endif
