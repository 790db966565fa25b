/* JSON log lines on standard error. */
#include "base/log.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/utf8.h"

#define LOG_MAX_TEXT 1000 /* bytes of one field's value; the rest is cut off */
#define LOG_MAX_LINE (32 * 1024)
#define LOG_FIELD_ROOM                                                                                       \
    (8 * 1024) /* more than the longest field, all escaped: fields after that are left out */

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *log_role = "helpdesk";
static atomic_int log_level = LOG_INFO;

void log_setup(const char *role, enum log_level level)
{
    log_role = role;
    atomic_store(&log_level, level);
}

int log_level_parse(const char *name)
{
    for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

static void put_text(struct buf *line, const char *text)
{
    char copy[LOG_MAX_TEXT + 1];
    size_t len = utf8_clip(text, LOG_MAX_TEXT);
    memcpy(copy, text, len);
    copy[len] = '\0';
    json_put_string(line, copy);
}

static void put_field(struct buf *line, const struct log_field *field)
{
    buf_putc(line, ',');
    put_text(line, field->name);
    buf_putc(line, ':');
    if (field->kind == LOG_KIND_INT) {
        buf_printf(line, "%lld", (long long)field->integer);
    } else if (field->kind == LOG_KIND_NUM && isfinite(field->number)) {
        buf_printf(line, "%.9g", field->number);
    } else if (field->kind == LOG_KIND_STR && field->str) {
        put_text(line, field->str);
    } else {
        buf_puts(line, "null");
    }
}

static void write_line(const struct buf *line)
{
    ssize_t written;
    do {
        written = write(STDERR_FILENO, line->data, line->len);
    } while (written < 0 && errno == EINTR); /* what cannot be written has no other place to go */
}

void log_write(enum log_level level, const char *message, const struct log_field *fields)
{
    if ((int)level < atomic_load(&log_level)) {
        return;
    }
    char now[CLOCK_RFC3339_SIZE];
    clock_format(clock_wall_ms(), now);
    struct buf line;
    buf_init(&line, LOG_MAX_LINE);
    buf_printf(&line, "{\"ts\":\"%s\",\"level\":\"%s\",\"role\":", now, level_names[level]);
    put_text(&line, log_role);
    buf_puts(&line, ",\"msg\":");
    put_text(&line, message);
    for (; fields && fields->kind != LOG_KIND_END && line.max - line.len > LOG_FIELD_ROOM; fields++) {
        put_field(&line, fields);
    }
    buf_puts(&line, "}\n");
    write_line(&line);
    buf_fini(&line);
}
