/* Queries and records of the gateway, counted while they are under way. */
#include <stdlib.h>

#include "base/alloc.h"
#include "gateway/internal.h"

struct call {
    struct gateway *gateway;
    db_done *queried;
    bus_delivered *delivered;
    void *arg;
};

static struct call *call_new(struct gateway *gateway, void *arg)
{
    struct call *call = xcalloc(1, sizeof *call);
    call->gateway = gateway;
    call->arg = arg;
    gateway->pending++;
    return call;
}

static void call_queried(void *arg, const struct db_result *result, const struct error *err)
{
    struct call *call = arg;
    call->gateway->pending--;
    call->queried(call->arg, result, err);
    free(call);
}

static void call_delivered(void *arg, const struct error *err)
{
    struct call *call = arg;
    call->gateway->pending--;
    call->delivered(call->arg, err);
    free(call);
}

void gateway_query(struct gateway *gateway, const struct db_query *query, db_done *done, void *arg)
{
    struct call *call = call_new(gateway, arg);
    call->queried = done;
    db_query(gateway->db, query, call_queried, call);
}

void gateway_produce(struct gateway *gateway, const struct bus_record *record, bus_delivered *done, void *arg)
{
    struct call *call = call_new(gateway, arg);
    call->delivered = done;
    bus_produce(gateway->producer, record, call_delivered, call);
}
