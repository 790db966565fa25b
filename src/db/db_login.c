/* A secret's user, password and place, put over those of a connection string. */
#include "db/db_login.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>
#include "aws/sigv4.h"
#include "base/buf.h"
#include "base/json.h"

#define VALUE_MAX 1024
#define URL_MAX ((size_t)64 * 1024)
#define PORT_SIZE 8

enum { USER, PASSWORD, HOST, PORT, DBNAME, FIELDS };

/* A member of the secret, and the parameter of libpq that it becomes. */
static const struct {
    const char *member, *parameter;
    bool needed;
} fields[FIELDS] = {
    [USER] = {"username", "user", true},
    [PASSWORD] = {"password", "password", true},
    [HOST] = {"host", "host", false},
    [PORT] = {"port", "port", false},
    [DBNAME] = {"dbname", "dbname", false},
};

static bool refuse(struct error *err, const char *member, const char *what)
{
    return error_set(err, ERROR_FATAL, "db_secret", "the database's secret: %s %s", member, what);
}

/* RDS writes the port as a number, people as a string. */
static bool take_port(struct arena *arena, const cJSON *item, const char **out, struct error *err)
{
    const char *text = cJSON_GetStringValue(item);
    double number = cJSON_IsNumber(item) ? item->valuedouble : 0;
    if (text && strspn(text, "0123456789") == strlen(text) && strlen(text) > 0 && strlen(text) < PORT_SIZE) {
        for (const char *at = text; *at; at++) {
            number = number * 10 + (*at - '0');
        }
    }
    if (number < 1 || number > 65535 || number != (int)number) {
        return refuse(err, "port", "is not a number from 1 to 65535");
    }
    *out = arena_printf(arena, "%d", (int)number);
    return true;
}

static bool take_field(
    struct arena *arena, const cJSON *secret, size_t field, const char **out, struct error *err)
{
    const char *member = fields[field].member;
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(secret, member);
    if (!item || cJSON_IsNull(item)) {
        return !fields[field].needed || refuse(err, member, "is missing");
    }
    if (field == PORT) {
        return take_port(arena, item, out, err);
    }
    const char *text = cJSON_GetStringValue(item);
    if (!text || !*text || strlen(text) > VALUE_MAX) {
        return refuse(err, member, "is not a string of 1 to 1024 bytes");
    }
    *out = arena_strdup(arena, text);
    return true;
}

static bool read_secret(
    struct arena *arena, const char *text, size_t len, const char *values[FIELDS], struct error *err)
{
    cJSON *secret = json_parse(text, len, NULL); /* what is wrong with it might quote it */
    bool ok = cJSON_IsObject(secret) ||
              refuse(err, "it", "is not a JSON object {\"username\": ..., \"password\": ...}");
    const char *engine = json_str(secret, "engine");
    if (ok && engine && !strstr(engine, "postgres")) {
        ok = refuse(err, "engine", "is not postgres");
    }
    for (size_t i = 0; i < FIELDS && ok; i++) {
        ok = take_field(arena, secret, i, &values[i], err);
    }
    cJSON_Delete(secret);
    return ok;
}

static void put(struct arena *arena, struct buf *out, const char *name, const char *value)
{
    buf_printf(out, "%c%s=%s", strchr(buf_text(out), '?') ? '&' : '?', name, sigv4_encode(arena, value));
}

/* A parameter that the secret has is not taken from the string; nor is hostaddr, which would go before a
 * host. */
static bool is_replaced(const char *parameter, const char *const values[FIELDS])
{
    for (size_t i = 0; i < FIELDS; i++) {
        if (values[i] && strcmp(parameter, fields[i].parameter) == 0) {
            return true;
        }
    }
    return values[HOST] && strcmp(parameter, "hostaddr") == 0;
}

const char *db_login_url(
    struct arena *arena, const char *url, const char *secret, size_t len, struct error *err)
{
    const char *values[FIELDS] = {0};
    if (!read_secret(arena, secret, len, values, err)) {
        return NULL;
    }
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    if (!options) {
        error_set(err, ERROR_FATAL, "db_url", "database.url is no connection string");
        return NULL;
    }
    struct buf out;
    buf_init(&out, URL_MAX);
    buf_puts(&out, "postgresql:///");
    bool placed = values[HOST];
    for (const PQconninfoOption *option = options; option->keyword; option++) {
        placed = placed || (option->val && (strncmp(option->keyword, "host", 4) == 0 ||
                                               strcmp(option->keyword, "service") == 0));
        if (option->val && !is_replaced(option->keyword, values)) {
            put(arena, &out, option->keyword, option->val);
        }
    }
    for (size_t i = 0; i < FIELDS; i++) {
        if (values[i]) {
            put(arena, &out, fields[i].parameter, values[i]);
        }
    }
    PQconninfoFree(options);
    const char *made = out.failed ? NULL : arena_strdup(arena, buf_text(&out));
    buf_fini(&out);
    if (!made) {
        refuse(err, "it", "makes too long a connection string");
    } else if (!placed) {
        refuse(err, "host", "is missing, and database.url names none either");
        made = NULL;
    }
    return made;
}
