/* `helpdesk import` and `helpdesk migrate` as they are called: files in, rows and exit codes out. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>

#include "base/records.h"
#include "cmd/cmd.h"
#include "cmd/import_file.h"
#include "pg_testdb.h"

static struct pg_testdb testdb;
static char folder[] = "/tmp/helpdesk-test-import.XXXXXX";

static const char *write_file(const char *name, const char *text, size_t len)
{
    static char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    return path;
}

/* ---- reading ---- */

/* All of a file as text: fields in brackets, "!" and the reason for what is bad. */
static const char *read_all(const char *name, const char *text, size_t len)
{
    static char out[4096];
    struct error err;
    struct import_file *file = import_file_open(write_file(name, text, len), &err);
    if (file == NULL) {
        (void)snprintf(out, sizeof(out), "!!%s", err.text);
        return out;
    }
    struct arena *arena = arena_new(0);
    struct import_record record;
    size_t at = 0;
    enum import_read read;
    while ((read = import_file_read(file, arena, &record, &err)) != IMPORT_END) {
        at += (size_t)snprintf(out + at, sizeof(out) - at, "%zu", record.line);
        if (read == IMPORT_BAD) {
            at += (size_t)snprintf(out + at, sizeof(out) - at, "!%s", err.text);
        }
        for (size_t i = 0; read == IMPORT_RECORD && i < record.count; i++) {
            at += (size_t)snprintf(out + at, sizeof(out) - at, "[%s=%s]", record.names[i],
                record.values[i] != NULL ? record.values[i] : "NULL");
        }
        at += (size_t)snprintf(out + at, sizeof(out) - at, ";");
    }
    out[at] = '\0';
    arena_free(arena);
    import_file_close(file);
    return out;
}

#define READ(name, text) read_all(name, text, sizeof(text) - 1)

static void test_csv(void **state)
{
    (void)state;
    assert_string_equal(READ("a.csv", "x,y\n1,2\n"), "2[x=1][y=2];");
    assert_string_equal(READ("a.csv", "x,y\r\n1,2\r\n\r\n3,4"), "2[x=1][y=2];4[x=3][y=4];");
    assert_string_equal(READ("a.csv", "\xEF\xBB\xBFx,y\n,\n"), "2[x=][y=];");
    assert_string_equal(READ("a.csv", "x,\"y\"\n\"a \"\"b\"\", c\",\"two\r\nlines\"\n3,4\n"),
        "2[x=a \"b\", c][y=two\r\nlines];4[x=3][y=4];");
    assert_string_equal(READ("a.csv", "x\n\"\"\n"), "2[x=];");
    assert_string_equal(READ("a.csv", "x,y\n1\n1,2,3\n5,6\n"),
        "2!has 1 fields, the header has 2;3!has 3 fields, the header has 2;"
        "4[x=5][y=6];");
    assert_string_equal(READ("a.csv", "x,y\na\"b,2\n\"a\"b,2\n5,6\n"),
        "2!a quote stands inside a field that does not start with one;3!text follows a closing "
        "quote;4[x=5][y=6];");
    assert_string_equal(READ("a.csv", "x,y\n1,\"open\n5,6\n"), "2!a quoted field is not closed;");
    assert_string_equal(READ("a.csv", "x,y\n\xff,1\na\0b,1\n5,6\n"),
        "2!a field is not valid UTF-8 text;3!a field is not valid UTF-8 text;4[x=5][y=6];");
    assert_string_equal(READ("a.csv", ""), "!!the header cannot be read: the file is empty");
    assert_string_equal(READ("a.csv", "x,y,x\n"), "!!the header names column 1 and 3 alike");
    assert_string_equal(
        READ("a.csv", "x,\"y\n"), "!!the header cannot be read: a quoted field is not closed");
    char wide[201];
    memset(wide, ',', sizeof(wide));
    assert_string_equal(
        read_all("a.csv", wide, sizeof(wide)), "!!the header cannot be read: the record is too long");
}

static void test_csv_limits(void **state)
{
    (void)state;
    size_t size = RECORDS_MAX_BYTES + 100;
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, 'a', size);
    memcpy(text, "x\n", 2);
    memcpy(text + size - 6, "\nnext\n", 6);
    assert_string_equal(read_all("a.csv", text, size), "2!a field is too long;3[x=next];");
    free(text);
    struct error err;
    assert_null(import_file_open("/nonexistent/file.csv", &err));
    assert_non_null(strstr(err.text, "No such file"));
    assert_null(import_file_open(folder, &err)); /* a folder */
}

static void test_json_lines(void **state)
{
    (void)state;
    assert_string_equal(
        READ("a.jsonl", "{\"x\": \"a\\nb\", \"n\": 1.50, \"t\": true, \"z\": null}\n\n{\"x\":\"\"}"),
        "1[x=a\nb][n=1.50][t=true][z=NULL];3[x=];");
    assert_non_null(strstr(READ("a.jsonl", "{\"x\":1\n[1]\n{\"x\":{}}\n{\"x\":\"ok\"}\n"), "4[x=ok];"));
    assert_non_null(strstr(READ("a.jsonl", "[1]\n"), "1!the line is no JSON object;"));
    assert_string_equal(READ("a.jsonl", ""), "");
}

/* ---- commands ---- */

static char said[64 * 1024]; /* on standard error and standard output */

static int call(int (*run)(int, char **), const char *const *words)
{
    char path[300];
    (void)snprintf(path, sizeof(path), "%s/said", folder);
    (void)fflush(NULL);
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), out = dup(1), err = dup(2);
    assert_true(file >= 0 && out >= 0 && err >= 0);
    assert_true(dup2(file, 1) == 1 && dup2(file, 2) == 2);
    char *argv[8];
    int argc = 0;
    for (; words[argc] != NULL; argc++) {
        argv[argc] = strdup(words[argc]);
    }
    argv[argc] = NULL;
    int code = run(argc, argv);
    (void)fflush(NULL);
    assert_true(dup2(out, 1) == 1 && dup2(err, 2) == 2);
    ssize_t len = pread(file, said, sizeof(said) - 1, 0);
    said[len > 0 ? len : 0] = '\0';
    for (int i = 0; i < argc; i++) {
        free(argv[i]);
    }
    (void)close(file);
    (void)close(out);
    (void)close(err);
    return code;
}

static int import_text(const char *kind, const char *name, const char *text)
{
    return call(
        cmd_import, (const char *const[]){"import", kind, write_file(name, text, strlen(text)), NULL});
}

static void check_value(const char *sql, const char *expected)
{
    assert_string_equal(pg_testdb_value(&testdb, sql), expected);
}

static void test_customers(void **state)
{
    (void)state;
    const char *good = "external_id,name,email,company,tier,lifetime_value,shoe_size\n"
                       "C-1,Ann,ann@example.com,,enterprise,12000.5,43\n"
                       "C-2,Bob,bob@example.com,Acme,,,\n"
                       "C-1,Anna,anna@example.com,,enterprise,12000.5,43\n";
    assert_int_equal(import_text("customers", "c.csv", good), 0);
    assert_non_null(strstr(said, "customers: 3 stored, 0 bad"));
    assert_non_null(strstr(said, "shoe_size is not known"));
    check_value("SELECT string_agg(external_id || customer_id || name || tier || lifetime_value, ' ' ORDER "
                "BY 1) FROM customers",
        "C-1C-1Annaenterprise12000.5 C-2C-2Bobstandard0");
    const char *bad = "external_id,name,email,tier,last_contact\n"
                      "C-1,Anna,anna@example.com,enterprise,2026-01-02T00:00:00Z\n"
                      "C-3,Zed,geheim@example.com,golden,\n"
                      ",Zed,geheim@example.com,,\n"
                      "C-5,Zed,geheim@example.com,,yesterday\n";
    assert_int_equal(import_text("customers", "c.csv", bad), 1);
    assert_non_null(strstr(said, "customers: 1 stored, 3 bad"));
    assert_non_null(strstr(said, "c.csv:3: tier must be one of standard|premium|enterprise"));
    assert_non_null(strstr(said, "c.csv:4: external_id is missing or empty"));
    assert_non_null(strstr(said, "c.csv:5: last_contact must be a time"));
    assert_null(strstr(said, "geheim"));
    /* An older contact does not replace a newer one. */
    assert_int_equal(import_text("customers", "c.csv",
                         "external_id,name,email,last_contact\nC-1,A,a,2025-01-01T00:00:00Z\n"),
        0);
    check_value("SELECT last_contact FROM customers WHERE external_id = 'C-1'", "2026-01-02 00:00:00+00");
}

static void test_orders(void **state)
{
    (void)state;
    const char *lines =
        "{\"order_id\":\"O-1\",\"customer_external_id\":\"C-1\",\"status\":\"shipped\",\"total\":12.30,"
        "\"ordered_at\":\"2026-01-02T03:04:05+01:00\"}\n"
        "{\"order_id\":\"O-2\",\"customer_external_id\":\"C-1\",\"status\":\"shipped\",\"total\":\"much\","
        "\"ordered_at\":\"2026-01-02T03:04:05Z\"}\n"
        "{\"order_id\":\n";
    assert_int_equal(import_text("orders", "o.jsonl", lines), 1);
    assert_non_null(strstr(said, "orders: 1 stored, 2 bad"));
    assert_non_null(strstr(said, "o.jsonl:2: total must be a number"));
    check_value("SELECT tenant || total || currency || ordered_at FROM orders",
        "default12.3USD2026-01-02 02:04:05+00");
}

static void test_tickets(void **state)
{
    (void)state;
    pg_testdb_script(&testdb,
        "INSERT INTO tickets (tenant, ticket_id, customer_external_id, subject, description, channel, "
        "created_at, received_at, "
        "correlation_id) VALUES ('default', 'T-live', 'C-1', 'live', 'd', 'email', now(), now(), 'run'); "
        "INSERT INTO customers (tenant, external_id, customer_id, name, email) "
        "VALUES ('default', 'C-joe', 'C-joe', 'Joe Bloggs', 'joe@example.com')");
    const char *text = "ticket_id,customer_external_id,subject,description,locale,created_at,answer\n"
                       "T-1,C-joe,Login,\"I am joe@example.com, help\",de,2026-01-01T00:00:00Z,Dear "
                       "joe@example.com press reset. Done Joe Bloggs?\n"
                       "T-2,C-1,Other,No answer yet,en,2026-01-01T00:00:00Z,\n"
                       "T-live,C-1,Over,written,en,2026-01-01T00:00:00Z,\n";
    for (int round = 0; round < 2; round++) {
        assert_int_equal(import_text("tickets", "t.csv", text), 0);
        check_value("SELECT string_agg(ticket_id || status || state, ' ' ORDER BY ticket_id) FROM tickets",
            "T-1closedcompleted T-2closedcompleted T-liveopenaccepted");
        check_value("SELECT string_agg(ticket_id || config, ' ') FROM resolutions", "T-1german");
        check_value("SELECT count(*) FROM resolutions WHERE problem || answer LIKE '%joe@%'", "0");
        check_value("SELECT answer LIKE '%Done [name]?' FROM resolutions", "t");
    }
}

static void test_what_only_the_database_refuses(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 1024 * 1024);
    buf_puts(&text, "external_id,name,email\n");
    for (int i = 0; i < 700; i++) { /* more than a batch */
        buf_printf(&text, "D-%d,%s,e\n", i, i == 345 ? "refused" : "n");
    }
    pg_testdb_script(&testdb, "ALTER TABLE customers ADD CONSTRAINT picky CHECK (name <> 'refused')");
    assert_int_equal(import_text("customers", "c.csv", buf_text(&text)), 1);
    assert_non_null(strstr(said, "customers: 699 stored, 1 bad"));
    assert_non_null(strstr(said, "c.csv:347: "));
    assert_non_null(strstr(said, "picky"));
    pg_testdb_script(&testdb, "ALTER TABLE customers DROP CONSTRAINT picky");
    check_value("SELECT count(*) FROM customers WHERE external_id LIKE 'D-%'", "699");
    buf_fini(&text);
}

static void test_the_sample_files(void **state)
{
    (void)state;
    static const char *const kinds[] = {"customers", "orders", "tickets"};
    for (int i = 0; i < 3; i++) {
        char path[300];
        (void)snprintf(path, sizeof(path), "%s/deploy/sample/%s.csv", SOURCE_DIR, kinds[i]);
        int code = call(cmd_import, (const char *const[]){"import", kinds[i], path, NULL});
        if (code != 0 || strstr(said, "not known") != NULL) {
            fail_msg("%s", said);
        }
    }
}

static void test_usage(void **state)
{
    (void)state;
    assert_int_equal(call(cmd_import, (const char *const[]){"import", NULL}), 2);
    assert_int_equal(call(cmd_import, (const char *const[]){"import", "cars", "x", NULL}), 2);
    assert_int_equal(call(cmd_import, (const char *const[]){"import", "orders", "/nonexistent", NULL}), 1);
    assert_int_equal(call(cmd_import, (const char *const[]){"import", "--help", NULL}), 0);
    assert_non_null(strstr(said, "lifetime_value"));
    assert_int_equal(call(cmd_migrate, (const char *const[]){"migrate", NULL}), 2);
    assert_int_equal(call(cmd_migrate, (const char *const[]){"migrate", "down", "0", NULL}), 2);
    assert_int_equal(call(cmd_migrate, (const char *const[]){"migrate", "sideways", NULL}), 2);
    setenv("HELPDESK_DATABASE_URL", "postgresql://u:geheim@127.0.0.1:1/x", 1);
    assert_int_equal(call(cmd_migrate, (const char *const[]){"migrate", "up", NULL}), 1);
    assert_null(strstr(said, "geheim"));
    setenv("HELPDESK_DATABASE_URL", testdb.url, 1);
}

static void test_migrate(void **state)
{
    (void)state;
    assert_int_equal(call(cmd_migrate, (const char *const[]){"migrate", "up", NULL}), 0);
    assert_string_equal(said, "nothing to do\n");
    assert_int_equal(call(cmd_migrate, (const char *const[]){"migrate", "status", NULL}), 0);
    assert_non_null(strstr(said, "0001_base applied"));
    assert_null(strstr(said, "pending"));
    assert_int_equal(call(cmd_migrate, (const char *const[]){"migrate", "down", NULL}), 0);
    assert_int_equal(call(cmd_migrate, (const char *const[]){"migrate", "status", NULL}), 0);
    assert_non_null(strstr(said, "pending"));
    assert_int_equal(call(cmd_import, (const char *const[]){"import", "orders", "/dev/null", NULL}), 1);
    assert_int_equal(call(cmd_migrate, (const char *const[]){"migrate", "down", "100", NULL}), 0);
    assert_int_equal(import_text("orders", "o.csv",
                         "order_id,customer_external_id,status,total,ordered_at\n"
                         "1,1,s,1,2026-01-01T00:00:00Z\n"),
        1);
    assert_non_null(strstr(said, "does not exist"));
    assert_int_equal(call(cmd_migrate, (const char *const[]){"migrate", "up", NULL}), 0);
}

static void remove_folder(void)
{
    static const char *const names[] = {"a.csv", "a.jsonl", "c.csv", "o.csv", "o.jsonl", "t.csv", "said"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[300];
        (void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

int main(void)
{
    pg_testdb_create(&testdb, true);
    setenv("HELPDESK_DATABASE_URL", testdb.url, 1);
    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csv),
        cmocka_unit_test(test_csv_limits),
        cmocka_unit_test(test_json_lines),
        cmocka_unit_test(test_customers),
        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_tickets),
        cmocka_unit_test(test_what_only_the_database_refuses),
        cmocka_unit_test(test_the_sample_files),
        cmocka_unit_test(test_usage),
        cmocka_unit_test(test_migrate),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove_folder();
    pg_testdb_drop(&testdb);
    return failed;
}
