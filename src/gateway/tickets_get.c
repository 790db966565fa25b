/* GET /tickets/{ticket_id}: where a ticket stands, how it came there, and its result. */
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/log.h"
#include "gateway/answer_out.h"
#include "gateway/internal.h"
#include "gateway/patience.h"
#include "msg/codec.h"
#include "stages/ticket_check.h"

#define CLOCK_SKEW_MS 60000 /* a run minted on a machine whose clock is ahead of ours */

struct ticket_get {
    struct gateway *gateway;
    struct http_request *request;
    const char *ticket_id;
    const char *run; /* NULL: the newest */
};

enum { CORRELATION_ID, STATE, STATUS, RECEIVED_AT, FINISHED_AT, TOTAL_MS, RESULT, HISTORY };

/* Times in milliseconds. A run that was claimed and not published is none yet: whoever claimed it was told
 * so. A ticket may be in the log later than its run: until then it is open. */
static const char get_sql[] =
    "SELECT r.correlation_id, coalesce(r.state, t.state), "
    "coalesce(t.status, CASE WHEN r.kind = 'ticket' THEN 'open' END), "
    "(extract(epoch FROM coalesce(r.received_at, t.received_at)) * 1000)::bigint, "
    "(extract(epoch FROM r.finished_at) * 1000)::bigint, "
    "extract(epoch FROM r.finished_at - r.received_at) * 1000, r.result, "
    "(SELECT json_agg(json_build_object("
    "'kind', CASE kind WHEN 'dead_letter' THEN 'failed' ELSE kind END, 'state', state, "
    "'at', (extract(epoch FROM at) * 1000)::bigint, 'correlation_id', correlation_id, "
    "'attempts', CASE WHEN attempts ~ '^[0-9]{1,9}$' THEN attempts::int END) "
    "ORDER BY at, received_at) "
    "FROM (SELECT *, coalesce(payload #>> '{steps,-1,attempts}', payload ->> 'attempts') AS attempts "
    "FROM interactions i WHERE i.tenant = $1 AND i.ticket_id = $2 "
    "AND ($3::text IS NULL OR i.correlation_id = $3) ORDER BY received_at DESC, at DESC LIMIT 100) i) "
    "FROM (SELECT $1::text AS tenant, $2::text AS ticket_id) k "
    "LEFT JOIN tickets t ON t.tenant = k.tenant AND t.ticket_id = k.ticket_id "
    "LEFT JOIN LATERAL (SELECT * FROM runs WHERE tenant = k.tenant AND ticket_id = k.ticket_id "
    "AND CASE WHEN $3::text IS NULL THEN kind = 'ticket' ELSE correlation_id = $3 END "
    "AND (published_at IS NOT NULL OR state <> 'accepted' OR content_hash = '') "
    "ORDER BY received_at DESC LIMIT 1) r ON true "
    "WHERE r.correlation_id IS NOT NULL OR ($3::text IS NULL AND t.ticket_id IS NOT NULL)";

static void add_text_or_null(cJSON *object, const char *name, const char *text)
{
    cJSON_AddItemToObject(object, name, text != NULL ? cJSON_CreateString(text) : cJSON_CreateNull());
}

static cJSON *time_json(bool has, int64_t wall_ms)
{
    char text[CLOCK_RFC3339_SIZE];
    if (!has) {
        return cJSON_CreateNull();
    }
    clock_format(wall_ms, text);
    return cJSON_CreateString(text);
}

static void add_time(cJSON *object, const char *name, const struct db_result *row, int column)
{
    bool has = db_value(row, 0, column) != NULL;
    cJSON_AddItemToObject(object, name, time_json(has, db_int(row, 0, column)));
}

static void add_history(cJSON *object, const char *text)
{
    struct error err = {0};
    cJSON *list = text != NULL ? json_parse(text, strlen(text), &err) : NULL;
    cJSON *entry;
    cJSON_ArrayForEach(entry, list)
    {
        cJSON_ReplaceItemInObject(entry, "at", time_json(true, (int64_t)json_num(entry, "at", 0)));
    }
    cJSON_AddItemToObject(object, "history", list != NULL ? list : cJSON_CreateArray());
}

/* The result in the shape of auto-orchestrate, or NULL when the log's is not readable (logged). */
static cJSON *result_json(
    struct ticket_get *get, const struct db_result *row, const struct msg_ticket_event *event)
{
    struct buf text;
    struct error err = {0};
    buf_init(&text, ANSWER_MAX_BYTES);
    struct answer_facts facts = {
        .arena = http_request_arena(get->request),
        .event = event,
        .sla = &get->gateway->sla,
        .total_ms = db_number(row, 0, TOTAL_MS),
    };
    answer_render(&text, ANSWER_ORCHESTRATION, &facts);
    cJSON *json = json_parse(buf_text(&text), text.len, &err);
    buf_fini(&text);
    return json;
}

static struct msg_ticket_event *read_event(struct ticket_get *get, const char *text)
{
    struct error err = {0};
    struct msg_ticket_event *event = NULL;
    cJSON *json = json_parse(text, strlen(text), &err);
    if (json != NULL) {
        event = msg_from_json(&msg_ticket_event, http_request_arena(get->request), json, &err);
        cJSON_Delete(json);
    }
    if (event == NULL) {
        log_error("result in the log is not readable", LOG_STR("error", err.text));
    }
    return event;
}

static void add_result(struct ticket_get *get, const struct db_result *row, cJSON *object)
{
    const char *text = db_value(row, 0, RESULT);
    const struct msg_ticket_event *event = text != NULL ? read_event(get, text) : NULL;
    if (event == NULL || event->state == MSG_STATE_FAILED) {
        cJSON_AddNullToObject(object, "result");
    } else {
        cJSON_AddItemToObject(object, "result", result_json(get, row, event));
    }
    const char *why = NULL;
    if (event != NULL && event->failure != NULL) {
        why = event->failure->message;
    } else if (event == NULL && strcmp(db_value(row, 0, STATE), "failed") == 0) {
        why = "The ticket was lost on its way. Send it again.";
    }
    if (why != NULL) {
        cJSON_AddStringToObject(cJSON_AddObjectToObject(object, "failure"), "message", why);
    }
}

static void answer_ticket(struct ticket_get *get, const struct db_result *row)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "ticket_id", get->ticket_id);
    add_text_or_null(object, "correlation_id", db_value(row, 0, CORRELATION_ID));
    add_text_or_null(object, "state", db_value(row, 0, STATE));
    add_text_or_null(object, "status", db_value(row, 0, STATUS));
    add_time(object, "received_at", row, RECEIVED_AT);
    add_time(object, "finished_at", row, FINISHED_AT);
    add_history(object, db_value(row, 0, HISTORY));
    add_result(get, row, object);
    struct buf body;
    buf_init(&body, 2 * ANSWER_MAX_BYTES);
    json_put_and_delete(&body, object);
    http_respond(get->request, 200, "application/json", buf_text(&body), body.len);
    buf_fini(&body);
}

/* Any gateway may be asked for a run whose log is still to come: the run's id tells how old it is. */
static bool run_is_recent(const struct ticket_get *get)
{
    int64_t minted;
    if (get->run == NULL || !uuid_v7_time(get->run, &minted)) {
        return false;
    }
    int64_t age = clock_wall_ms() - minted;
    return age > -CLOCK_SKEW_MS && age < conf_int(get->gateway->conf, CONF_GATEWAY_RECENT);
}

static void answer_processing(struct ticket_get *get)
{
    struct arena *arena = http_request_arena(get->request);
    const char *location = answer_location(arena, get->ticket_id, get->run);
    struct buf body;
    buf_init(&body, ANSWER_MAX_BYTES);
    answer_render_processing(&body, get->ticket_id, get->run, location);
    http_response_header(get->request, "Location", location);
    http_response_header(get->request, "Retry-After", arena_printf(arena, "%d", RETRY_AFTER_S));
    http_respond_json(get->request, 202, buf_text(&body));
    buf_fini(&body);
}

static void got(void *arg, const struct db_result *result, const struct error *err)
{
    struct ticket_get *get = arg;
    if (err != NULL) {
        request_fail(get->request, err);
    } else if (db_rows(result) > 0) {
        answer_ticket(get, result);
    } else if (run_is_recent(get)) {
        answer_processing(get);
    } else {
        http_respond_problem(get->request, 404, "There is no such ticket, or no such run of it.");
    }
}

void handle_ticket_get(struct http_request *request, void *arg)
{
    struct gateway *gateway = arg;
    struct ticket_get *get = ARENA_NEW(http_request_arena(request), struct ticket_get);
    get->gateway = gateway;
    get->request = request;
    get->ticket_id = http_request_param(request, "ticket_id");
    get->run = http_request_query(request, "run");
    if (!ticket_id_valid(get->ticket_id) || (get->run != NULL && !uuid_valid(get->run))) {
        http_respond_problem(request, 404, "There is no such ticket, or no such run of it.");
        return;
    }
    if (!request_check_database(gateway, request)) {
        return;
    }
    if (get->run != NULL) {
        http_request_set_correlation_id(request, get->run);
    }
    struct db_query query = {
        .sql = get_sql, .param_count = 3, .params = {gateway->tenant, get->ticket_id, get->run}};
    /* An old run will not come any more. */
    bool may_come = get->run == NULL || run_is_recent(get);
    patience_query(gateway, &query, may_come ? conf_int(gateway->conf, CONF_GATEWAY_LOG_WAIT) : 0, got, get);
}
