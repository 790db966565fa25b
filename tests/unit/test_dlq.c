/* helpdesk dlq: its arguments, which letters they mean, and what is committed when letters are handled in any
 * order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "cmd/dlq_args.h"
#include "cmd/dlq_marks.h"
#include "cmd/dlq_view.h"
#include "engine/outcome.h"

#define NOW INT64_C(1767225600000) /* 2026-01-01T00:00:00Z */
#define OUT_MAX ((size_t)1 << 20)

/* ---- arguments ---- */

#define READ(args, ...) read_args((args), (const char *[]){"dlq", __VA_ARGS__, NULL})

/* getopt_long puts them in another order. */
static int read_args(struct dlq_args *args, const char *const *given)
{
    char *argv[16];
    int argc = 0;
    for (; given[argc]; argc++) {
        argv[argc] = (char *)(uintptr_t)given[argc];
    }
    argv[argc] = NULL;
    return dlq_args_read(args, argc, argv, NOW);
}

static void test_arguments(void **state)
{
    (void)state;
    struct dlq_args args;
    assert_int_equal(READ(&args, "list"), -1);
    assert_true(args.verb == DLQ_LIST && !args.stage && args.filter.any && args.limit == INT64_MAX);
    assert_int_equal(READ(&args, "list", "--stage", "kb-sync", "--all", "--json", "--limit", "7"), -1);
    assert_ptr_equal(args.stage, &stage_kb_sync);
    assert_true(args.all && args.json && args.limit == 7 && args.filter.any);
    assert_int_equal(
        READ(&args, "replay", "logger", "--since", "2h", "--until", "2026-01-01T00:00:00+01:00"), -1);
    assert_true(args.verb == DLQ_REPLAY && args.stage == &stage_logger && !args.filter.any);
    assert_int_equal(args.filter.since, NOW - 7200000);
    assert_int_equal(args.filter.until, NOW - 3600000);
    assert_int_equal(
        READ(&args, "discard", "--yes", "classifier", "--offset", "3:17", "--offset=0:9223372036854775807"),
        -1);
    assert_true(args.verb == DLQ_DISCARD && args.yes && args.filter.place_count == 2);
    assert_int_equal(args.filter.places[0].partition, 3);
    assert_int_equal(args.filter.places[0].offset, 17);
    assert_int_equal(args.filter.places[1].offset, INT64_MAX);
    dlq_args_fini(&args);
    assert_int_equal(READ(&args, "show", "retriever", "0:0", "--json"), -1);
    assert_true(args.verb == DLQ_SHOW && args.filter.place_count == 1);
    dlq_args_fini(&args);
}

static void test_wrong_arguments(void **state)
{
    (void)state;
    struct dlq_args args;
    static const char *const places[] = {"3", "3:", ":3", "a:3", "3:a", "-1:3", "3:-1", "2147483648:1",
        "3:4:5", "+1:2", "1: 2", "99999999999999999999:1"};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        assert_int_equal(READ(&args, "show", "classifier", places[i]), 2);
    }
    static const char *const times[] = {"", "h", "2", "2w", "2hh", "-2h", "99999999999999999999d",
        "9223372036854775807d", "2026-01-01", "yesterday"};
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        assert_int_equal(READ(&args, "list", "--since", times[i]), 2);
    }
    assert_int_equal(READ(&args, "list", "--limit", "-1"), 2);
    assert_int_equal(READ(&args, "list", "classifier"), 2);
    assert_int_equal(READ(&args, "list", "--dry-run"), 2);
    assert_int_equal(READ(&args, "show", "classifier", "1:2", "--all"), 2);
    assert_int_equal(READ(&args, "show", "classifier", "1:2", "--offset", "1:3"), 2);
    assert_int_equal(READ(&args, "replay", "gateway", "--yes"), 2);
    assert_int_equal(READ(&args, "replay", "classifier", "generator"), 2);
    assert_int_equal(READ(&args, "remove"), 2);
    assert_int_equal(read_args(&args, (const char *[]){"dlq", NULL}), 2);
}

/* ---- filters ---- */

static struct bus_record make_letter(struct arena *arena, const char *key, size_t key_len)
{
    static const struct bus_header headers[] = {{"correlation-id", "run-1", 5}};
    struct bus_record *record = ARENA_NEW(arena, struct bus_record);
    *record = (struct bus_record){.topic = "tickets.submitted",
        .partition = 2,
        .offset = 40,
        .timestamp = NOW,
        .key = key,
        .key_len = key_len,
        .value = "?",
        .value_len = 1,
        .headers = headers,
        .header_count = 1};
    struct error err = {0};
    error_set(&err, ERROR_REJECT, "record_malformed", "No record");
    struct bus_record letter = outcome_dead_letter(arena, "classifier", record, &err, 3);
    letter.partition = 1;
    letter.offset = 7;
    return letter;
}

static bool matches(const struct bus_record *record, const char *const *argv)
{
    struct dlq_args args;
    struct dlq_letter letter;
    struct arena *arena = arena_new(0);
    assert_int_equal(read_args(&args, argv), -1);
    dlq_letter_init(&letter, arena, "classifier", record, false);
    bool match = dlq_filter_match(&args.filter, arena, &letter);
    dlq_letter_fini(&letter);
    dlq_args_fini(&args);
    arena_free(arena);
    return match;
}

#define MATCHES(letter, ...) matches((letter), (const char *[]){"dlq", "list", __VA_ARGS__, NULL})

static void test_filters(void **state)
{
    (void)state;
    struct arena *arena = arena_new(0);
    struct bus_record letter = make_letter(arena, "acme/T-1", 8);
    assert_true(matches(&letter, (const char *[]){"dlq", "list", NULL}));
    assert_true(MATCHES(&letter, "--class", "record_malformed"));
    assert_false(MATCHES(&letter, "--class", "record_malforme"));
    assert_true(MATCHES(&letter, "--key", "acme/"));
    assert_true(MATCHES(&letter, "--key", "acme/T-1"));
    assert_false(MATCHES(&letter, "--key", "acme/T-11"));
    assert_true(MATCHES(&letter, "--tenant", "acme", "--ticket", "T-1", "--correlation", "run-1"));
    assert_false(MATCHES(&letter, "--tenant", "acme/T-1"));
    assert_false(MATCHES(&letter, "--tenant", "acme", "--ticket", "T-2"));
    assert_false(MATCHES(&letter, "--correlation", "run"));
    assert_true(MATCHES(&letter, "--offset", "0:7", "--offset", "1:7"));
    assert_false(MATCHES(&letter, "--offset", "1:6"));
    struct bus_record bare = make_letter(arena, NULL, 0);
    assert_false(MATCHES(&bare, "--key", "a"));
    assert_false(MATCHES(&bare, "--ticket", "T-1"));
    struct bus_record odd = make_letter(arena, "acme/\0T", 7);
    assert_false(MATCHES(&odd, "--tenant", "acme")); /* no text: it names nobody */
    assert_true(MATCHES(&odd, "--key", "acme/"));
    arena_free(arena);
}

/* When it died is what the letter says; else the record's own time. */
static void test_time_of_death(void **state)
{
    (void)state;
    struct arena *arena = arena_new(0);
    struct bus_record letter = make_letter(arena, "k", 1);
    assert_false(MATCHES(&letter, "--until", "2026-01-01T00:00:01Z")); /* it died just now */
    letter.header_count = 1;
    assert_true(MATCHES(&letter, "--since", "2026-01-01T00:00:00Z", "--until", "2026-01-01T00:00:00.001Z"));
    assert_false(MATCHES(&letter, "--until", "2026-01-01T00:00:00Z"));
    arena_free(arena);
}

/* ---- reading letters ---- */

static void test_original_is_what_it_was(void **state)
{
    (void)state;
    struct arena *arena = arena_new(0);
    struct bus_record record = make_letter(arena, "k", 1);
    struct letter letter;
    letter_read(arena, &record, &letter);
    assert_string_equal(letter.error_class, "record_malformed");
    assert_string_equal(letter.message, "No record");
    assert_string_equal(letter.topic, "tickets.submitted");
    assert_true(letter.attempts == 3 && letter.partition == 2 && letter.offset == 40);
    struct bus_record original = letter_original(arena, &record, "tickets.submitted");
    assert_int_equal(original.header_count, 1);
    assert_string_equal(original.headers[0].name, "correlation-id");
    assert_int_equal(original.partition, -1);
    assert_int_equal(original.timestamp, NOW);
    assert_true(original.key == record.key && original.value == record.value);
    arena_free(arena);
}

static void test_hostile_headers(void **state)
{
    (void)state;
    struct arena *arena = arena_new(0);
    const struct bus_header headers[] = {{"helpdesk.error.topic", "tickets.submitted\0x", 19},
        {"helpdesk.error.class", "\xff\x1b[2J", 5}, {"helpdesk.error.attempts", "-4", 2},
        {"helpdesk.error.partition", "99999999999999999999", 20}, {"helpdesk.error.offset", NULL, 0},
        {"helpdesk.error.at", "now", 3}};
    struct bus_record record = {.timestamp = 5, .headers = headers, .header_count = 6};
    struct letter letter;
    letter_read(arena, &record, &letter);
    assert_string_not_equal(letter.topic, "tickets.submitted");
    assert_string_equal(letter.error_class, "\xef\xbf\xbd\x1b[2J");
    assert_true(letter.attempts == 0 && letter.partition == -1 && letter.offset == -1 && letter.died_at == 5);

    struct dlq_letter whole;
    struct buf out;
    buf_init(&out, OUT_MAX);
    struct term term = {.out = &out, .width = 80};
    dlq_letter_init(&whole, arena, "classifier", &record, false);
    dlq_view_brief(&term, &whole);
    dlq_view_whole(&term, &whole, arena);
    assert_null(strchr(buf_text(&out), '\x1b'));
    assert_non_null(strstr(buf_text(&out), "\\x1b[2J"));
    buf_fini(&out);
    dlq_letter_fini(&whole);
    arena_free(arena);
}

static void test_escaping(void **state)
{
    (void)state;
    static const char bytes[] = "a\\b\n\x1b[31m\xc3\xbc\xe2\x80\xae\xff\0z";
    struct buf out;
    buf_init(&out, OUT_MAX);
    term_escape(&out, bytes, sizeof(bytes) - 1);
    assert_string_equal(buf_text(&out), "a\\x5cb\\x0a\\x1b[31m\xc3\xbc\\xe2\\x80\\xae\\xff\\x00z");
    buf_reset(&out);
    term_escape_json(&out, "{\n\t\"a\": \"\xc3\xbc\x7f\xe2\x80\xae\xf3\xa0\x80\x81\"}");
    assert_string_equal(buf_text(&out), "{\n\t\"a\": \"\xc3\xbc\\u007f\\u202e\\udb40\\udc01\"}");
    cJSON *json = json_parse(buf_text(&out), out.len, NULL);
    assert_string_equal(json_str(json, "a"), "\xc3\xbc\x7f\xe2\x80\xae\xf3\xa0\x80\x81");
    cJSON_Delete(json);
    buf_fini(&out);
}

/* ---- what is committed ---- */

#define LETTERS 40000 /* the map has room for about 24,000 waiting letters before the last handled one */
#define CHUNK 100

struct topic {
    bool handled[LETTERS];
    int64_t committed;
    char map[WINDOW_MAP_SIZE];
};

/* One run of the command over offsets `low`..LETTERS: handles every waiting letter that `choose` says. How
 * many; stops when the map is full. */
static size_t run_once(struct topic *topic, int64_t low, bool (*choose)(int64_t offset), bool *full)
{
    struct dlq_marks marks;
    struct window_node *nodes[CHUNK];
    size_t count = 0, done = 0;
    assert_true(dlq_marks_init(&marks, low, LETTERS, topic->committed, topic->map));
    int64_t offset = marks.from > low ? marks.from : low;
    for (*full = false; offset <= LETTERS && !*full; offset++) {
        struct window_node *node = offset < LETTERS ? dlq_marks_take(&marks, offset) : NULL;
        if (offset < LETTERS) {
            assert_int_equal(node == NULL, topic->handled[offset]);
        }
        if (node && choose(offset)) {
            nodes[count++] = node;
        }
        if (count == CHUNK || (offset == LETTERS && count > 0)) {
            size_t fit = dlq_marks_handle(&marks, nodes, count, &topic->committed, topic->map);
            *full = fit < count;
            for (size_t i = 0; i < fit; i++) {
                topic->handled[nodes[i]->offset] = true;
            }
            dlq_marks_forget(&marks, nodes, fit);
            done += fit;
            count = 0;
        }
    }
    dlq_marks_fini(&marks);
    return done;
}

static bool choose_all(int64_t offset)
{
    (void)offset;
    return true;
}

static bool choose_sparse(int64_t offset)
{
    return offset < 20000 && (offset % 97 == 5 || (offset > 4000 && offset < 5000));
}

static bool choose_every_other(int64_t offset)
{
    return offset % 2 == 1;
}

static bool choose_first_half(int64_t offset)
{
    return offset < LETTERS / 2;
}

static void test_each_letter_is_handled_once(void **state)
{
    (void)state;
    static struct topic topic;
    bool full;
    topic = (struct topic){.committed = -1};
    size_t first = run_once(&topic, 0, choose_sparse, &full);
    size_t chosen = 0;
    for (int64_t offset = 0; offset < LETTERS; offset++) {
        chosen += choose_sparse(offset) ? 1 : 0;
    }
    assert_false(full);
    assert_int_equal(first, chosen);
    assert_int_equal(topic.committed, 0);
    assert_int_equal(run_once(&topic, 0, choose_sparse, &full), 0);
    assert_int_equal(run_once(&topic, 0, choose_all, &full), LETTERS - first);
    assert_int_equal(topic.committed, LETTERS);
    assert_string_equal(topic.map, "");
    assert_int_equal(run_once(&topic, 0, choose_all, &full), 0);
}

/* A map that is full stops before the letter that does not fit; when older ones are handled it goes on. */
static void test_full_map(void **state)
{
    (void)state;
    static struct topic topic;
    bool full;
    topic = (struct topic){.committed = -1};
    size_t done = run_once(&topic, 0, choose_every_other, &full);
    assert_true(full);
    assert_in_range(done, 5000, LETTERS / 2 - 1);
    assert_true(strlen(topic.map) <= WINDOW_MAP_MAX);
    assert_int_equal(run_once(&topic, 0, choose_every_other, &full), 0);
    assert_true(full);
    done += run_once(&topic, 0, choose_first_half, &full);
    assert_false(full);
    assert_true(topic.committed >= LETTERS / 2);
    done += run_once(&topic, 0, choose_every_other, &full);
    assert_false(full);
    done += run_once(&topic, 0, choose_all, &full);
    assert_int_equal(done, LETTERS);
}

/* Retention removes the oldest letters, waiting or handled: the others stay as they are. */
static void test_removed_letters_count_as_handled(void **state)
{
    (void)state;
    static struct topic topic;
    bool full;
    topic = (struct topic){.committed = -1};
    size_t done = run_once(&topic, 1000, choose_sparse, &full);
    assert_int_equal(topic.committed, 1000);
    done += run_once(&topic, 4500, choose_all, &full);
    assert_int_equal(topic.committed, LETTERS);
    size_t handled = 0;
    for (size_t i = 0; i < LETTERS; i++) {
        handled += topic.handled[i] ? 1 : 0;
    }
    assert_int_equal(done, handled);
}

static void test_commits_that_mean_nothing(void **state)
{
    (void)state;
    struct dlq_marks marks;
    /* Beyond the end: the topic was made anew. */
    assert_true(dlq_marks_init(&marks, 3, 10, 50, "not looked at"));
    assert_null(dlq_marks_take(&marks, 2));
    assert_non_null(dlq_marks_take(&marks, 3));
    dlq_marks_fini(&marks);
    assert_false(dlq_marks_init(&marks, 0, 10, 5, "not a map"));
    dlq_marks_fini(&marks);
}

static void test_failed_commit_leaves_them_waiting(void **state)
{
    (void)state;
    struct dlq_marks marks;
    struct window_node *nodes[2];
    int64_t offset;
    char map[WINDOW_MAP_SIZE];
    assert_true(dlq_marks_init(&marks, 0, 10, -1, ""));
    nodes[0] = dlq_marks_take(&marks, 0);
    nodes[1] = dlq_marks_take(&marks, 1);
    assert_int_equal(dlq_marks_handle(&marks, nodes, 2, &offset, map), 2);
    assert_int_equal(offset, 2);
    dlq_marks_undo(nodes, 2);
    assert_int_equal(dlq_marks_handle(&marks, nodes + 1, 1, &offset, map), 1);
    assert_int_equal(offset, 0);
    dlq_marks_fini(&marks);
    assert_true(dlq_marks_init(&marks, 0, 10, offset, map));
    assert_non_null(dlq_marks_take(&marks, 0));
    assert_null(dlq_marks_take(&marks, 1));
    dlq_marks_fini(&marks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_wrong_arguments),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_time_of_death),
        cmocka_unit_test(test_original_is_what_it_was),
        cmocka_unit_test(test_hostile_headers),
        cmocka_unit_test(test_escaping),
        cmocka_unit_test(test_each_letter_is_handled_once),
        cmocka_unit_test(test_full_map),
        cmocka_unit_test(test_removed_letters_count_as_handled),
        cmocka_unit_test(test_commits_that_mean_nothing),
        cmocka_unit_test(test_failed_commit_leaves_them_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
