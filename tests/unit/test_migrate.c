/* Migrations up, down and up again, and what the functions of the schema promise: claims under load,
 * partitions. */
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "pg_testdb.h"

static struct pg_testdb testdb;

#define CATALOG                                                                                              \
    "SELECT string_agg(x, E'\\n' ORDER BY x) FROM ("                                                         \
    "SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || coalesce(column_default, '') || " \
    "is_nullable x "                                                                                         \
    "FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'schema_migrations' "   \
    "UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> "                \
    "'schema_migrations' "                                                                                   \
    "UNION ALL SELECT p.oid::regprocedure::text || md5(prosrc) FROM pg_proc p WHERE pronamespace = "         \
    "'public'::regnamespace) c"

static int step_count(void)
{
    int count = 0;
    while (db_migrations[count].number != 0) {
        count++;
    }
    return count;
}

static bool migrate(int down, struct buf *report, struct error *err)
{
    buf_reset(report);
    struct db_session *session = pg_testdb_open(&testdb);
    bool ok = down > 0 ? migrate_down(session, down, report, err) : migrate_up(session, report, err);
    db_session_close(session);
    return ok;
}

static void test_up_and_down(void **state)
{
    (void)state;
    struct error err;
    struct buf report;
    buf_init(&report, 64 * 1024);
    char *full = strdup(pg_testdb_value(&testdb, CATALOG));
    assert_string_not_equal(full, "");
    assert_true(migrate(0, &report, &err));
    assert_string_equal(buf_text(&report), "nothing to do\n");
    for (int down = 1; down <= step_count(); down++) { /* from every step back up */
        assert_true(migrate(down, &report, &err));
        assert_non_null(strstr(buf_text(&report), "taken back"));
        assert_true(migrate(0, &report, &err));
        assert_string_equal(pg_testdb_value(&testdb, CATALOG), full);
    }
    assert_true(migrate(9999, &report, &err));
    assert_string_equal(pg_testdb_value(&testdb, CATALOG), "");
    assert_true(migrate(1, &report, &err));
    assert_string_equal(buf_text(&report), "nothing to do\n");
    assert_true(migrate(0, &report, &err));
    free(full);
    buf_fini(&report);
}

static void test_changed_and_unknown_steps(void **state)
{
    (void)state;
    struct error err;
    struct buf report;
    buf_init(&report, 64 * 1024);
    pg_testdb_script(&testdb, "UPDATE schema_migrations SET checksum = 'old' WHERE number = 1");
    assert_false(migrate(0, &report, &err));
    assert_string_equal(err.code, "migration_changed");
    assert_non_null(strstr(err.text, db_migrations[0].name));
    struct db_session *session = pg_testdb_open(&testdb);
    assert_true(migrate_status(session, &report, &err));
    assert_non_null(strstr(buf_text(&report), "another text"));
    db_session_close(session);
    pg_testdb_script(&testdb,
        "UPDATE schema_migrations SET checksum = encode(sha256(''), 'hex') WHERE number = 1;"
        "DELETE FROM schema_migrations WHERE number = 1;"
        "INSERT INTO schema_migrations VALUES (9000, 'future', 'x')");
    assert_false(migrate(0, &report, &err)); /* step 1 cannot be applied twice */
    assert_non_null(strstr(err.text, "0001_"));
    assert_false(migrate(1, &report, &err));
    assert_string_equal(err.code, "migration_unknown");
    pg_testdb_script(&testdb, "DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    assert_true(migrate(0, &report, &err));
    buf_fini(&report);
}

static void *migrate_thread(void *arg)
{
    struct error err;
    struct buf report;
    buf_init(&report, 64 * 1024);
    *(bool *)arg = migrate(0, &report, &err);
    buf_fini(&report);
    return NULL;
}

static void test_two_at_once(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    bool ok[THREADS] = {false};
    pg_testdb_script(&testdb, "DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, migrate_thread, &ok[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_true(ok[i]);
    }
}

struct claim {
    pthread_t thread;
    const char *hash;
    char id[16];
    char outcome[16];
    char correlation_id[16];
    int64_t retry_after_s;
};

static void *claim_thread(void *arg)
{
    struct claim *claim = arg;
    struct error err;
    struct db_session *session = pg_testdb_open(&testdb);
    struct db_result *result = db_session_query(session,
        &(struct db_query){
            .sql = "SELECT * FROM claim_run('t', 'ticket', $1, $2, 'event', 'ticket', 5, '20 s')",
            .param_count = 2,
            .params = {claim->hash, claim->id}},
        &err);
    if (result != NULL) {
        const char *id = db_value(result, 0, 1);
        (void)snprintf(claim->outcome, sizeof(claim->outcome), "%s", db_value(result, 0, 0));
        (void)snprintf(claim->correlation_id, sizeof(claim->correlation_id), "%s", id != NULL ? id : "");
        claim->retry_after_s = db_int(result, 0, 6);
    }
    db_result_free(result);
    db_session_close(session);
    return NULL;
}

static void claim_all(struct claim *claims, int count)
{
    for (int i = 0; i < count; i++) {
        (void)snprintf(claims[i].id, sizeof(claims[i].id), "c%s%d", claims[i].hash, i);
        assert_int_equal(pthread_create(&claims[i].thread, NULL, claim_thread, &claims[i]), 0);
    }
    for (int i = 0; i < count; i++) {
        pthread_join(claims[i].thread, NULL);
    }
}

static int count_outcomes(const struct claim *claims, int count, const char *outcome)
{
    int found = 0;
    for (int i = 0; i < count; i++) {
        found += strcmp(claims[i].outcome, outcome) == 0;
    }
    return found;
}

static void test_claims_of_the_same_content(void **state)
{
    (void)state;
    enum { MANY = 16 };
    struct claim claims[MANY] = {{0}};
    for (int i = 0; i < MANY; i++) {
        claims[i].hash = "same";
    }
    claim_all(claims, MANY);
    assert_int_equal(count_outcomes(claims, MANY, "claimed"), 1);
    assert_int_equal(count_outcomes(claims, MANY, "joined"), MANY - 1);
    for (int i = 1; i < MANY; i++) {
        assert_string_equal(claims[i].correlation_id, claims[0].correlation_id);
    }
    assert_string_equal(pg_testdb_value(&testdb, "SELECT count(*) FROM runs"), "1");
}

static void test_claims_of_other_contents(void **state)
{
    (void)state;
    enum { MANY = 12 };
    static const char *const hashes[MANY] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"};
    struct claim claims[MANY] = {{0}};
    pg_testdb_script(&testdb, "DELETE FROM runs");
    for (int i = 0; i < MANY; i++) {
        claims[i].hash = hashes[i];
    }
    claim_all(claims, MANY);
    assert_int_equal(count_outcomes(claims, MANY, "claimed"), 5);
    assert_int_equal(count_outcomes(claims, MANY, "limited"), MANY - 5);
    for (int i = 0; i < MANY; i++) {
        if (strcmp(claims[i].outcome, "limited") == 0) {
            assert_in_range(claims[i].retry_after_s, 3500, 3600);
        }
    }
    /* The answer to a claim was lost, the caller asks again: its own run. */
    struct claim again = {.hash = "", .id = ""};
    for (int i = 0; i < MANY; i++) {
        if (strcmp(claims[i].outcome, "claimed") == 0) {
            again = claims[i];
        }
    }
    (void)claim_thread(&again);
    assert_string_equal(again.outcome, "claimed");
    assert_string_equal(again.correlation_id, again.id);
}

static void test_claims_over_time(void **state)
{
    (void)state;
    pg_testdb_script(
        &testdb, "DELETE FROM runs; SELECT claim_run('t', 'x', 'h', 'c1', 'e1', 'ticket', 1, '20 s')");
#define CLAIM(hash, id, column)                                                                              \
    "SELECT " column " FROM claim_run('t', 'x', '" hash "', '" id "', 'e', 'ticket', 1, '20 s')"
    assert_string_equal(
        pg_testdb_value(&testdb, CLAIM("h", "c2", "outcome || ' ' || event_id || ' ' || (lease IS NULL)")),
        "joined e1 true");
    pg_testdb_script(&testdb, "UPDATE runs SET publish_until = publish_until - interval '19 seconds'");
    assert_string_equal(pg_testdb_value(&testdb, CLAIM("h", "c2", "lease IS NOT NULL")), "f");
#define TAKEN "SELECT run_take_over('t', 'c1', '20 s') > now() + interval '19 s'"
    pg_testdb_script(&testdb, "UPDATE runs SET publish_until = publish_until - interval '1 second'");
    assert_string_equal(pg_testdb_value(&testdb, CLAIM("h", "c2", "lease IS NOT NULL")), "t");
    assert_string_equal(
        pg_testdb_value(&testdb, CLAIM("h", "c2", "lease IS NOT NULL")), "f"); /* one takes it over */
    assert_string_equal(pg_testdb_value(&testdb, TAKEN), "");
    pg_testdb_script(&testdb, "UPDATE runs SET publish_until = now()");
    assert_string_equal(pg_testdb_value(&testdb, TAKEN), "t");
    /* What was claimed before there were leases. */
    pg_testdb_script(&testdb, "UPDATE runs SET publish_until = NULL");
    assert_string_equal(pg_testdb_value(&testdb, TAKEN), "");
    pg_testdb_script(&testdb, "UPDATE runs SET received_at = received_at - interval '21 seconds'");
    assert_string_equal(pg_testdb_value(&testdb, TAKEN), "t");
    /* What a gateway of the version before has claimed, which publishes it itself. */
    pg_testdb_script(&testdb, "DELETE FROM runs; SELECT claim_run('t', 'x', 'h', 'c1', 'e1', 'ticket', 1)");
    assert_string_equal(
        pg_testdb_value(&testdb, CLAIM("h", "c2", "outcome || ' ' || event_id || ' ' || (lease IS NULL)")),
        "joined e1 true");
    pg_testdb_script(&testdb, "UPDATE runs SET received_at = received_at - interval '21 seconds'");
    assert_string_equal(pg_testdb_value(&testdb, CLAIM("h", "c2", "lease IS NOT NULL")), "t");
    /* The pipeline has it, though nobody said so. */
    pg_testdb_script(&testdb, "UPDATE runs SET publish_until = now(), state = 'classified'");
    assert_string_equal(pg_testdb_value(&testdb, TAKEN), "");
    pg_testdb_script(&testdb, "UPDATE runs SET state = 'accepted'");
    pg_testdb_script(&testdb, "UPDATE runs SET published_at = now()");
    assert_string_equal(pg_testdb_value(&testdb, CLAIM("h", "c2", "lease IS NOT NULL")), "f");
    assert_string_equal(pg_testdb_value(&testdb, CLAIM("new", "c3", "outcome")), "limited");
    pg_testdb_script(&testdb, "UPDATE runs SET received_at = now() - interval '61 minutes'");
    assert_string_equal(pg_testdb_value(&testdb, CLAIM("new", "c3", "outcome")), "claimed");
    assert_string_equal(
        pg_testdb_value(&testdb, CLAIM("h", "c4", "outcome || ' ' || correlation_id")), "joined c1");
    pg_testdb_script(&testdb, "UPDATE runs SET received_at = now() - interval '25 hours'");
    assert_string_equal(pg_testdb_value(&testdb, CLAIM("h", "c4", "outcome")), "claimed");
    /* Another tenant's ticket of the same id is another ticket. */
    assert_string_equal(pg_testdb_value(&testdb,
                            "SELECT outcome FROM claim_run('u', 'x', 'h', 'c9', 'e', 'ticket', 1, '20 s')"),
        "claimed");
#undef CLAIM
}

static void test_partitions(void **state)
{
    (void)state;
    pg_testdb_script(&testdb, "INSERT INTO interactions SELECT 't', 'e' || d, now() - d * interval '1 day', "
                              "'c', 'x', 'submitted', '', now(), '{}' "
                              "FROM generate_series(-20, 200, 5) d;"
                              "INSERT INTO interactions VALUES ('t', 'ahead', '9000-01-01', 'c', 'x', "
                              "'submitted', '', now(), '{}')");
#define KEPT "(SELECT count(*) FROM interactions)"
    assert_string_equal(pg_testdb_value(&testdb, "SELECT " KEPT), "46");
    /* Out of order: nothing is lost that retention keeps, wherever it lay. */
    assert_string_equal(
        pg_testdb_value(&testdb, "SELECT created FROM interactions_maintain('90 days')"), "5");
    assert_string_equal(pg_testdb_value(&testdb, "SELECT " KEPT), "22");
    assert_string_equal(
        pg_testdb_value(&testdb,
            "SELECT count(*) FROM interactions_default WHERE received_at > now() - interval '7 days'"),
        "0");
    assert_string_equal(
        pg_testdb_value(&testdb,
            "SELECT created || ' ' || dropped || ' ' || deleted FROM interactions_maintain('90 days')"),
        "0 0 0");
    /* The same event again is the same row, in a week's partition and in the default one. */
    pg_testdb_script(&testdb, "INSERT INTO interactions SELECT * FROM interactions ON CONFLICT DO NOTHING");
    assert_string_equal(pg_testdb_value(&testdb, "SELECT " KEPT), "22");
    /* Weeks that have passed are dropped whole. */
    pg_testdb_script(&testdb, "SELECT interactions_add_week('2020-01-06 00:00+00')");
    assert_string_equal(
        pg_testdb_value(&testdb, "SELECT dropped FROM interactions_maintain('90 days')"), "1");
    assert_string_equal(pg_testdb_value(&testdb, "SELECT " KEPT), "22");
    pg_testdb_script(&testdb, "SET TimeZone = 'America/New_York'; SELECT interactions_maintain('90 days')");
    assert_string_equal(
        pg_testdb_value(&testdb, "SELECT created FROM interactions_maintain('90 days')"), "0");
#undef KEPT
}

static void test_retention(void **state)
{
    (void)state;
    pg_testdb_script(&testdb,
        "DELETE FROM runs; INSERT INTO runs (tenant, correlation_id, ticket_id, event_id, kind, received_at) "
        "SELECT 't', 'c' || d, 'x', 'e', 'ticket', now() - d * interval '1 day' FROM generate_series(0, 99) "
        "d;"
        "INSERT INTO tickets (tenant, ticket_id, customer_external_id, subject, description, channel, "
        "created_at, received_at) "
        "SELECT 't', d, 'c', 's', 'd', 'email', now(), now() - d * interval '1 day' FROM unnest(ARRAY[1, "
        "399, 401]) d;"
        "INSERT INTO customers (tenant, external_id, customer_id, name, email, last_contact) "
        "VALUES ('t', '1', '1', 'n', 'e', now() - interval '401 days'), ('t', '2', '2', 'n', 'e', now())");
    const char *once = "SELECT retention_maintain('90 days', '400 days', 6)";
    assert_string_equal(pg_testdb_value(&testdb, once), "6"); /* more to do */
    assert_string_equal(pg_testdb_value(&testdb, once), "4"); /* days 90 to 99 */
    assert_string_equal(pg_testdb_value(&testdb, once), "0");
    assert_string_equal(
        pg_testdb_value(&testdb, "SELECT string_agg(ticket_id, ' ' ORDER BY ticket_id) FROM tickets"),
        "1 399");
    assert_string_equal(pg_testdb_value(&testdb,
                            "SELECT string_agg(external_id, ' ') FROM customers WHERE last_contact IS NULL"),
        "1");
    /* Somebody else is at it. */
    struct error err;
    struct db_session *other = pg_testdb_open(&testdb);
    assert_true(db_session_script(other, "BEGIN; SELECT retention_maintain('90 days', '400 days', 6)", &err));
    assert_string_equal(pg_testdb_value(&testdb, once), "");
    db_session_close(other);
}

int main(void)
{
    pg_testdb_create(&testdb, true);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_up_and_down),
        cmocka_unit_test(test_changed_and_unknown_steps),
        cmocka_unit_test(test_two_at_once),
        cmocka_unit_test(test_claims_of_the_same_content),
        cmocka_unit_test(test_claims_of_other_contents),
        cmocka_unit_test(test_claims_over_time),
        cmocka_unit_test(test_partitions),
        cmocka_unit_test(test_retention),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pg_testdb_drop(&testdb);
    return failed;
}
