/* Vectors in memory: read from the database, kept up with it, and searched as those of the model that was
 * asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "base/clock.h"
#include "base/metrics.h"
#include "kb/vector_memory.h"
#include "loop/loop.h"
#include "pg_testdb.h"

#define PATIENCE_MS 60000
#define LOOK_MS 20
/* Two texts, which the models a and b turn the other way round. */
#define TEXT_X "sha256('x')"
#define TEXT_Y "sha256('y')"
#define ALONG "decode('0ad7233c7f00', 'hex')"
#define ACROSS "decode('0ad7233c007f', 'hex')"
#define VECTORS(model, x, y, version)                                                                        \
    "INSERT INTO kb_vectors (tenant, model, text_hash, vector, version) VALUES "                             \
    "('default', '" model "', " TEXT_X ", " x ", " version "), "                                             \
    "('default', '" model "', " TEXT_Y ", " y ", " version ");"

static const float along[] = {1, 0};

static struct pg_testdb testdb;
static struct loop *loop;
static struct db *db;
static struct vector_memory *memory;
static struct arena *arena;

static int setup_all(void **state)
{
    (void)state;
    pg_testdb_create(&testdb, true);
    return 0;
}

static int teardown_all(void **state)
{
    (void)state;
    pg_testdb_drop(&testdb);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    pg_testdb_script(&testdb,
        "TRUNCATE kb_vectors, kb_vector_bases; "
        "INSERT INTO kb_vector_bases (tenant, serving, version) VALUES ('default', 'openai/a/2', 1);" VECTORS(
            "openai/a/2", ALONG, ACROSS, "1"));
    loop = loop_new(1);
    const struct db_options options = {.url = testdb.url, .connections = 2, .query_timeout_ms = PATIENCE_MS};
    db = db_new(loop, &options);
    memory = vector_memory_new(loop, db, 1 << 20);
    arena = arena_new(0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vector_memory_close(memory);
    db_free(db);
    loop_free(loop);
    arena_free(arena);
    return 0;
}

/* ---- waiting ---- */

struct wait {
    bool (*over)(const char *what);
    const char *what;
    struct loop_timer *timer;
    int64_t until_ms;
};

static void look(void *arg)
{
    struct wait *wait = arg;
    if (wait->over(wait->what)) {
        loop_stop(loop, 0);
    } else if (clock_mono_ms() > wait->until_ms) {
        fail_msg("\"%s\" never comes", wait->what);
    } else {
        loop_timer_arm(wait->timer, LOOK_MS);
    }
}

static void wait_until(bool (*over)(const char *what), const char *what)
{
    struct wait wait = {.over = over, .what = what, .until_ms = clock_mono_ms() + PATIENCE_MS};
    wait.timer = loop_timer_new(loop, look, &wait);
    loop_timer_arm(wait.timer, 0);
    (void)loop_run(loop);
    loop_timer_free(wait.timer);
}

static bool serves(const char *model)
{
    const char *why;
    struct vector_set *set = vector_memory_hold(memory, "default", &why);
    bool right = set && strcmp(vector_set_model(set), model) == 0;
    vector_set_leave(set);
    return right;
}

static struct vector_set *hold(const char *model)
{
    const char *why;
    wait_until(serves, model);
    return vector_memory_hold(memory, "default", &why);
}

/* ---- searching ---- */

static const struct vector_near *found;
static bool searched;

static void on_found(void *arg, const struct vector_near *near)
{
    (void)arg;
    found = near;
    searched = true;
    loop_stop(loop, 0);
}

static const struct vector_near *find(struct vector_set *set, size_t dimension)
{
    searched = false;
    vector_memory_find(memory, arena, set, along, dimension, on_found, NULL);
    assert_false(searched);
    (void)loop_run(loop);
    assert_true(searched);
    return found;
}

/* Whether the first is `text`, an expression of SQL. */
static bool is_text(const struct vector_near *near, const char *text)
{
    char sql[128];
    snprintf(sql, sizeof(sql), "SELECT encode(%s, 'hex')", text);
    return near && near->count > 0 && strcmp(near->hashes[0], pg_testdb_value(&testdb, sql)) == 0;
}

static bool one_is_left(const char *what)
{
    (void)what;
    return metric_value(metrics_gauge("helpdesk_vectors", "", NULL)) == 1;
}

static void finds_the_nearest(void **state)
{
    (void)state;
    const char *why;
    assert_null(vector_memory_hold(memory, "default", &why));
    assert_string_equal(why, "the vectors are being read");
    struct vector_set *set = hold("openai/a/2");
    const struct vector_near *near = find(set, 2);
    assert_true(near->count == 2 && is_text(near, TEXT_X));
    assert_true(near->similarity[0] > 0.9 && near->similarity[1] < 0.1);
    assert_null(find(set, 1)); /* of another length */
    vector_set_leave(set);
}

/* A ticket's vector that was asked of a model is never compared with another's. */
static void what_is_held_stays_its_models(void **state)
{
    (void)state;
    struct vector_set *of_a = hold("openai/a/2");
    pg_testdb_script(&testdb, VECTORS("openai/b/2", ACROSS, ALONG,
                                  "2") "DELETE FROM kb_vectors WHERE model = 'openai/a/2'; "
                                       "UPDATE kb_vector_bases SET serving = 'openai/b/2', version = 2;");
    struct vector_set *of_b = hold("openai/b/2");
    assert_true(is_text(find(of_a, 2), TEXT_X));
    assert_true(is_text(find(of_b, 2), TEXT_Y));
    assert_string_equal(vector_set_model(of_a), "openai/a/2");
    vector_set_leave(of_a);
    vector_set_leave(of_b);
}

static void what_nobody_needs_goes(void **state)
{
    (void)state;
    struct vector_set *set = hold("openai/a/2");
    pg_testdb_script(&testdb,
        "UPDATE kb_vectors SET unneeded_since = now(), version = 2 WHERE text_hash = " TEXT_X "; "
        "UPDATE kb_vector_bases SET version = 2;");
    wait_until(one_is_left, "one vector");
    const struct vector_near *near = find(set, 2);
    assert_true(near->count == 1 && is_text(near, TEXT_Y));
    vector_set_leave(set);
}

static void closing_ends_what_is_under_way(void **state)
{
    (void)state;
    struct vector_set *set = hold("openai/a/2");
    searched = false;
    vector_memory_find(memory, arena, set, along, 2, on_found, NULL);
    vector_memory_close(memory);
    memory = NULL;
    assert_true(searched && !found);
    assert_string_equal(vector_set_model(set), "openai/a/2");
    vector_set_leave(set);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(finds_the_nearest),
        TEST(what_is_held_stays_its_models),
        TEST(what_nobody_needs_goes),
        TEST(closing_ends_what_is_under_way),
    };
    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
