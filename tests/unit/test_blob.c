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
#include "blob/glob.h"

static char folder[64];
static struct loop *loop;
static struct blob_source *source;
static struct arena *arena;

/* All pages of a walk; the strings in `arena`. */
static struct {
    struct blob_object objects[4000];
    size_t count, pages, refused;
    const char *gap;
} list;
static struct blob_walk *walk;
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

static void on_page(void *arg, const struct blob_page *page, const struct error *err)
{
    (void)arg;
    error = err ? *err : (struct error){0};
    for (size_t i = 0; page && i < page->count; i++) {
        assert_true(list.count < sizeof(list.objects) / sizeof(list.objects[0]));
        struct blob_object *object = &list.objects[list.count++];
        *object = page->objects[i];
        object->key = arena_strdup(arena, object->key);
        object->etag = arena_strdup(arena, object->etag);
    }
    if (page) {
        list.pages++;
        list.refused += page->refused;
        list.gap = page->gap ? arena_strdup(arena, page->gap) : list.gap;
    }
    if (page && !page->last) {
        blob_walk_next(walk, on_page, NULL);
    } else {
        loop_stop(loop, 0);
    }
}

static void on_change(void *arg, const struct error *err)
{
    (void)arg;
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
    list.count = list.pages = list.refused = 0;
    list.gap = NULL;
    walk = blob_walk_new(source);
    blob_walk_next(walk, on_page, NULL);
    (void)loop_run(loop);
    blob_walk_free(walk);
}

static void do_read(const char *key, size_t max)
{
    blob_read(source, arena, key, max, on_read, NULL);
    (void)loop_run(loop);
}

static void do_write(const char *key, const char *text)
{
    blob_write(source, arena, key, text, strlen(text), on_change, NULL);
    (void)loop_run(loop);
}

static void do_remove(const char *key)
{
    blob_remove(source, arena, key, on_change, NULL);
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
    (void)snprintf(folder, sizeof(folder), "/tmp/test_blob.XXXXXX");
    assert_non_null(mkdtemp(folder));
    loop = loop_new(1);
    source = blob_open(loop, &(struct blob_place){.name = "default", .place = folder}, &err);
    assert_non_null(source);
    arena = arena_new(0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    blob_close(source);
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
    assert_null(list.gap);
    assert_int_equal(list.pages, 1);
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
        assert_false(blob_wanted(source, bad[i]));
        assert_string_equal(error.code, "blob_bad_key");
    }
}

/* As in a bucket: the same word with its accent in one character and in two is two documents. */
static void keys_that_look_the_same_are_two(void **state)
{
    (void)state;
    write_file("caf\xc3\xa9.md", "one");
    write_file("cafe\xcc\x81.md", "two");
    do_list();
    assert_int_equal(list.count, 2);
    assert_string_equal(list.objects[0].key, "cafe\xcc\x81.md");
    do_read("caf\xc3\xa9.md", 100);
    assert_memory_equal(content.data, "one", 3);
    do_read("cafe\xcc\x81.md", 100);
    assert_memory_equal(content.data, "two", 3);
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

static void a_folder_that_cannot_be_opened_is_a_gap(void **state)
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
    write_file("e.md", "x");
    do_list();
    assert_non_null(list.gap);
    assert_memory_equal(list.gap, "d/d/d/", 6);
    assert_int_equal(list.count, 2);
    assert_string_equal(list.objects[1].key, "e.md");
}

static void pages_are_in_byte_order_of_the_keys(void **state)
{
    (void)state;
    char name[64];
    make_folder("dir");
    write_file("dir/x.md", "x");
    write_file("dir.md", "x");
    write_file("dir-a.md", "x");
    write_file("dir0.md", "x");
    make_folder("many");
    for (int i = 0; i < 2100; i++) {
        (void)snprintf(name, sizeof(name), "many/%d.md", i);
        write_file(name, "x");
    }
    write_file("\x01.md", "x");
    do_list();
    assert_int_equal(list.count, 2104);
    assert_int_equal(list.pages, 3);
    assert_int_equal(list.refused, 1);
    static const char *const first[] = {"dir-a.md", "dir.md", "dir/x.md", "dir0.md", "many/0.md"};
    for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
        assert_string_equal(list.objects[i].key, first[i]);
    }
    for (size_t i = 1; i < list.count; i++) {
        assert_true(strcmp(list.objects[i - 1].key, list.objects[i].key) < 0);
    }
}

static void writes_and_removes_inside_only(void **state)
{
    (void)state;
    char path[512];
    do_write("new/folder/a.md", "one");
    assert_int_equal(error.disposition, ERROR_NONE);
    do_write("new/folder/a.md", "two");
    do_read("new/folder/a.md", 100);
    assert_memory_equal(content.data, "two", 3);
    do_list();
    assert_int_equal(list.count, 1); /* no file of its own is left */
    do_remove("new/folder/a.md");
    assert_int_equal(error.disposition, ERROR_NONE);
    do_remove("new/folder/a.md");
    assert_int_equal(error.disposition, ERROR_NONE);
    do_remove("no/such/folder.md");
    assert_int_equal(error.disposition, ERROR_NONE);
    do_list();
    assert_int_equal(list.count, 0);
    path_of(path, "out");
    assert_int_equal(symlink("/tmp", path), 0);
    do_write("out/a.md", "x");
    assert_string_equal(error.code, "blob_unwritable");
    do_remove("out/a.md");
    assert_string_equal(error.code, "blob_unwritable");
    do_write("../a.md", "x");
    assert_string_equal(error.code, "blob_bad_key");
    do_remove("a/../../b.md");
    assert_string_equal(error.code, "blob_bad_key");
}

static void globs_leave_out(void **state)
{
    (void)state;
    static const char *const include[] = {"guides/**", "*.md"}, *const exclude[] = {"**/draft-*"};
    const struct blob_place place = {.name = "globs",
        .place = folder,
        .include = include,
        .include_count = 2,
        .exclude = exclude,
        .exclude_count = 1};
    struct error err;
    struct blob_source *all = source;
    source = blob_open(loop, &place, &err);
    make_folder("guides");
    make_folder("other");
    write_file("guides/a.md", "x");
    write_file("guides/draft-b.md", "x");
    write_file("other/c.md", "x");
    write_file("d.md", "x");
    do_list();
    assert_int_equal(list.count, 2);
    assert_string_equal(list.objects[0].key, "d.md");
    assert_string_equal(list.objects[1].key, "guides/a.md");
    do_read("other/c.md", 100);
    assert_string_equal(error.code, "blob_missing");
    do_read("d.md", 100);
    assert_int_equal(error.disposition, ERROR_NONE);
    do_write("guides/draft-b.md", "y");
    assert_string_equal(error.code, "blob_missing");
    blob_close(source);
    source = all;
}

static void patterns_match_whole_keys(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *key;
        bool matches;
    } cases[] = {{"a.md", "a.md", true}, {"a.md", "a.mdx", false}, {"*.md", "a.md", true},
        {"*.md", "b/a.md", false}, {"**/*.md", "a.md", true}, {"**/*.md", "b/c/a.md", true},
        {"b/**", "b/c/a.md", true}, {"b/**", "bc", false}, {"b/**/a.md", "b/a.md", true},
        {"b/**/a.md", "b/c/d/a.md", true}, {"x**/a", "xy/z/a", true}, {"?.md", "\xc3\xa9.md", true},
        {"?.md", "ab.md", false}, {"?", "/", false}, {"", "a", false}, {"**", "a/b", true}, {"*", "", true},
        {"a*b*c", "aXbYc", true}, {"a*b*c", "aXbY", false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (glob_match(cases[i].pattern, cases[i].key) != cases[i].matches) {
            fail_msg("%s %s", cases[i].pattern, cases[i].key);
        }
    }
}

static void a_place_knows_its_keys(void **state)
{
    (void)state;
    const struct blob_place whole = {.place = "s3://docs"}, part = {.place = "s3://docs/help/de"};
    assert_string_equal(blob_place_key(&whole, "docs", "a/b.md"), "a/b.md");
    assert_null(blob_place_key(&whole, "doc", "a"));
    assert_null(blob_place_key(&whole, "docs2", "a"));
    assert_string_equal(blob_place_key(&part, "docs", "help/de/b.md"), "b.md");
    assert_null(blob_place_key(&part, "docs", "help/den/b.md"));
    assert_null(blob_place_key(&part, "docs", "help/b.md"));
    assert_null(blob_place_key(&(struct blob_place){.place = "/docs"}, "docs", "a"));
}

static void an_unknown_kind_of_place_is_refused(void **state)
{
    (void)state;
    struct error err;
    assert_null(blob_open(loop, &(struct blob_place){.name = "x", .place = "ftp://example/"}, &err));
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
        cmocka_unit_test_setup_teardown(keys_that_look_the_same_are_two, setup, teardown),
        cmocka_unit_test_setup_teardown(a_missing_folder_is_weather, setup, teardown),
        cmocka_unit_test_setup_teardown(a_folder_that_cannot_be_opened_is_a_gap, setup, teardown),
        cmocka_unit_test_setup_teardown(pages_are_in_byte_order_of_the_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(writes_and_removes_inside_only, setup, teardown),
        cmocka_unit_test_setup_teardown(globs_leave_out, setup, teardown),
        cmocka_unit_test(patterns_match_whole_keys),
        cmocka_unit_test(a_place_knows_its_keys),
        cmocka_unit_test_setup_teardown(an_unknown_kind_of_place_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests_name("blob", tests, NULL, NULL);
}
