/* Several who read the same documents: none undoes what another did, and the end is what the source holds. */
#include "kb_store_fixture.h"

/* ---- two who read the same document ---- */

static enum kb_change changed;
static struct kb_passage race_passage = {.heading_path = "", .anchor = "", .text = "text"};
static struct kb_document race_document = {
    .title = "T", .locale = "en", .passages = &race_passage, .passage_count = 1, .withdrawn = ""};

struct reader { /* knows what the base said before it read */
    struct arena *arena;
    struct kb_put put;
};

static void on_changed(void *arg, enum kb_change change, const struct error *err)
{
    (void)arg;
    assert_null(err);
    changed = change;
    loop_stop(loop, 0);
}

static void on_known(void *arg, const struct kb_since *since, const struct error *err)
{
    struct reader *reader = arg;
    assert_null(err);
    reader->put.since = *since;
    loop_stop(loop, 0);
}

static struct reader begins_to_read(const char *key, const char *etag)
{
    struct reader reader = {.arena = arena_new(0),
        .put = {.place = {.tenant = "default", .source = "default", .key = key},
            .uri = "kb://default/race.md",
            .fingerprint = "one",
            .etag = etag,
            .document = &race_document,
            .why = ""}};
    kb_store_look_up(db, reader.arena, &reader.put.place, on_known, &reader);
    (void)loop_run(loop);
    return reader;
}

static enum kb_change stores(struct reader *reader, const char *fingerprint)
{
    reader->put.fingerprint = fingerprint;
    kb_store_put(db, reader->arena, &reader->put, on_changed, NULL);
    (void)loop_run(loop);
    return changed;
}

static enum kb_change finds_it_gone(struct reader *reader)
{
    kb_store_remove(db, reader->arena, &reader->put.place, &reader->put.since, on_changed, NULL);
    (void)loop_run(loop);
    return changed;
}

static void readers_end(struct reader *one, struct reader *other)
{
    arena_free(one->arena);
    arena_free(other->arena);
    assert_terms_are_right();
}

static void who_read_earlier_does_not_overwrite(void **state)
{
    (void)state;
    struct reader early = begins_to_read("race.md", "1"), late = begins_to_read("race.md", "2");
    assert_int_equal(stores(&late, "two"), KB_CHANGED);
    assert_int_equal(stores(&early, "one"), KB_CONFLICT);
    assert_int_equal(finds_it_gone(&early), KB_CONFLICT);
    readers_end(&early, &late);
    struct reader again = begins_to_read("race.md", "3"), gone = begins_to_read("race.md", "");
    assert_int_equal(stores(&again, "one"), KB_CHANGED);
    gone.put.since.revision = revision();
    assert_int_equal(finds_it_gone(&gone), KB_CHANGED);
    readers_end(&again, &gone);
}

static void what_both_read_is_no_conflict(void **state)
{
    (void)state;
    struct reader one = begins_to_read("same.md", "1"), other = begins_to_read("same.md", "1");
    assert_int_equal(stores(&one, "one"), KB_CHANGED);
    int64_t before = revision();
    assert_int_equal(stores(&other, "one"), KB_UNCHANGED);
    assert_int_equal(revision(), before);
    one.put.since.revision = before;
    assert_int_equal(finds_it_gone(&one), KB_CHANGED);
    readers_end(&one, &other);
}

static void what_is_gone_does_not_come_back(void **state)
{
    (void)state;
    /* it was deleted before the base ever had it */
    struct reader early = begins_to_read("ghost.md", "1"), late = begins_to_read("ghost.md", "");
    assert_int_equal(finds_it_gone(&late), KB_UNCHANGED);
    assert_int_equal(stores(&early, "one"), KB_CONFLICT);
    readers_end(&early, &late);
    /* others put and removed it meanwhile */
    early = begins_to_read("ghost.md", "1");
    late = begins_to_read("ghost.md", "1");
    assert_int_equal(stores(&late, "one"), KB_CHANGED);
    late.put.since.revision = revision();
    assert_int_equal(finds_it_gone(&late), KB_CHANGED);
    assert_int_equal(stores(&early, "one"), KB_CONFLICT);
    readers_end(&early, &late);
    /* what is read after that is new */
    early = begins_to_read("ghost.md", "2");
    late = begins_to_read("other.md", "");
    assert_int_equal(stores(&early, "one"), KB_CHANGED);
    early.put.since.revision = revision();
    assert_int_equal(finds_it_gone(&early), KB_CHANGED);
    readers_end(&early, &late);
}

static void what_went_back_stays_so(void **state)
{
    (void)state;
    struct reader first = begins_to_read("back.md", "1");
    assert_int_equal(stores(&first, "one"), KB_CHANGED);
    struct reader early = begins_to_read("back.md", "2"), late = begins_to_read("back.md", "3");
    first.put.since = early.put.since;
    assert_int_equal(stores(&late, "one"), KB_UNCHANGED); /* as at first, in a version of its own */
    assert_int_equal(stores(&early, "two"), KB_CONFLICT);
    assert_int_equal(finds_it_gone(&first), KB_CONFLICT);
    assert_int_equal(finds_it_gone(&late), KB_CHANGED);
    arena_free(first.arena);
    readers_end(&early, &late);
}

/* ---- a folder that changes all the time, two processes that are told, and scans in between ---- */

#define STORM_NAMES 80
#define STORM_EVERY_MS 3

/* Each document is written, then deleted or written again, at once: whoever was told of the first is still at
 * work. No scan comes after that would heal what they do. */
struct storm {
    struct kb_sync_env envs[2];
    struct loop_timer *timer;
    int step;
    int told;
};

struct telling {
    struct storm *storm;
    const struct kb_sync_env *env;
    char key[32];
};

static bool storm_stays(int document)
{
    return document % 3 == 0;
}

static void storm_over(struct storm *storm)
{
    if (storm->step == 2 * STORM_NAMES && storm->told == 0 && pending == 0) {
        loop_stop(loop, 0);
    }
}

static void on_told(void *arg, enum kb_synced what, const struct error *err)
{
    struct telling *telling = arg;
    struct storm *storm = telling->storm;
    if (err) { /* as the engine does */
        assert_string_equal(err->code, "kb_conflict");
        kb_sync_document(telling->env, telling->key, on_told, telling);
        return;
    }
    (void)what; /* half a file is read as a broken one: the second telling heals that */
    free(telling);
    storm->told--;
    storm_over(storm);
}

static void storm_tells(struct storm *storm, int process, const char *key)
{
    struct telling *telling = calloc(1, sizeof(*telling));
    telling->storm = storm;
    telling->env = &storm->envs[process];
    (void)snprintf(telling->key, sizeof(telling->key), "%s", key);
    storm->told++;
    kb_sync_document(telling->env, telling->key, on_told, telling);
}

static void on_storm_scan(
    void *arg, const struct kb_sync_counts *got, const char *reason, const struct error *err)
{
    (void)got;
    assert_null(err);
    assert_string_equal(reason, "");
    pending--;
    storm_over(arg);
}

static void on_storm(void *arg)
{
    struct storm *storm = arg;
    char name[32], text[80];
    int document = storm->step / 2;
    (void)snprintf(name, sizeof(name), "storm-%d.md", document);
    (void)snprintf(text, sizeof(text), "# Storm\n\nThis is version %d.\n", storm->step);
    if (storm->step % 2 == 0 || storm_stays(document)) {
        write_file(name, text);
    } else {
        remove_file(name);
    }
    storm_tells(storm, storm->step % 2, name);
    if (pending == 0 && storm->step < STORM_NAMES) {
        pending++;
        kb_sync_run(
            &storm->envs[document % 2], &(struct kb_sync_request){.done = on_storm_scan, .arg = storm});
    }
    if (++storm->step < 2 * STORM_NAMES) {
        loop_timer_arm(storm->timer, STORM_EVERY_MS);
    }
}

static void two_processes_agree_with_a_folder_that_changes(void **state)
{
    (void)state;
    struct storm storm = {.envs = {env, env}};
    struct db *second =
        db_new(loop, &(struct db_options){.url = testdb.url, .connections = 2, .query_timeout_ms = 20000});
    storm.envs[1].db = second;
    storm.timer = loop_timer_new(loop, on_storm, &storm);
    loop_timer_arm(storm.timer, 0);
    (void)loop_run(loop);
    struct arena *arena = arena_new(0);
    for (int i = 0; i < STORM_NAMES; i++) {
        const char *has = pg_testdb_value(
            &testdb, arena_printf(arena, "SELECT text FROM kb_passages WHERE object_key = 'storm-%d.md'", i));
        assert_string_equal(
            has, storm_stays(i) ? arena_printf(arena, "This is version %d.", 2 * i + 1) : "(none)");
    }
    arena_free(arena);
    loop_timer_free(storm.timer);
    db_free(second);
    assert_terms_are_right();
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], KB_PARSER_COMMAND)) { /* started by the test itself */
        return kb_parser_serve(argc - 1, argv + 1);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_read_earlier_does_not_overwrite),
        cmocka_unit_test(what_both_read_is_no_conflict),
        cmocka_unit_test(what_is_gone_does_not_come_back),
        cmocka_unit_test(what_went_back_stays_so),
        cmocka_unit_test(two_processes_agree_with_a_folder_that_changes),
    };
    return cmocka_run_group_tests_name("kb_readers", tests, setup_all, teardown_all);
}
