/* NOTIFY on a connection of its own: channels are listened to again after every loss. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/log.h"
#include "db/db_pool.h"

struct listener {
    struct listener *next;
    char *channel;
    void (*fn)(void *arg, const char *payload);
    void *arg;
    bool listening; /* on this connection, and told so */
};

struct db_listen {
    struct db_link link;
    struct listener *listeners;
    bool asked; /* LISTEN is on its way */
};

/* Sends LISTEN for all channels that are not listened to yet. */
static void ask(struct db_listen *listen)
{
    struct buf sql;
    buf_init(&sql, 64 * 1024);
    for (struct listener *at = listen->listeners; at != NULL; at = at->next) {
        if (!at->listening) {
            char *channel = PQescapeIdentifier(listen->link.conn, at->channel, strlen(at->channel));
            buf_printf(&sql, "LISTEN %s;", channel != NULL ? channel : "");
            PQfreemem(channel);
        }
    }
    if (sql.len > 0) {
        listen->asked = true;
        if (PQsendQuery(listen->link.conn, buf_text(&sql)) == 1) {
            db_link_flush(&listen->link);
        } else {
            db_link_lose(&listen->link);
        }
    }
    buf_fini(&sql);
}

static void on_up(struct db_link *link, void *arg)
{
    (void)link;
    struct db_listen *listen = arg;
    listen->asked = false;
    ask(listen);
}

static void on_asked(struct db_listen *listen)
{
    listen->asked = false;
    for (struct listener *at = listen->listeners; at != NULL; at = at->next) {
        if (!at->listening) {
            at->listening = true;
            at->fn(at->arg, "");
        }
    }
}

static void on_input(struct db_link *link, void *arg)
{
    struct db_listen *listen = arg;
    while (listen->asked && PQisBusy(link->conn) == 0) {
        PGresult *result = PQgetResult(link->conn);
        if (result == NULL) {
            on_asked(listen);
            break;
        }
        bool ok = PQresultStatus(result) == PGRES_COMMAND_OK;
        PQclear(result);
        if (!ok) {
            listen->asked = false;
            db_link_lose(link);
        }
    }
    for (PGnotify *note = PQnotifies(link->conn); note != NULL; note = PQnotifies(link->conn)) {
        for (struct listener *at = listen->listeners; at != NULL; at = at->next) {
            if (strcmp(at->channel, note->relname) == 0) {
                at->fn(at->arg, note->extra);
            }
        }
        PQfreemem(note);
    }
}

static void on_down(struct db_link *link, const struct error *why, void *arg)
{
    struct db_listen *listen = arg;
    if (link->attempts == 1) {
        log_warn("not listening for notifications of the database", LOG_STR("error", why->text));
    }
    listen->asked = false;
    for (struct listener *at = listen->listeners; at != NULL; at = at->next) {
        at->listening = false;
    }
}

struct db_listen *db_listen_new(struct loop *loop, const struct db_server *server)
{
    static const struct db_link_events events = {.up = on_up, .input = on_input, .down = on_down};
    struct db_listen *listen = xcalloc(1, sizeof(*listen));
    db_link_init(&listen->link, loop, server, 0, &events, listen);
    return listen;
}

void db_listen_free(struct db_listen *listen)
{
    if (listen == NULL) {
        return;
    }
    db_link_fini(&listen->link);
    while (listen->listeners != NULL) {
        struct listener *at = listen->listeners;
        listen->listeners = at->next;
        free(at->channel);
        free(at);
    }
    free(listen);
}

/* The server goes on to send on its channel; nobody is told. */
void db_listen_remove(struct db_listen *listen, void (*fn)(void *arg, const char *payload), void *arg)
{
    struct listener **link = &listen->listeners;
    while (*link != NULL && ((*link)->fn != fn || (*link)->arg != arg)) {
        link = &(*link)->next;
    }
    struct listener *gone = *link;
    if (gone != NULL) {
        *link = gone->next;
        free(gone->channel);
        free(gone);
    }
}

bool db_listen_up(const struct db_listen *listen)
{
    bool up = listen->link.state == DB_LINK_UP;
    for (const struct listener *at = listen->listeners; at != NULL; at = at->next) {
        up = up && at->listening;
    }
    return up;
}

void db_listen_add(
    struct db_listen *listen, const char *channel, void (*fn)(void *arg, const char *payload), void *arg)
{
    struct listener *at = xcalloc(1, sizeof(*at));
    *at = (struct listener){.next = listen->listeners, .channel = xstrdup(channel), .fn = fn, .arg = arg};
    listen->listeners = at;
    if (listen->link.state == DB_LINK_UP && !listen->asked) {
        ask(listen);
    }
}
