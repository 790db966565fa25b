/* The schema registry's client against a scripted server of its API, which says what a real one says only on
 * a bad day; the real one is in tests/e2e/test_registry.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
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
static atomic_bool lacks_schemas, is_incompatible;

static bool is_authorized(struct http_request *request)
{
    const char *auth = http_request_header(request, "authorization");
    if (auth != NULL && strcmp(auth, AUTH) == 0) {
        return true;
    }
    unauthorized++;
    http_respond_json(request, 401, "{\"error_code\":40101,\"message\":\"who are you\"}");
    return false;
}

static void answer_schema(struct http_request *request, const char *schema, const char *more)
{
    struct buf out;
    buf_init(&out, 4 << 20);
    buf_puts(&out, "{\"schema\":");
    json_put_string(&out, schema);
    buf_printf(&out, "%s}", more);
    http_respond_json(request, 200, buf_text(&out));
    buf_fini(&out);
}

static void answer_large(struct http_request *request)
{
    char *schema = xmalloc(300 * 1024);
    memset(schema, ' ', 300 * 1024);
    schema[300 * 1024 - 1] = '\0';
    answer_schema(request, schema, "");
    free(schema);
}

static void get_id(struct http_request *request, void *arg)
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
static void post_find(struct http_request *request, void *arg)
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

static void post_check(struct http_request *request, void *arg)
{
    (void)arg;
    http_respond_json(request, 200,
        is_incompatible ? "{\"is_compatible\":false,\"messages\":[\"field `x` was cut\"]}"
                        : "{\"is_compatible\":true}");
}

static void post_version(struct http_request *request, void *arg)
{
    (void)arg;
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

static void *run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

static void stop_loop(void *arg)
{
    loop_stop(arg, 0);
}

static void serve(int port)
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

static void serve_no_more(void)
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

static void set(struct fixture *f, const char *name, const char *value)
{
    if (!conf_set(f->conf, name, value, &f->err)) {
        fail_msg("%s", f->err.text);
    }
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    struct buf problems;
    char url[64];

    memset(asked, 0, sizeof asked);
    unauthorized = broken = registered = 0;
    lacks_schemas = is_incompatible = false;
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

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];

    serve_no_more();
    snprintf(command, sizeof command, "rm -rf '%s'", f->run_dir);
    assert_int_equal(system(command), 0); /* NOLINT: a folder of this test */
    buf_fini(&f->datum);
    conf_free(f->conf);
    free(f);
    return 0;
}

static void open_for(struct fixture *f, const char *const *topics)
{
    if (!registry_open(f->conf, topics, &f->err)) {
        fail_msg("%s", f->err.text);
    }
}

static const char *const nothing[] = {NULL};
static const char *const answers[] = {TOPIC_ANSWERED, TOPIC_REPLIES, "classifier.dead", NULL};

/* Whether the ticket can be read in Confluent's framing of the id; else f->err. */
static bool try_id(struct fixture *f, uint32_t id)
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
static bool read_id(struct fixture *f, uint32_t id)
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

static void until_code(struct fixture *f, uint32_t id, const char *code)
{
    f->err.code[0] = '\0';
    for (int ms = 0; ms < PATIENCE_MS && strcmp(f->err.code, code) != 0; ms += 5) {
        usleep(5000);
        assert_false(try_id(f, id));
    }
    assert_string_equal(f->err.code, code);
}

/* ---- reading ---- */

static void test_unknown_id_is_fetched_once(void **state)
{
    struct fixture *f = *state;

    open_for(f, nothing);
    assert_false(try_id(f, 100));
    assert_int_equal(f->err.disposition, ERROR_RETRY);
    assert_string_equal(f->err.code, "schema_unavailable"); /* does not count as an attempt */
    assert_true(read_id(f, 100));
    assert_true(try_id(f, 100));
    assert_int_equal(asked[100], 1);
    assert_int_equal(unauthorized, 0);
    registry_close();
    assert_true(try_id(f, 100)); /* known as long as the process lives */
}

static void test_refused_ids(void **state)
{
    static const struct {
        uint32_t id;
        const char *code, *text;
    } cases[] = {
        {404, "schema_unknown", "no schema of id 404"},
        {11, "schema_invalid", "refers to others"},
        {12, "schema_invalid", "not Avro but PROTOBUF"},
        {13, "schema_invalid", "a Order"},
        {14, "schema_invalid", "larger than"},
        {15, "schema_invalid", "size of a fixed"},
        {0x80000000U, "schema_unknown", "2147483648"},
    };
    struct fixture *f = *state;

    open_for(f, nothing);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_false(read_id(f, cases[i].id));
        assert_string_equal(f->err.code, cases[i].code);
        if (strstr(f->err.text, cases[i].text) == NULL) {
            fail_msg("id %u: %s", cases[i].id, f->err.text);
        }
        assert_false(try_id(f, cases[i].id)); /* remembered: not asked again */
        assert_string_equal(f->err.code, cases[i].code);
    }
    usleep(100000);
    assert_int_equal(asked[404], 1);
    assert_int_equal(asked[13], 1);
    registry_close();
}

/* Answers that say nothing of the schema: the record waits. */
static void test_no_answer_of_a_registry(void **state)
{
    static const struct {
        uint32_t id;
        const char *text;
    } cases[] = {{21, "answered 200"}, {22, "answered 302"}, {23, "no such page"}};
    struct fixture *f = *state;

    open_for(f, nothing);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        until_code(f, cases[i].id, "registry_unavailable");
        for (int ms = 0; ms < PATIENCE_MS && strstr(f->err.text, cases[i].text) == NULL; ms += 5) {
            usleep(5000);
            try_id(f, cases[i].id);
        }
        assert_non_null(strstr(f->err.text, cases[i].text));
        assert_false(health_ok("registry"));
    }
    assert_true(read_id(f, 101)); /* and holds up no other id */
    registry_close();
}

static void test_registry_that_recovers(void **state)
{
    struct fixture *f = *state;

    set(f, "schemas.registry-auth", "wrong-token");
    open_for(f, nothing);
    until_code(f, 102, "registry_unavailable");
    assert_non_null(strstr(f->err.text, "schemas.registry-auth"));
    assert_null(strstr(f->err.text, "wrong-token"));
    registry_close();
    set(f, "schemas.registry-auth", "user:p\xe2\x98\x83");
    open_for(f, nothing);
    serve_no_more();
    until_code(f, 102, "registry_unavailable");
    assert_false(health_ok("registry"));
    serve(f->port);
    assert_true(read_id(f, 102));
    for (int ms = 0; ms < PATIENCE_MS && !health_ok("registry"); ms += 5) {
        usleep(5000);
    }
    assert_true(health_ok("registry"));
    registry_close();
}

static atomic_int failed;

static void *read_many(void *arg)
{
    struct fixture f = *(struct fixture *)arg;

    for (uint32_t id = 110; id < 130; id++) {
        failed += !read_id(&f, id);
    }
    return NULL;
}

static void test_many_threads_ask_once(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[8];

    open_for(f, nothing);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_many, f), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(failed, 0);
    for (int id = 110; id < 130; id++) {
        assert_int_equal(asked[id], 1);
    }
    registry_close();
}

/* Made-up ids: the queue is bounded, and the registry is not flooded. */
static void test_flood_of_ids(void **state)
{
    struct fixture *f = *state;
    int total = 0;

    open_for(f, nothing);
    for (uint32_t id = 1000000; id < 1010000; id++) {
        try_id(f, id);
        assert_int_equal(f->err.disposition, ERROR_RETRY);
    }
    usleep(300000);
    registry_close();
    for (size_t i = 0; i < 1000; i++) {
        total += asked[i];
    }
    assert_in_range(total, 1, 64);
}

/* ---- the disk ---- */

static const char *cache_path(struct fixture *f, const char *name)
{
    static char path[512];

    snprintf(path, sizeof path, "%s/schemas/http___127.0.0.1_%d_api_/%s", f->run_dir, f->port, name);
    return path;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void test_kept_schemas_are_read_again(void **state)
{
    struct fixture *f = *state;
    struct stat info;

    open_for(f, nothing);
    assert_true(read_id(f, 140));
    registry_close();
    assert_int_equal(stat(cache_path(f, "140.avsc"), &info), 0);
    assert_int_equal(info.st_size, strlen(msg_schema(&msg_ticket_event)));
    /* As another process would have left them. */
    write_file(cache_path(f, "141.avsc"), msg_schema(&msg_ticket_event));
    write_file(cache_path(f, "142.avsc"), "{\"type\":");
    write_file(cache_path(f, "143x.avsc"), msg_schema(&msg_ticket_event));
    write_file(cache_path(f, "144.avsc.q7Hz2M"), msg_schema(&msg_ticket_event));
    serve_no_more();
    open_for(f, nothing);
    assert_true(try_id(f, 141));
    until_code(f, 142, "registry_unavailable");
    until_code(f, 143, "registry_unavailable");
    until_code(f, 144, "registry_unavailable");
    registry_close();
    serve(f->port);
}

/* ---- writing ---- */

static bool encode(struct fixture *f, struct buf *out)
{
    struct arena *arena = arena_new(0);
    struct msg_ticket_event *event = msg_new(&msg_ticket_event, arena);

    buf_init(out, MSG_MAX_RECORD);
    event->ticket.subject = "It smokes";
    bool ok = msg_encode(&msg_ticket_event, event, out, &f->err);
    arena_free(arena);
    return ok;
}

static void test_confluent_framing_is_written(void **state)
{
    struct fixture *f = *state;
    struct buf bytes;

    assert_string_equal(msg_content_type(), "application/avro-single-object");
    set(f, "schemas.framing", "confluent");
    open_for(f, answers);
    assert_true(encode(f, &bytes));
    assert_memory_equal(bytes.data, "\0\0\0\0\x1f", 5);
    assert_int_equal(bytes.len, 5 + f->datum.len);
    assert_memory_equal(bytes.data + 5, f->datum.data, f->datum.len);
    assert_string_equal(msg_content_type(), "application/avro");
    assert_int_equal(registered, 0);
    buf_fini(&bytes);
    registry_close();
    assert_true(encode(f, &bytes)); /* single objects again */
    assert_memory_equal(bytes.data, "\xc3\x01", 2);
    buf_fini(&bytes);
    /* A start without the registry: the id from before is written. */
    serve_no_more();
    open_for(f, answers);
    assert_true(encode(f, &bytes));
    assert_memory_equal(bytes.data, "\0\0\0\0\x1f", 5);
    buf_fini(&bytes);
    registry_close();
    serve(f->port);
}

static void test_missing_schema(void **state)
{
    struct fixture *f = *state;
    struct buf report;

    lacks_schemas = true;
    set(f, "schemas.framing", "confluent");
    assert_false(registry_open(f->conf, answers, &f->err));
    assert_string_equal(f->err.code, "schema_unregistered");
    assert_non_null(strstr(f->err.text, "helpdesk.tickets.answered-value"));
    assert_non_null(strstr(f->err.text, "schemas.register"));
    set(f, "schemas.register", "true");
    is_incompatible = true;
    assert_false(registry_open(f->conf, answers, &f->err));
    assert_string_equal(f->err.code, "schema_incompatible");
    assert_int_equal(f->err.disposition, ERROR_FATAL);
    assert_non_null(strstr(f->err.text, "field `x` was cut"));
    assert_int_equal(registered, 0);
    is_incompatible = false;
    open_for(f, answers);
    assert_int_equal(registered, 1);
    registry_close();
    buf_init(&report, 64 * 1024);
    assert_false(registry_report(f->conf, false, &report, &f->err)); /* the server takes tickets only */
    assert_non_null(strstr(buf_text(&report), "helpdesk.tickets.replies-value"));
    assert_non_null(strstr(buf_text(&report), "id 31"));
    assert_string_equal(f->err.code, "schema_refused");
    buf_fini(&report);
}

static void test_writing_waits_for_the_registry(void **state)
{
    struct fixture *f = *state;
    struct buf bytes;

    /* Ids stay with the process, so this is of a type that no other test writes. */
    serve_no_more();
    set(f, "schemas.framing", "confluent");
    open_for(f, (const char *const[]){TOPIC_FEEDBACK, NULL});
    assert_false(health_ok("registry"));
    struct arena *arena = arena_new(0);
    const struct msg_feedback *feedback = msg_new(&msg_feedback, arena);
    buf_init(&bytes, MSG_MAX_RECORD);
    assert_false(msg_encode(&msg_feedback, feedback, &bytes, &f->err));
    assert_int_equal(f->err.disposition, ERROR_RETRY);
    assert_string_equal(f->err.code, "registry_unavailable");
    serve(f->port); /* it refuses a schema that is not a ticket's */
    for (int ms = 0; ms < PATIENCE_MS && f->err.disposition == ERROR_RETRY; ms += 5) {
        usleep(5000);
        assert_false(msg_encode(&msg_feedback, feedback, &bytes, &f->err));
    }
    assert_int_equal(f->err.disposition, ERROR_FATAL);
    assert_non_null(strstr(f->err.text, "not what was expected"));
    assert_int_equal(bytes.len, 0);
    assert_false(health_ok("registry"));
    arena_free(arena);
    registry_close();
}

/* ---- settings ---- */

static void test_wrong_settings(void **state)
{
    static const struct {
        const char *name, *value, *word;
    } cases[] = {
        {"schemas.register", "true", "schemas.framing"},
        {"schemas.registry", "registry:8081", "http"},
        {"schemas.registry", "http://", "http"},
        {"schemas.registry", "http://user:password@registry", "schemas.registry-auth"},
        {"schemas.registry", "http://registry?x=1", "query"},
        {"schemas.registry-auth", ":password", "user:password"},
        {"schemas.registry", "", "schemas.registry"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct conf *whole = f->conf;
        char before[256];
        f->err = (struct error){.disposition = ERROR_NONE};
        int row = strcmp(cases[i].name, "schemas.register") == 0        ? CONF_SCHEMAS_REGISTER
                  : strcmp(cases[i].name, "schemas.registry-auth") == 0 ? CONF_SCHEMAS_REGISTRY_AUTH
                                                                        : CONF_SCHEMAS_REGISTRY;
        snprintf(before, sizeof before, "%s",
            row == CONF_SCHEMAS_REGISTER ? "false" : conf_text(whole, (enum conf_id)row));
        set(f, cases[i].name, cases[i].value);
        assert_false(registry_open(f->conf, nothing, &f->err));
        assert_int_equal(f->err.disposition, ERROR_FATAL);
        if (strstr(f->err.text, cases[i].word) == NULL) {
            fail_msg("%s: %s", cases[i].value, f->err.text);
        }
        set(f, cases[i].name, before);
    }
    open_for(f, nothing);
    registry_close();
}

/* ---- bounds; last, as it fills the process's table ---- */

static void test_table_is_bounded(void **state)
{
    struct fixture *f = *state;
    const char *schema = msg_schema(&msg_ticket_event);
    uint32_t id = 500000;

    while (msg_known_ids() < MSG_MAX_IDS) {
        assert_true(msg_learn_id(id++, schema, strlen(schema), &f->err));
    }
    assert_true(msg_learn_id(id - 1, schema, strlen(schema), &f->err)); /* known already */
    assert_false(msg_learn_id(id, schema, strlen(schema), &f->err));
    assert_int_equal(f->err.disposition, ERROR_REJECT);
    assert_string_equal(f->err.code, "schema_invalid");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_unknown_id_is_fetched_once),
        TEST(test_refused_ids),
        TEST(test_no_answer_of_a_registry),
        TEST(test_registry_that_recovers),
        TEST(test_many_threads_ask_once),
        TEST(test_flood_of_ids),
        TEST(test_kept_schemas_are_read_again),
        TEST(test_confluent_framing_is_written),
        TEST(test_missing_schema),
        TEST(test_writing_waits_for_the_registry),
        TEST(test_wrong_settings),
        TEST(test_table_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
