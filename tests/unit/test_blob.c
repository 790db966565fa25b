/* A folder as a source: what is listed, what is read, and that nothing outside of it can be reached. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob/blob.h"
#include "blob/blob_impl.h"

static char folder[64];
static struct loop *loop;
static struct conf *conf;
static struct blob_source *source;
static struct arena *arena;

static struct blob_list list;
static struct blob_content content;
static struct error error;

static void path_of(char out[512], const char *name)
{
    (void)snprintf(out, 512, "%s/%s", folder, name);
}

static void write_file(const char *name, const char *text)
{
    char path[512];
    path_of(path, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static void make_folder(const char *name)
{
    char path[512];
    path_of(path, name);
    assert_int_equal(mkdir(path, 0755), 0);
}

static void on_list(void *arg, const struct blob_list *got, const struct error *err)
{
    (void)arg;
    list = got ? *got : (struct blob_list){0};
    error = err ? *err : (struct error){0};
    loop_stop(loop, 0);
}

static void on_read(void *arg, const struct blob_content *got, const struct error *err)
{
    (void)arg;
    content = got ? *got : (struct blob_content){0};
    error = err ? *err : (struct error){0};
    loop_stop(loop, 0);
}

static void do_list(void)
{
    blob_list(source, arena, on_list, NULL);
    (void)loop_run(loop);
}

static void do_read(const char *key, size_t max)
{
    blob_read(source, arena, key, max, on_read, NULL);
    (void)loop_run(loop);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st;
    (void)flag;
    (void)at;
    return remove(path);
}

static int setup(void **state)
{
    (void)state;
    struct error err;
    struct buf problems;
    buf_init(&problems, 4096);
    (void)snprintf(folder, sizeof(folder), "/tmp/test_blob.XXXXXX");
    assert_non_null(mkdtemp(folder));
    loop = loop_new(1);
    conf = conf_load(NULL, &problems);
    assert_non_null(conf);
    assert_true(conf_set(conf, "kb.source", folder, &err));
    source = blob_open(loop, conf, &err);
    assert_non_null(source);
    arena = arena_new(0);
    buf_fini(&problems);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    blob_close(source);
    conf_free(conf);
    loop_free(loop);
    return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void lists_files_below_sorted(void **state)
{
    (void)state;
    make_folder("b");
    write_file("b/two.md", "22");
    write_file("z.txt", "1");
    write_file("a.md", "333");
    do_list();
    assert_int_equal(error.disposition, ERROR_NONE);
    assert_int_equal(list.count, 3);
    assert_string_equal(list.objects[0].key, "a.md");
    assert_string_equal(list.objects[1].key, "b/two.md");
    assert_string_equal(list.objects[2].key, "z.txt");
    assert_int_equal(list.objects[0].size, 3);
    assert_false(list.incomplete);
}

static void sees_no_hidden_files_links_or_pipes(void **state)
{
    (void)state;
    char path[512];
    write_file("seen.md", "x");
    write_file(".hidden.md", "x");
    make_folder(".git");
    write_file(".git/config.md", "x");
    path_of(path, "link.md");
    assert_int_equal(symlink("/etc/passwd", path), 0);
    path_of(path, "up");
    assert_int_equal(symlink("/etc", path), 0);
    path_of(path, "pipe.md");
    assert_int_equal(mkfifo(path, 0644), 0);
    do_list();
    assert_int_equal(list.count, 1);
    assert_string_equal(list.objects[0].key, "seen.md");
}

static void etag_follows_the_content(void **state)
{
    (void)state;
    write_file("a.md", "one");
    do_list();
    const char *before = list.objects[0].etag;
    do_list();
    assert_string_equal(list.objects[0].etag, before);
    write_file("a.md", "longer");
    do_list();
    assert_string_not_equal(list.objects[0].etag, before);
    do_read("a.md", 100);
    assert_string_equal(content.object.etag, list.objects[0].etag);
}

static void reads_what_was_written(void **state)
{
    (void)state;
    make_folder("d");
    write_file("d/a.md", "hello");
    do_read("d/a.md", 5);
    assert_int_equal(error.disposition, ERROR_NONE);
    assert_int_equal(content.len, 5);
    assert_memory_equal(content.data, "hello", 5);
    assert_string_equal(content.object.key, "d/a.md");
    do_read("d/a.md", 4);
    assert_string_equal(error.code, "blob_too_large");
    assert_int_equal(error.disposition, ERROR_REJECT);
}

static void reaches_nothing_outside(void **state)
{
    (void)state;
    char path[512];
    path_of(path, "out.md");
    assert_int_equal(symlink("/etc/passwd", path), 0);
    path_of(path, "etc");
    assert_int_equal(symlink("/etc", path), 0);
    static const char *const keys[] = {"out.md", "etc/passwd", "missing.md"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        do_read(keys[i], 1000000);
        assert_string_equal(error.code, "blob_missing");
    }
    static const char *const bad[] = {
        "../../etc/passwd", "/etc/passwd", "a/../../x", "", "a//b", "a/", ".a", "a/.b", "\xff", "a\nb"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(blob_key_valid(bad[i]));
        do_read(bad[i], 1000000);
        assert_string_equal(error.code, "blob_bad_key");
    }
}

static void a_missing_folder_is_weather(void **state)
{
    (void)state;
    assert_int_equal(rmdir(folder), 0);
    do_list();
    assert_int_equal(error.disposition, ERROR_RETRY);
    assert_string_equal(error.code, "blob_unavailable");
    assert_int_equal(mkdir(folder, 0755), 0);
}

static void a_folder_that_cannot_be_opened_makes_the_list_incomplete(void **state)
{
    (void)state;
    char path[512] = "", name[512] = "";
    for (int depth = 0; depth < 40; depth++) {
        size_t len = strlen(name);
        (void)snprintf(name + len, sizeof(name) - len, "%sd", len ? "/" : "");
        path_of(path, name);
        assert_int_equal(mkdir(path, 0755), 0);
    }
    write_file("a.md", "x");
    do_list();
    assert_true(list.incomplete);
    assert_int_equal(list.count, 1);
}

static void an_unknown_kind_of_place_is_refused(void **state)
{
    (void)state;
    struct error err;
    assert_true(conf_set(conf, "kb.source", "ftp://example/", &err));
    assert_null(blob_open(loop, conf, &err));
    assert_int_equal(err.disposition, ERROR_FATAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lists_files_below_sorted, setup, teardown),
        cmocka_unit_test_setup_teardown(sees_no_hidden_files_links_or_pipes, setup, teardown),
        cmocka_unit_test_setup_teardown(etag_follows_the_content, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_what_was_written, setup, teardown),
        cmocka_unit_test_setup_teardown(reaches_nothing_outside, setup, teardown),
        cmocka_unit_test_setup_teardown(a_missing_folder_is_weather, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_folder_that_cannot_be_opened_makes_the_list_incomplete, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unknown_kind_of_place_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests_name("blob", tests, NULL, NULL);
}
