/* Reading with a schema registry's help: unknown ids, the registry's answers and absence, what is kept. The
 * real registry is in tests/e2e/test_registry.py. */
#include "registry_fixture.h"

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
        TEST(test_table_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
