/* From settings and a secret to connections. The secret is nowhere but in memory: never in a log line, an
 * argument or the environment of a child. */
#include "cmd/database.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include "aws/secret.h"
#include "base/alloc.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "db/db_login.h"

#define PAUSE_MS 3000 /* between reads of the secret */

bool database_named(const struct conf *conf, struct error *err)
{
    return conf_text(conf, CONF_DATABASE_URL)[0] != '\0' ||
           conf_text(conf, CONF_DATABASE_SECRET_ARN)[0] != '\0' ||
           error_set(err, ERROR_FATAL, "setting_missing",
               "neither database.url (DATABASE_URL) nor database.secret-arn (DB_SECRET_ARN) is set");
}

/* ---- the connection string ---- */

/* Heap; NULL with `err`. */
static char *url_with(const struct conf *conf, const char *secret, struct error *err)
{
    struct arena *arena = arena_new(0);
    const char *url = db_login_url(arena, conf_text(conf, CONF_DATABASE_URL), secret, strlen(secret), err);
    char *copy = xstrdup(url);
    arena_free(arena);
    return copy;
}

void database_url_free(char *url)
{
    if (url != NULL) {
        OPENSSL_cleanse(url, strlen(url));
        free(url);
    }
}

/* A read that is waited for. */
struct reading {
    struct loop *loop;
    const struct conf *conf;
    char *url;
    struct error *err;
};

static void on_first(void *arg, const char *text, const struct error *err)
{
    struct reading *reading = arg;
    if (text != NULL) {
        reading->url = url_with(reading->conf, text, reading->err);
    } else if (reading->err != NULL) {
        *reading->err = *err;
    }
    loop_stop(reading->loop, 0);
}

char *database_url(const struct conf *conf, struct error *err)
{
    const char *arn = conf_text(conf, CONF_DATABASE_SECRET_ARN);
    if (!database_named(conf, err)) {
        return NULL;
    }
    if (arn[0] == '\0') {
        return xstrdup(conf_text(conf, CONF_DATABASE_URL));
    }
    struct reading reading = {.loop = loop_new(0), .conf = conf, .err = err};
    struct aws_secret *secret = aws_secret_new(reading.loop, arn, err);
    if (secret != NULL) {
        aws_secret_read(secret, on_first, &reading);
        (void)loop_run(reading.loop);
    }
    aws_secret_free(secret);
    loop_free(reading.loop);
    return reading.url;
}

struct db_session *database_session(const struct conf *conf, struct error *err)
{
    char *url = database_url(conf, err);
    struct db_session *session = url != NULL ? db_session_open(url, err) : NULL;
    database_url_free(url);
    return session;
}

/* ---- the pool of a role ---- */

struct database {
    const struct conf *conf;
    struct db *db;
    struct aws_secret *secret;    /* NULL: the password is the settings' */
    struct loop_timer *try_again; /* after a read that failed */
    int64_t next_read_ms;         /* monotonic */
};

static void on_again(void *arg, const char *text, const struct error *err)
{
    struct database *database = arg;
    struct error why = {0};
    char *url = text != NULL ? url_with(database->conf, text, &why) : NULL;
    if (url != NULL) {
        log_info("the database's secret was read again");
        db_set_url(database->db, url);
    } else {
        const struct error *said = text != NULL ? &why : err;
        log_warn("the database's secret was not read again", LOG_STR("code", said->code),
            LOG_STR("error", said->text));
        loop_timer_arm(database->try_again, PAUSE_MS);
    }
    database_url_free(url);
}

static void read_again(void *arg)
{
    struct database *database = arg;
    if (!aws_secret_reading(database->secret)) {
        database->next_read_ms = clock_mono_ms() + PAUSE_MS;
        aws_secret_read(database->secret, on_again, database);
    }
}

static void on_refused(void *arg)
{
    const struct database *database = arg;
    if (clock_mono_ms() >= database->next_read_ms) {
        read_again(arg);
    }
}

struct database *database_open(
    struct loop *loop, const struct conf *conf, int64_t query_timeout_ms, struct error *err)
{
    const char *arn = conf_text(conf, CONF_DATABASE_SECRET_ARN);
    char *url = database_url(conf, err);
    if (url == NULL) {
        return NULL;
    }
    struct database *database = xcalloc(1, sizeof(*database));
    database->conf = conf;
    if (arn[0] != '\0') {
        database->secret = aws_secret_new(loop, arn, NULL); /* a good name: it was read by it */
        database->try_again = loop_timer_new(loop, read_again, database);
    }
    const struct db_options options = {
        .url = url,
        .connections = (int)conf_int(conf, CONF_DATABASE_POOL),
        .query_timeout_ms = query_timeout_ms,
        .refused = database->secret != NULL ? on_refused : NULL,
        .refused_arg = database,
    };
    database->db = db_new(loop, &options);
    database_url_free(url);
    return database;
}

struct db *database_pool(const struct database *database)
{
    return database->db;
}

void database_close(struct database *database)
{
    if (database != NULL) {
        db_free(database->db);
        loop_timer_free(database->try_again);
        aws_secret_free(database->secret);
        free(database);
    }
}
