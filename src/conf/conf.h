/* Settings: environment over file over default, all from the one table in conf/settings.def. */
#ifndef HELPDESK_CONF_CONF_H
#define HELPDESK_CONF_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/error.h"

/* One id per row of conf/settings.def: CONF_GATEWAY_PORT for "gateway.port". */
enum conf_id {
#define SETTING(id, ...) CONF_##id,
#include "conf/settings.def"
#undef SETTING
    CONF_COUNT
};

enum conf_type {
    CONF_TEXT,
    CONF_SECRET,
    CONF_INT,
    CONF_NUMBER,
    CONF_BOOL,
    CONF_DURATION,
    CONF_BYTES,
    CONF_CHOICE
};

struct conf;

/* Reads `path` (INI: [section] key = value; NULL: $HELPDESK_CONFIG, else no file), then the environment:
 * HELPDESK_<SECTION>_<KEY> and each setting's aliases. Unknown names (in the file, and HELPDESK_* in the
 * environment) and malformed or out-of-range values are errors that name the setting, what would be right,
 * and for an unknown name the nearest known one. All of them are reported, one a line, in `problems`. NULL on
 * failure. */
struct conf *conf_load(const char *path, struct buf *problems);
void conf_free(struct conf *conf);

/* TEXT, SECRET, CHOICE; "" when unset; borrowed. */
const char *conf_text(const struct conf *conf, enum conf_id id);
/* INT; BYTES in bytes; DURATION in milliseconds. */
int64_t conf_int(const struct conf *conf, enum conf_id id);
double conf_number(const struct conf *conf, enum conf_id id);
bool conf_bool(const struct conf *conf, enum conf_id id);
bool conf_is_set(const struct conf *conf, enum conf_id id); /* given by file or environment */
const char *conf_name(enum conf_id id);                     /* "gateway.port" */

/* For tests and tools: sets a value as the environment would. */
bool conf_set(struct conf *conf, const char *name, const char *value, struct error *err);

void conf_render_help(struct buf *out);                             /* the table for --help */
void conf_render_sample(struct buf *out);                           /* a commented sample file */
void conf_render_current(const struct conf *conf, struct buf *out); /* values in force, secrets as "***" */

#endif
