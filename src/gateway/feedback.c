/* POST /tickets/{ticket_id}/feedback: what an agent or a customer made of an answer, on its way to the log.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/json.h"
#include "bus/topics.h"
#include "gateway/feedback_in.h"
#include "gateway/internal.h"
#include "gateway/patience.h"
#include "gateway/publish.h"
#include "gateway/ticket_in.h"
#include "stages/ticket_check.h"

#define ROUTE "POST /tickets/{ticket_id}/feedback"

/* In the request's arena; the request is answered when the last call came back. */
struct feedback {
    struct gateway *gateway;
    struct http_request *request;
    struct arena *arena;
    const char *ticket_id;
    const char *key;
    struct msg_feedback record;
};

static void delivered(void *arg, const struct error *err)
{
    struct feedback *f = arg;
    if (err != NULL) {
        request_fail(f->request, err);
        return;
    }
    http_respond_json(f->request, 200,
        arena_printf(f->arena, "{\"status\":\"accepted\",\"feedback_id\":\"%s\"}", f->record.feedback_id));
}

static void publish_feedback(struct feedback *f)
{
    struct error err = {0};
    const char *key = arena_printf(f->arena, "%s/%s", f->gateway->tenant, f->ticket_id);
    const char *correlation_id = http_request_correlation_id(f->request);
    if (publish_record(
            f->gateway, TOPIC_FEEDBACK, &msg_feedback, &f->record, key, correlation_id, delivered, f, &err)) {
        return;
    }
    if (strcmp(err.code, "record_too_large") == 0) {
        http_respond_problem(f->request, 413, "The feedback is too large.");
    } else {
        request_fail(f->request, &err);
    }
}

static void key_claimed(void *arg, const char *feedback_id, const struct error *err)
{
    struct feedback *f = arg;
    if (err != NULL) {
        request_fail(f->request, err);
    } else if (feedback_id == NULL) {
        request_fail_key(f->request);
    } else {
        f->record.feedback_id = arena_strdup(f->arena, feedback_id);
        /* Sent again, it is what was said then: nothing that was said since is undone. */
        uuid_v7_time(feedback_id, &f->record.received_at);
        publish_feedback(f);
    }
}

static void ticket_found(void *arg, const struct db_result *result, const struct error *err)
{
    struct feedback *f = arg;
    if (err != NULL) {
        request_fail(f->request, err);
    } else if (db_rows(result) == 0) {
        http_respond_problem(f->request, 404, "There is no such ticket.");
    } else if (f->key != NULL) {
        size_t len;
        const char *body = http_request_body(f->request, &len);
        /* The same key for another ticket asks for something else. */
        const char *route = arena_printf(f->arena, ROUTE " %s", f->ticket_id);
        idempotency_claim(f->gateway, route, f->key, body, len, f->record.feedback_id, key_claimed, f);
    } else {
        publish_feedback(f);
    }
}

/* Reads the body. False: answered. */
static bool read_feedback(struct feedback *f)
{
    size_t len;
    const char *body = http_request_body(f->request, &len);
    struct field_errors *errors = ARENA_NEW(f->arena, struct field_errors);
    const char *warning = NULL;
    field_errors_init(errors, f->arena);
    bool ok = feedback_in_read(f->arena, body, len, &f->record, &warning, errors);
    if (warning != NULL) {
        http_response_header(f->request, "X-Helpdesk-Warning", warning);
    }
    if (!ok) {
        http_respond_invalid(f->request, errors->list, errors->count);
    }
    return ok;
}

void handle_feedback(struct http_request *request, void *arg)
{
    struct gateway *gateway = arg;
    struct arena *arena = http_request_arena(request);
    struct feedback *f = ARENA_NEW(arena, struct feedback);
    f->gateway = gateway;
    f->request = request;
    f->arena = arena;
    f->ticket_id = http_request_param(request, "ticket_id");
    if (!request_check_body(request, false) || !request_read_key(request, &f->key) || !read_feedback(f)) {
        return;
    }
    if (!ticket_id_valid(f->ticket_id)) {
        http_respond_problem(request, 404, "There is no such ticket.");
        return;
    }
    if (!request_check_ready(request)) {
        return;
    }
    char *id = arena_alloc(arena, UUID_TEXT_SIZE);
    uuid_v7(id);
    f->record.ticket_id = f->ticket_id;
    f->record.feedback_id = id;
    f->record.tenant = gateway->tenant;
    f->record.has_received_at = true;
    f->record.received_at = clock_wall_ms();
    struct db_query query = {
        .sql = "SELECT 1 FROM tickets WHERE tenant = $1 AND ticket_id = $2 UNION ALL "
               "SELECT 1 FROM runs WHERE tenant = $1 AND ticket_id = $2 AND kind = 'ticket' "
               "AND (published_at IS NOT NULL OR state <> 'accepted') LIMIT 1",
        .param_count = 2,
        .params = {gateway->tenant, f->ticket_id},
    };
    patience_query(gateway, &query, conf_int(gateway->conf, CONF_GATEWAY_LOG_WAIT), ticket_found, f);
}
