/* Settings in force: environment over file over default. */
#include "conf/conf.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/alloc.h"
#include "base/json.h"
#include "base/utf8.h"
#include "conf/file.h"
#include "conf/table.h"

#define ENV_PREFIX "HELPDESK_"
#define SHOWN_BYTES 80 /* of a wrong value */
#define NAME_MAX_DISTANCE 4

struct conf {
    struct conf_value values[CONF_COUNT];
};

struct conf_load {
    struct conf *conf;
    struct buf *problems;
};

/* `"80a" is not a whole number from 0 to 65535`; a secret is not shown. */
static void put_wrong_value(struct buf *out, const struct conf_row *row, const char *value)
{
    if (row->type == CONF_SECRET) {
        buf_puts(out, "the value given (not shown)");
    } else {
        char shown[SHOWN_BYTES + 1];
        size_t len = utf8_clip(value, SHOWN_BYTES);
        memcpy(shown, value, len);
        shown[len] = '\0';
        json_put_string(out, shown);
    }
    buf_puts(out, " is not ");
    conf_value_expected(row, out);
}

static void set_value(struct conf_load *load, const struct conf_row *row, const char *where, const char *text)
{
    struct conf_value *value = &load->conf->values[row - conf_rows];
    if (conf_value_read(value, row, text)) {
        value->set = true;
        return;
    }
    buf_printf(load->problems, "%s: %s: ", where, row->name);
    put_wrong_value(load->problems, row, text);
    buf_putc(load->problems, '\n');
}

struct nearest {
    const char *wanted;
    size_t distance;
    char name[CONF_ENV_SIZE]; /* "" when nothing is near */
};

static struct nearest nearest_start(const char *wanted)
{
    size_t most = strlen(wanted) / 3;
    return (struct nearest){
        .wanted = wanted, .distance = (most < NAME_MAX_DISTANCE ? most : NAME_MAX_DISTANCE) + 1};
}

static void nearest_try(struct nearest *nearest, const char *name)
{
    size_t distance = conf_distance(nearest->wanted, name, nearest->distance);
    if (distance < nearest->distance) {
        nearest->distance = distance;
        snprintf(nearest->name, sizeof(nearest->name), "%s", name);
    }
}

static void put_unknown(struct buf *out, const char *name, const struct nearest *nearest)
{
    char shown[SHOWN_BYTES + 1];
    size_t len = utf8_clip(name, SHOWN_BYTES);
    memcpy(shown, name, len);
    shown[len] = '\0';
    buf_puts(out, "unknown setting ");
    json_put_string(out, shown);
    if (*nearest->name) {
        buf_printf(out, ", did you mean %s?", nearest->name);
    }
}

static struct nearest nearest_setting(const char *name)
{
    struct nearest nearest = nearest_start(name);
    for (size_t i = 0; i < CONF_COUNT; i++) {
        nearest_try(&nearest, conf_rows[i].name);
    }
    return nearest;
}

static void take_from_file(void *arg, const char *where, const char *name, const char *value)
{
    struct conf_load *load = arg;
    const struct conf_row *row = conf_find_row(name);
    if (!row) {
        struct nearest nearest = nearest_setting(name);
        buf_printf(load->problems, "%s: ", where);
        put_unknown(load->problems, name, &nearest);
        buf_putc(load->problems, '\n');
    } else if (load->conf->values[row - conf_rows].set) {
        buf_printf(load->problems, "%s: %s is given twice\n", where, row->name);
    } else {
        set_value(load, row, where, value);
    }
}

/* True when `name` is a variable of a setting; else the nearest one is noted. */
static bool known_variable(const char *name, struct nearest *nearest)
{
    for (size_t i = 0; i < CONF_COUNT; i++) {
        char known[CONF_ENV_SIZE];
        const char *aliases = conf_rows[i].aliases;
        conf_env_name(&conf_rows[i], known);
        do {
            if (strcmp(known, name) == 0) {
                return true;
            }
            if (strncmp(known, ENV_PREFIX, strlen(ENV_PREFIX)) == 0) {
                nearest_try(nearest, known);
            }
        } while (conf_next_alias(&aliases, known));
    }
    return false;
}

/* Variables that are for us and no settings. */
static bool is_no_setting(const char *name)
{
#ifdef HELPDESK_FAULTS
    if (strcmp(name, "HELPDESK_CRASH_DIR") == 0) { /* see base/crash.h */
        return true;
    }
#endif
    return strcmp(name, "HELPDESK_CONFIG") == 0 ||
           strncmp(name, "HELPDESK_TEST_", strlen("HELPDESK_TEST_")) == 0;
}

static void refuse_unknown_variables(struct conf_load *load)
{
    for (char **entry = environ; entry && *entry; entry++) {
        char name[160];
        size_t len = strcspn(*entry, "=");
        if (strncmp(*entry, ENV_PREFIX, strlen(ENV_PREFIX)) != 0) {
            continue;
        }
        snprintf(name, sizeof(name), "%.*s", (int)(len < sizeof(name) ? len : sizeof(name) - 1), *entry);
        if (is_no_setting(name)) {
            continue;
        }
        struct nearest nearest =
            nearest_start(name + strlen(ENV_PREFIX)); /* the prefix counts for no likeness */
        nearest.wanted = name;
        if (known_variable(name, &nearest)) {
            continue;
        }
        buf_puts(load->problems, "environment: ");
        put_unknown(load->problems, name, &nearest);
        buf_putc(load->problems, '\n');
    }
}

/* A setting's own variable wins; an alias, which others may have set for their own ends, counts when it is
 * not empty. */
static void take_from_environment(struct conf_load *load, const struct conf_row *row)
{
    char name[CONF_ENV_SIZE];
    conf_env_name(row, name);
    const char *value = getenv(name);
    const char *aliases = row->aliases;
    while (!value && conf_next_alias(&aliases, name)) {
        value = getenv(name);
        if (value && !*value) {
            value = NULL;
        }
    }
    if (value) {
        set_value(load, row, name, value);
    }
}

struct conf *conf_load(const char *path, struct buf *problems)
{
    struct conf *conf = xcalloc(1, sizeof(*conf));
    struct conf_load load = {.conf = conf, .problems = problems};
    size_t before = problems->len;
    for (size_t i = 0; i < CONF_COUNT; i++) {
        conf->values[i].text = xstrdup("");
        if (*conf_rows[i].initial &&
            !conf_value_read(&conf->values[i], &conf_rows[i], conf_rows[i].initial)) {
            buf_printf(problems, "%s: its default breaks its own rules\n", conf_rows[i].name);
        }
    }
    path = path ? path : getenv("HELPDESK_CONFIG");
    if (path && *path) {
        conf_file_read(path, take_from_file, &load, problems);
    }
    refuse_unknown_variables(&load);
    for (size_t i = 0; i < CONF_COUNT; i++) {
        take_from_environment(&load, &conf_rows[i]);
    }
    if (problems->len == before && !problems->failed) {
        return conf;
    }
    conf_free(conf);
    return NULL;
}

void conf_free(struct conf *conf)
{
    if (!conf) {
        return;
    }
    for (size_t i = 0; i < CONF_COUNT; i++) {
        free(conf->values[i].text);
    }
    free(conf);
}

const char *conf_text(const struct conf *conf, enum conf_id id)
{
    enum conf_type type = conf_rows[id].type;
    assert(type == CONF_TEXT || type == CONF_SECRET || type == CONF_CHOICE);
    (void)type;
    return conf->values[id].text;
}

int64_t conf_int(const struct conf *conf, enum conf_id id)
{
    enum conf_type type = conf_rows[id].type;
    assert(type == CONF_INT || type == CONF_BYTES || type == CONF_DURATION);
    (void)type;
    return conf->values[id].integer;
}

double conf_number(const struct conf *conf, enum conf_id id)
{
    assert(conf_rows[id].type == CONF_NUMBER);
    return conf->values[id].number;
}

bool conf_bool(const struct conf *conf, enum conf_id id)
{
    assert(conf_rows[id].type == CONF_BOOL);
    return conf->values[id].integer != 0;
}

bool conf_is_set(const struct conf *conf, enum conf_id id)
{
    return conf->values[id].set;
}

const char *conf_name(enum conf_id id)
{
    return conf_rows[id].name;
}

bool conf_set(struct conf *conf, const char *name, const char *value, struct error *err)
{
    const struct conf_row *row = conf_find_row(name);
    struct buf problem;
    buf_init(&problem, sizeof(err->text));
    bool ok = row && conf_value_read(&conf->values[row - conf_rows], row, value);
    if (ok) {
        conf->values[row - conf_rows].set = true;
    } else if (row) {
        put_wrong_value(&problem, row, value);
        error_set(err, ERROR_FATAL, "setting_invalid", "%s: %s", row->name, buf_text(&problem));
    } else {
        struct nearest nearest = nearest_setting(name);
        put_unknown(&problem, name, &nearest);
        error_set(err, ERROR_FATAL, "setting_unknown", "%s", buf_text(&problem));
    }
    buf_fini(&problem);
    return ok;
}

void conf_render_current(const struct conf *conf, struct buf *out)
{
    for (size_t i = 0; i < CONF_COUNT; i++) {
        const char *text = conf->values[i].text;
        bool secret = conf_rows[i].type == CONF_SECRET && *text;
        buf_printf(out, "%s = %s\n", conf_rows[i].name, secret ? "***" : text);
    }
}
