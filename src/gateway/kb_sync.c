/* POST /kb/sync starts a job that reads documents again; GET /kb/sync/{job_id} tells how far it is. */
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/json.h"
#include "bus/topics.h"
#include "gateway/field_errors.h"
#include "gateway/internal.h"
#include "gateway/publish.h"

#define ROUTE "POST /kb/sync"
#define SOURCE_BYTES 128
#define FAILURES_SHOWN "100"

/* ---- starting a job ---- */

/* In the request's arena; the request is answered when the last call came back. */
struct kb_sync {
    struct gateway *gateway;
    struct http_request *request;
    struct arena *arena;
    struct msg_kb_notification record;
};

static void answer_started(struct kb_sync *sync)
{
    http_respond_json(sync->request, 200,
        arena_printf(sync->arena, "{\"job_id\":\"%s\",\"status\":\"started\"}", sync->record.job_id));
}

static void delivered(void *arg, const struct error *err)
{
    struct kb_sync *sync = arg;
    if (err != NULL) {
        request_fail(sync->request, err);
    } else {
        answer_started(sync);
    }
}

static void job_inserted(void *arg, const struct db_result *result, const struct error *err)
{
    struct kb_sync *sync = arg;
    struct error wrong = {0};
    if (err != NULL) {
        request_fail(sync->request, err);
        return;
    }
    if (strcmp(db_value(result, 0, 0), "started") !=
        0) { /* asked for again under the same key: it runs already */
        answer_started(sync);
        return;
    }
    const char *key = arena_printf(sync->arena, "%s/", sync->record.source);
    if (!publish_record(sync->gateway, TOPIC_KB_NOTIFICATIONS, &msg_kb_notification, &sync->record, key,
            http_request_correlation_id(sync->request), delivered, sync, &wrong)) {
        request_fail(sync->request, &wrong);
    }
}

static void insert_job(struct kb_sync *sync)
{
    struct db_query query = {
        .sql = "INSERT INTO kb_jobs AS j (tenant, job_id, source, full_read) VALUES ($1, $2, $3, $4) "
               "ON CONFLICT (tenant, job_id) DO UPDATE SET source = j.source RETURNING state",
        .param_count = 4,
        .params = {sync->gateway->tenant, sync->record.job_id, sync->record.source,
            sync->record.full ? "true" : "false"},
    };
    gateway_query(sync->gateway, &query, job_inserted, sync);
}

static void key_claimed(void *arg, const char *job_id, const struct error *err)
{
    struct kb_sync *sync = arg;
    if (err != NULL) {
        request_fail(sync->request, err);
    } else if (job_id == NULL) {
        request_fail_key(sync->request);
    } else {
        sync->record.job_id = arena_strdup(sync->arena, job_id);
        insert_job(sync);
    }
}

static void read_members(struct kb_sync *sync, const cJSON *json, struct field_errors *errors)
{
    static const char *const members[] = {"source", "full", NULL};
    struct field_unknown unknown = {0};
    const char *source = field_token(errors, json, "", "source", SOURCE_BYTES);
    sync->record.source = source != NULL ? source : "";
    sync->record.full = field_bool(errors, json, "", "full");
    field_find_unknown(&unknown, sync->arena, json, "", members);
    const char *warning = field_warning(&unknown, sync->arena);
    if (warning != NULL) {
        http_response_header(sync->request, "X-Helpdesk-Warning", warning);
    }
}

/* Reads the body, which may be empty. False: answered. */
static bool read_sync(struct kb_sync *sync)
{
    size_t len;
    struct error err = {0};
    const char *body = http_request_body(sync->request, &len);
    struct field_errors *errors = ARENA_NEW(sync->arena, struct field_errors);
    field_errors_init(errors, sync->arena);
    sync->record.source = "";
    if (len == 0) {
        return true;
    }
    cJSON *json = json_parse(body, len, &err);
    if (cJSON_IsObject(json)) {
        read_members(sync, json, errors);
    } else {
        field_error_root(errors, json == NULL ? err.text : "must be a JSON object");
    }
    cJSON_Delete(json);
    if (errors->count == 0) {
        return true;
    }
    http_respond_invalid(sync->request, errors->list, errors->count);
    return false;
}

void handle_kb_sync(struct http_request *request, void *arg)
{
    const char *key;
    struct arena *arena = http_request_arena(request);
    struct kb_sync *sync = ARENA_NEW(arena, struct kb_sync);
    sync->gateway = arg;
    sync->request = request;
    sync->arena = arena;
    if (!request_check_body(request, true) || !request_read_key(request, &key) || !read_sync(sync) ||
        !request_check_ready(request)) {
        return;
    }
    char *job_id = arena_alloc(arena, UUID_TEXT_SIZE);
    uuid_v7(job_id);
    sync->record.action = MSG_KB_ACTION_SYNC;
    sync->record.tenant = sync->gateway->tenant;
    sync->record.object_key = "";
    sync->record.bucket = "";
    sync->record.sequencer = "";
    sync->record.job_id = job_id;
    sync->record.has_requested_at = true;
    sync->record.requested_at = clock_wall_ms();
    if (key != NULL) {
        size_t len;
        const char *body = http_request_body(request, &len);
        idempotency_claim(sync->gateway, ROUTE, key, body, len, job_id, key_claimed, sync);
    } else {
        insert_job(sync);
    }
}

/* ---- asking for a job ---- */

struct kb_job {
    struct http_request *request;
};

enum {
    JOB_ID,
    JOB_STATE,
    JOB_SOURCE,
    JOB_FULL,
    JOB_WHY,
    JOB_STARTED_AT,
    JOB_FINISHED_AT,
    JOB_FAILURES,
    JOB_COUNTS, /* and the columns after it, as job_counts names them */
};

static const char *const job_counts[] = {"found", "read", "changed", "failed", "removed", "left"};

static void add_time(cJSON *object, const char *name, const struct db_result *row, int column)
{
    char text[CLOCK_RFC3339_SIZE];
    if (db_value(row, 0, column) == NULL) {
        cJSON_AddNullToObject(object, name);
        return;
    }
    clock_format(db_int(row, 0, column), text);
    cJSON_AddStringToObject(object, name, text);
}

static void answer_job(struct kb_job *job, const struct db_result *row)
{
    const char *failures = db_value(row, 0, JOB_FAILURES);
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "job_id", db_value(row, 0, JOB_ID));
    cJSON_AddStringToObject(object, "status", db_value(row, 0, JOB_STATE));
    cJSON_AddStringToObject(object, "source", db_value(row, 0, JOB_SOURCE));
    cJSON_AddBoolToObject(object, "full", db_bool(row, 0, JOB_FULL));
    for (size_t i = 0; i < sizeof job_counts / sizeof job_counts[0]; i++) {
        cJSON_AddNumberToObject(object, job_counts[i], (double)db_int(row, 0, JOB_COUNTS + (int)i));
    }
    cJSON_AddStringToObject(object, "why", db_value(row, 0, JOB_WHY));
    add_time(object, "started_at", row, JOB_STARTED_AT);
    add_time(object, "finished_at", row, JOB_FINISHED_AT);
    cJSON_AddItemToObject(object, "failures", json_parse(failures, strlen(failures), NULL));
    struct buf body;
    buf_init(&body, 4 * 1024 * 1024);
    json_put_and_delete(&body, object);
    http_respond_json(job->request, 200, buf_text(&body));
    buf_fini(&body);
}

static void job_read(void *arg, const struct db_result *result, const struct error *err)
{
    struct kb_job *job = arg;
    if (err != NULL) {
        request_fail(job->request, err);
    } else if (db_rows(result) == 0) {
        http_respond_problem(job->request, 404, "There is no such job.");
    } else {
        answer_job(job, result);
    }
}

void handle_kb_job_get(struct http_request *request, void *arg)
{
    struct gateway *gateway = arg;
    const char *job_id = http_request_param(request, "job_id");
    if (!uuid_valid(job_id)) {
        http_respond_problem(request, 404, "There is no such job.");
        return;
    }
    if (!request_check_database(gateway, request)) {
        return;
    }
    struct kb_job *job = ARENA_NEW(http_request_arena(request), struct kb_job);
    job->request = request;
    struct db_query query = {
        .sql =
            "SELECT job_id, state, source, full_read, why, (extract(epoch FROM started_at) * 1000)::bigint, "
            "(extract(epoch FROM finished_at) * 1000)::bigint, (SELECT coalesce(json_agg(f), '[]') FROM "
            "(SELECT "
            "source, object_key AS key, left(why, 1000) AS why FROM kb_documents d WHERE d.tenant = $1 "
            "AND d.state = 'failed' AND (j.source = '' OR d.source = j.source) "
            "ORDER BY d.source, d.object_key COLLATE \"C\" LIMIT " FAILURES_SHOWN
            ") f), found, read, changed, failed, removed, remaining "
            "FROM kb_jobs j WHERE tenant = $1 AND job_id = $2",
        .param_count = 2,
        .params = {gateway->tenant, job_id},
    };
    gateway_query(gateway, &query, job_read, job);
}
