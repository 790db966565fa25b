/* What becomes of a job, and what a dead letter carries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "base/clock.h"
#include "engine/letter.h"
#include "engine/outcome.h"

static const struct retry_policy policy = {.retries = 2, .base_ms = 1, .cap_ms = 1};

static enum outcome_action failed(enum error_disposition disposition, int attempt)
{
    struct error err = {0};
    error_set(&err, disposition, "code", "text");
    return outcome_action(ENGINE_FAILED, &err, attempt, &policy);
}

static void test_actions(void **state)
{
    (void)state;
    assert_int_equal(outcome_action(ENGINE_DONE, NULL, 1, &policy), ACTION_COMMIT);
    assert_int_equal(outcome_action(ENGINE_SKIP, NULL, 1, &policy), ACTION_SKIP);
    assert_int_equal(failed(ERROR_RETRY, 1), ACTION_RETRY);
    assert_int_equal(failed(ERROR_RETRY, 2), ACTION_RETRY);
    assert_int_equal(failed(ERROR_RETRY, 3), ACTION_DEAD_LETTER);
    assert_int_equal(failed(ERROR_REJECT, 1), ACTION_DEAD_LETTER);
    assert_int_equal(failed(ERROR_FATAL, 1), ACTION_STOP);
    assert_int_equal(failed(ERROR_NONE, 1), ACTION_STOP);
    assert_int_equal(outcome_action(ENGINE_FAILED, &(struct error){0}, 1, &policy), ACTION_STOP);
}

static void test_what_is_away_does_not_count(void **state)
{
    (void)state;
    struct error err = {0};
    error_set(&err, ERROR_RETRY, "db_unavailable", "text");
    assert_true(outcome_outage(ENGINE_FAILED, &err));
    assert_false(outcome_outage(ENGINE_DONE, &err));
    assert_int_equal(outcome_action(ENGINE_FAILED, &err, 1000, &policy), ACTION_RETRY);
    error_set(&err, ERROR_REJECT, "db_unavailable", "text");
    assert_false(outcome_outage(ENGINE_FAILED, &err));
    error_set(&err, ERROR_RETRY, "_unavailable", "text");
    assert_false(outcome_outage(ENGINE_FAILED, &err));
    assert_false(outcome_outage(ENGINE_FAILED, NULL));
}

static void header_is(const struct bus_record *record, const char *name, const char *value)
{
    const struct bus_header *header = bus_record_header(record, name);
    assert_non_null(header);
    assert_int_equal(header->len, strlen(value));
    assert_memory_equal(header->value, value, header->len);
}

static void test_dead_letter(void **state)
{
    (void)state;
    struct arena *arena = arena_new(0);
    /* A record that was a dead letter before and was replayed with its headers. */
    const struct bus_header headers[] = {
        {"tenant", "default", 7}, {"helpdesk.error.class", "older", 5}, {"null", NULL, 0}};
    const struct bus_record record = {.topic = "tickets.submitted",
        .partition = 7,
        .offset = 4294967296,
        .timestamp = 1700000000000,
        .key = "k\0y",
        .key_len = 3,
        .value = "\0\xff",
        .value_len = 2,
        .headers = headers,
        .header_count = 3};
    struct error err = {0};
    error_set(&err, ERROR_REJECT, "bad_json", "Not what it should be");
    struct bus_record letter = outcome_dead_letter(arena, "retriever", &record, &err, 4);
    assert_string_equal(letter.topic, "retriever.dead");
    assert_int_equal(letter.partition, -1);
    assert_int_equal(letter.timestamp, record.timestamp);
    assert_ptr_equal(letter.key, record.key);
    assert_int_equal(letter.key_len, 3);
    assert_ptr_equal(letter.value, record.value);
    assert_int_equal(letter.value_len, 2);
    assert_int_equal(letter.header_count, 2 + 8);
    header_is(&letter, "tenant", "default");
    assert_null(bus_record_header(&letter, "null")->value);
    header_is(&letter, "helpdesk.error.stage", "retriever");
    header_is(&letter, "helpdesk.error.class", "bad_json");
    header_is(&letter, "helpdesk.error.message", "Not what it should be");
    header_is(&letter, "helpdesk.error.attempts", "4");
    header_is(&letter, "helpdesk.error.topic", "tickets.submitted");
    header_is(&letter, "helpdesk.error.partition", "7");
    header_is(&letter, "helpdesk.error.offset", "4294967296");
    struct letter read;
    letter_read(arena, &letter, &read);
    assert_in_range(read.died_at, clock_wall_ms() - 60000, clock_wall_ms());
    arena_free(arena);
}

static void test_no_key_and_no_timestamp(void **state)
{
    (void)state;
    struct arena *arena = arena_new(0);
    const struct bus_record record = {.topic = "t", .timestamp = -1};
    struct error err = {0};
    error_set(&err, ERROR_REJECT, "c", "t");
    struct bus_record letter = outcome_dead_letter(arena, "logger", &record, &err, 1);
    assert_null(letter.key);
    assert_null(letter.value);
    assert_int_equal(letter.timestamp, 0);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_actions),
        cmocka_unit_test(test_what_is_away_does_not_count),
        cmocka_unit_test(test_dead_letter),
        cmocka_unit_test(test_no_key_and_no_timestamp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
