/* A folder of documents, a private database, and what kb-sync needs between them. Included once by each test
 * program, which is also the parser's child: its main begins with kb_parser_serve. */
#ifndef HELPDESK_TESTS_KB_STORE_FIXTURE_H
#define HELPDESK_TESTS_KB_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "blob/blob.h"
#include "kb/store.h"
#include "kb/sync.h"
#include "pg_testdb.h"

static struct pg_testdb testdb;
static struct loop *loop;
static struct db *db;
static struct blob_source *source;
static struct kb_sync_env env;
static char folder[64];

static int pending;

static void write_file(const char *name, const char *text)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static void remove_file(const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    assert_int_equal(unlink(path), 0);
}

static int64_t revision(void)
{
    return strtoll(
        pg_testdb_value(&testdb, "SELECT revision FROM kb_revisions WHERE tenant = 'default'"), NULL, 10);
}

/* The counters of words must say what counting the passages again says. */
static void assert_terms_are_right(void)
{
    assert_string_equal(
        pg_testdb_value(&testdb,
            "SELECT count(*) FROM (SELECT p.tenant, p.config, u.lexeme, count(*)::int AS texts "
            "FROM kb_passages p, unnest(p.tsv) u GROUP BY 1, 2, 3) a FULL JOIN "
            "(SELECT * FROM kb_terms WHERE corpus = 'kb') b USING (tenant, config, lexeme, texts) "
            "WHERE b.corpus IS NULL OR a.texts IS NULL"),
        "0");
    assert_string_equal(
        pg_testdb_value(&testdb,
            "SELECT (SELECT count(*) FROM kb_passages) = (SELECT coalesce(sum(texts), 0) FROM kb_corpora "
            "WHERE corpus = 'kb')"),
        "t");
}

static int setup_all(void **state)
{
    (void)state;
    struct error err;
    pg_testdb_create(&testdb, true);
    (void)snprintf(folder, sizeof(folder), "/tmp/test_kb_store.XXXXXX");
    assert_non_null(mkdtemp(folder));
    loop = loop_new(2);
    db = db_new(loop, &(struct db_options){.url = testdb.url, .connections = 4, .query_timeout_ms = 20000});
    source = blob_open(loop, &(struct blob_place){.name = "default", .place = folder}, &err);
    assert_non_null(source);
    env = (struct kb_sync_env){.loop = loop,
        .db = db,
        .source = source,
        .tenant = "default",
        .rules = {.public_url = "https://help.example", .locale = ""},
        .max_document = 4096,
        .keep = true,
        .parser = kb_parser_new("/proc/self/exe", (size_t)512 << 20, 10000)};
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st;
    (void)flag;
    (void)at;
    return remove(path);
}

static int teardown_all(void **state)
{
    (void)state;
    db_free(db);
    blob_close(source);
    kb_parser_free(env.parser);
    loop_free(loop);
    pg_testdb_drop(&testdb);
    return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
