/* A scripted server of a schema registry's API, which says what a real one says only on a bad day, and
 * records in Confluent's framing. Included once by each test program. */
#ifndef HELPDESK_TESTS_REGISTRY_FIXTURE_H
#define HELPDESK_TESTS_REGISTRY_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/alloc.h"
#include "base/health.h"
#include "base/json.h"
#include "bus/registry.h"
#include "bus/registry_call.h"
#include "bus/topics.h"
#include "http/server.h"
#include "msg/codec.h"
#include "msg/registry.h"

#define PATIENCE_MS 20000
#define ORDER "{\"type\":\"record\",\"name\":\"Order\",\"fields\":[{\"name\":\"id\",\"type\":\"int\"}]}"
#define AUTH "Basic dXNlcjpw4piD" /* user:p and a snowman, of RFC 7617's kind */

/* ---- the server ---- */

static struct loop *loop;
static struct http_server *server;
static pthread_t thread;
static atomic_int asked[1000]; /* by id */
static atomic_int unauthorized, broken, registered;
static atomic_int refusing; /* registrations from here on ... */
static atomic_bool raced;   /* ... since another registers the same */
static atomic_bool lacks_schemas, is_incompatible;

static inline bool is_authorized(struct http_request *request)
{
    const char *auth = http_request_header(request, "authorization");
    if (auth != NULL && strcmp(auth, AUTH) == 0) {
        return true;
    }
    unauthorized++;
    http_respond_json(request, 401, "{\"error_code\":40101,\"message\":\"who are you\"}");
    return false;
}

static inline void answer_schema(struct http_request *request, const char *schema, const char *more)
{
    struct buf out;
    buf_init(&out, 4 << 20);
    buf_puts(&out, "{\"schema\":");
    json_put_string(&out, schema);
    buf_printf(&out, "%s}", more);
    http_respond_json(request, 200, buf_text(&out));
    buf_fini(&out);
}

static inline void answer_large(struct http_request *request)
{
    char *schema = xmalloc(300 * 1024);
    memset(schema, ' ', 300 * 1024);
    schema[300 * 1024 - 1] = '\0';
    answer_schema(request, schema, "");
    free(schema);
}

static inline void get_id(struct http_request *request, void *arg)
{
    (void)arg;
    int id = (int)strtol(http_request_param(request, "id"), NULL, 10);
    if (!is_authorized(request)) {
        return;
    }
    asked[id % 1000]++;
    const char *current = msg_schema(&msg_ticket_event);
    switch (id) {
    case 11:
        answer_schema(request, current, ",\"references\":[{\"name\":\"a\",\"subject\":\"b\",\"version\":1}]");
        break;
    case 12:
        answer_schema(request, "syntax = \"proto3\";", ",\"schemaType\":\"PROTOBUF\"");
        break;
    case 13:
        answer_schema(request, ORDER, "");
        break;
    case 14:
        answer_large(request);
        break;
    case 15:
        answer_schema(request, "{\"type\":\"fixed\",\"name\":\"F\",\"size\":-1}", "");
        break;
    case 21:
        http_respond(request, 200, "text/html", "<html>", 6);
        break;
    case 22:
        http_response_header(request, "Location", "/schemas/ids/1");
        http_respond_json(request, 302, "{}");
        break;
    case 23:
        http_respond_json(request, 404, "{\"message\":\"no such page\"}");
        break;
    case 24:
        http_respond_json(request, broken > 0 ? 500 : 200,
            "{\"error_code\":50001,\"message\":\"store\",\"schema\":\"{}\"}");
        break;
    case 404:
        http_respond_json(request, 404, "{\"error_code\":40403,\"message\":\"Schema not found\"}");
        break;
    default:
        answer_schema(request, current, "");
    }
}

/* Looks up, checks or registers: `arg` is the same for all, the route tells. */
static inline void post_find(struct http_request *request, void *arg)
{
    (void)arg;
    size_t len;
    const char *body = http_request_body(request, &len);
    cJSON *json = json_parse(body, len, NULL);
    const char *schema = json_str(json, "schema");
    bool ours = schema != NULL && strcmp(schema, msg_schema(&msg_ticket_event)) == 0;
    cJSON_Delete(json);
    if (!is_authorized(request)) {
        return;
    }
    if (!ours) {
        http_respond_json(request, 422, "{\"error_code\":42201,\"message\":\"not what was expected\"}");
    } else if (lacks_schemas && registered == 0) {
        http_respond_json(request, 404, "{\"error_code\":40401,\"message\":\"Subject not found\"}");
    } else {
        http_respond_json(request, 200, "{\"subject\":\"s\",\"id\":31,\"version\":1,\"schema\":\"...\"}");
    }
}

static inline void post_check(struct http_request *request, void *arg)
{
    (void)arg;
    http_respond_json(request, 200,
        is_incompatible ? "{\"is_compatible\":false,\"messages\":[\"field `x` was cut\"]}"
                        : "{\"is_compatible\":true}");
}

static inline void post_version(struct http_request *request, void *arg)
{
    (void)arg;
    if (refusing > 0) {
        refusing--;
        registered += raced;
        http_respond_json(request, 409, "{\"error_code\":409,\"message\":\"An artifact already exists\"}");
        return;
    }
    registered++;
    http_respond_json(request, 200, "{\"id\":31}");
}

static const struct http_route routes[] = {
    {"GET", "/api/schemas/ids/{id}", get_id},
    {"POST", "/api/subjects/{subject}", post_find},
    {"POST", "/api/compatibility/subjects/{subject}/versions/latest", post_check},
    {"POST", "/api/subjects/{subject}/versions", post_version},
    {NULL, NULL, NULL},
};

static inline void *run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

static inline void stop_loop(void *arg)
{
    loop_stop(arg, 0);
}

static inline void serve(int port)
{
    struct error err = {0};
    struct http_server_options options = {.name = "registry",
        .host = "127.0.0.1",
        .port = port,
        .max_body = 1 << 20,
        .read_deadline_ms = 60000,
        .routes = routes};
    loop = loop_new(0);
    server = http_server_new(loop, &options, &err);
    if (server == NULL) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(pthread_create(&thread, NULL, run_loop, loop), 0);
}

static inline void serve_no_more(void)
{
    loop_post(loop, stop_loop, loop);
    pthread_join(thread, NULL);
    http_server_free(server);
    loop_free(loop);
}

/* ---- what every test starts with ---- */

struct fixture {
    struct conf *conf;
    char run_dir[64];
    int port;
    struct buf datum; /* of a ticket, without a head */
    struct error err;
};

static inline void set(struct fixture *f, const char *name, const char *value)
{
    if (!conf_set(f->conf, name, value, &f->err)) {
        fail_msg("%s", f->err.text);
    }
}

static inline int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    struct buf problems;
    char url[64];

    memset(asked, 0, sizeof asked);
    unauthorized = broken = registered = refusing = 0;
    lacks_schemas = is_incompatible = raced = false;
    serve(0);
    f->port = http_server_port(server);
    buf_init(&problems, 4096);
    f->conf = conf_load(NULL, &problems);
    buf_fini(&problems);
    snprintf(f->run_dir, sizeof f->run_dir, "/tmp/hd-registry-XXXXXX");
    assert_non_null(mkdtemp(f->run_dir));
    snprintf(url, sizeof url, "http://127.0.0.1:%d/api/", f->port);
    set(f, "run.dir", f->run_dir);
    set(f, "schemas.registry", url);
    set(f, "schemas.registry-auth", "user:p\xe2\x98\x83");
    struct arena *arena = arena_new(0);
    struct msg_ticket_event *event = msg_new(&msg_ticket_event, arena);
    event->ticket.subject = "It smokes";
    buf_init(&f->datum, MSG_MAX_RECORD);
    assert_true(msg_encode(&msg_ticket_event, event, &f->datum, NULL));
    memmove(f->datum.data, f->datum.data + 10, f->datum.len -= 10);
    arena_free(arena);
    *state = f;
    return 0;
}

static inline int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    return remove(path);
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    serve_no_more();
    nftw(f->run_dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    buf_fini(&f->datum);
    conf_free(f->conf);
    free(f);
    return 0;
}

static inline void open_for(struct fixture *f, const char *const *topics)
{
    if (!registry_open(f->conf, topics, &f->err)) {
        fail_msg("%s", f->err.text);
    }
}

static const char *const nothing[] = {NULL};
static const char *const answers[] = {TOPIC_ANSWERED, TOPIC_REPLIES, "classifier.dead", NULL};

/* Whether the ticket can be read in Confluent's framing of the id; else f->err. */
static inline bool try_id(struct fixture *f, uint32_t id)
{
    unsigned char head[] = {
        0, (unsigned char)(id >> 24), (unsigned char)(id >> 16), (unsigned char)(id >> 8), (unsigned char)id};
    struct arena *arena = arena_new(0);
    struct buf bytes;

    buf_init(&bytes, MSG_MAX_RECORD);
    buf_append(&bytes, head, sizeof head);
    buf_append(&bytes, f->datum.data, f->datum.len);
    f->err = (struct error){.disposition = ERROR_NONE};
    const struct msg_ticket_event *event =
        msg_decode(&msg_ticket_event, arena, bytes.data, bytes.len, &f->err);
    bool read = event != NULL && strcmp(event->ticket.subject, "It smokes") == 0;
    buf_fini(&bytes);
    arena_free(arena);
    return read;
}

/* Tries as the engine does, until it is read or refused for good. */
static inline bool read_id(struct fixture *f, uint32_t id)
{
    for (int ms = 0; ms < PATIENCE_MS; ms += 5) {
        if (try_id(f, id) || f->err.disposition == ERROR_REJECT) {
            break;
        }
        assert_int_equal(f->err.disposition, ERROR_RETRY);
        usleep(5000);
    }
    return f->err.disposition == ERROR_NONE;
}

static inline void until_code(struct fixture *f, uint32_t id, const char *code)
{
    f->err.code[0] = '\0';
    for (int ms = 0; ms < PATIENCE_MS && strcmp(f->err.code, code) != 0; ms += 5) {
        usleep(5000);
        assert_false(try_id(f, id));
    }
    assert_string_equal(f->err.code, code);
}

#endif
