/* A client's inside: what its files share. */
#ifndef HELPDESK_CLIENT_CLIENT_H
#define HELPDESK_CLIENT_CLIENT_H

#include "base/arena.h"
#include "base/error.h"
#include "bus/bus.h"
#include "conf/conf.h"
#include "helpdesk/helpdesk.h"
#include "loop/loop.h"
#include "msg/codec.h"

struct consume;

struct helpdesk_client {
    struct conf *conf;
    bool registry; /* opened */
    struct loop *loop;
    struct loop_timer *poll_timer;
    struct bus_producer *producer;
    struct consume *consume; /* NULL until helpdesk_consume */
    size_t pending;
    struct error fatal; /* set once the client cannot go on */
};

/* Copies an error out; either may be NULL. Always false. */
bool client_error(struct helpdesk_error *out, const struct error *err);
/* Notes that the client cannot go on; the first reason stays. */
void client_fail(struct helpdesk_client *client, const struct error *err);
/* Lets the poll under way return: a callback was called. */
void client_called_back(struct helpdesk_client *client);
/* Turns the loop until `*over` or the time is up. */
void client_run_until(struct helpdesk_client *client, const bool *over, int64_t timeout_ms);

/* ---- consume.c ---- */

void consume_close(struct consume *consume); /* commits, leaves the group; the loop turns meanwhile */
void consume_free(struct consume *consume);  /* after consume_close; NULL is fine */

/* ---- answer.c ---- */

/* The event as the public struct, in the arena; borrows from the event. */
const struct helpdesk_answer *answer_from_event(struct arena *arena, const struct msg_ticket_event *event);

#endif
