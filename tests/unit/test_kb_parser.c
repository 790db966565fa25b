/* Documents parsed in child processes: what a child may not do, and what becomes of one that goes wrong. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "kb/parser.h"
#include "kb/wire.h"

#define MEMORY ((size_t)768 << 20)

static char script[] = "/tmp/test_kb_parser.XXXXXX";
static struct arena *arena;
static struct kb_document document;
static struct error error;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(KB_PARSE_ARENA);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static bool run(struct kb_parser *parser, const char *key, const char *text)
{
    error = (struct error){0};
    return kb_parser_run(parser, arena, key, "", text, strlen(text), &document, &error);
}

/* ---- children that misbehave: this program, started with a name for what it does ---- */

/* What a confined process can do that it should not; "nothing" when all is well. */
static const char *could_do(void)
{
    char *const argv[] = {script, NULL};
    if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || socket(AF_UNIX, SOCK_STREAM, 0) >= 0) {
        return "connect";
    }
    if (open("/tmp/test_kb_parser.written", O_WRONLY | O_CREAT, 0600) >= 0 ||
        open("/dev/null", O_RDWR) >= 0 || unlink(script) == 0) {
        return "write";
    }
    if (fork() >= 0 || kill(getppid(), 0) == 0) {
        return "start or signal a process";
    }
    if (execve("/bin/true", argv, argv) == 0 || errno != EPERM) {
        return "run a program";
    }
    bool clean = !getenv("HOME") && prctl(PR_GET_DUMPABLE) == 0;
    return clean && open("/dev/null", O_RDONLY) == KB_PARSER_FD + 1 ? "nothing" : "inherit";
}

static void reply_probe(void)
{
    if (!kb_parser_confine(MEMORY)) {
        return;
    }
    struct error err;
    error_set(&err, ERROR_REJECT, "probe", "%s", could_do());
    struct buf reply;
    buf_init(&reply, 4096);
    kb_wire_encode(&reply, NULL, &err);
    struct kb_wire_head head = {.data_len = (uint32_t)reply.len};
    (void)!write(KB_PARSER_FD, &head, sizeof(head));
    (void)!write(KB_PARSER_FD, reply.data, reply.len);
}

static void eat(void)
{
    for (;;) {
        char *more = xmalloc(1 << 20);
        memset(more, 1, 1 << 20);
    }
}

static int misbehave(const char *how)
{
    char byte;
    (void)!read(KB_PARSER_FD, &byte, 1);
    if (!strcmp(how, "crash")) {
        (void)raise(SIGKILL);
    } else if (!strcmp(how, "eat")) {
        eat();
    } else if (!strcmp(how, "probe")) {
        reply_probe();
    } else if (!strcmp(how, "lie")) {
        struct kb_wire_head head = {.data_len = 7};
        (void)!write(KB_PARSER_FD, &head, sizeof(head));
        (void)!write(KB_PARSER_FD, "\1\0\0\0\0\0\0", 7);
    }
    (void)pause();
    return 0;
}

/* Starts this program to misbehave in that way. */
static struct kb_parser *misbehaving(const char *how, size_t memory, int64_t timeout_ms)
{
    char self[512];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    assert_true(len > 0);
    self[len] = '\0';
    int fd = open(script, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
    assert_true(fd >= 0);
    assert_true(dprintf(fd, "#!/bin/sh\nexec '%s' %s\n", self, how) > 0);
    assert_int_equal(close(fd), 0);
    return kb_parser_new(script, memory, timeout_ms);
}

static void a_bad_child_fails_its_document(
    const char *how, int64_t timeout_ms, const char *code, const char *names)
{
    struct kb_parser *parser = misbehaving(how, (size_t)64 << 20, timeout_ms);
    assert_false(run(parser, "a.md", "text"));
    assert_string_equal(error.code, code);
    assert_int_equal(error.disposition, ERROR_REJECT);
    assert_non_null(strstr(error.text, names));
    kb_parser_free(parser);
}

static void each_way_to_go_wrong_is_named(void **state)
{
    (void)state;
    a_bad_child_fails_its_document("crash", 20000, "kb_crash", "broke");
    a_bad_child_fails_its_document("hang", 300, "kb_timeout", "300 ms (kb.parse-timeout)");
#ifndef __SANITIZE_ADDRESS__ /* whose own memory is above the least that can be set */
    a_bad_child_fails_its_document("eat", 20000, "kb_memory", "64 MiB of memory (kb.parse-memory)");
#endif
    a_bad_child_fails_its_document("lie", 20000, "kb_parser_reply", "broke");
}

static void a_program_that_is_missing_is_weather(void **state)
{
    (void)state;
    struct kb_parser *parser = kb_parser_new("/nonexistent", MEMORY, 1000);
    assert_false(run(parser, "a.md", "text"));
    assert_int_equal(error.disposition, ERROR_RETRY);
    kb_parser_free(parser);
}

/* ---- what children do ---- */

static void documents_come_back_whole(void **state)
{
    (void)state;
    struct kb_parser *parser = kb_parser_new("/proc/self/exe", MEMORY, 10000);
    assert_true(run(parser, "de/a.md", "# T\n\n## S\n\nText.\n"));
    assert_string_equal(document.title, "T");
    assert_string_equal(document.locale, "de");
    assert_int_equal(document.passage_count, 1);
    assert_string_equal(document.passages[0].heading_path, "S");
    assert_string_equal(document.passages[0].anchor, "s");
    assert_string_equal(document.passages[0].text, "Text.");
    assert_false(run(parser, "a.md", " \n"));
    assert_string_equal(error.code, "kb_empty");
    assert_true(run(parser, "b.md", "And on it goes.\n"));
    /* Its conversion table is a library that the child loads. */
    assert_true(run(parser, "d.html", "<meta charset=shift_jis><p>\x83\x6e\x83\x75"));
    assert_string_equal(document.passages[0].text, "\u30cf\u30d6");
    assert_true(run(parser, "c.pdf",
        "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count "
        "1>>endobj\n3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Resources<</Font<</F 7 0 "
        "R>>>>/Contents 4 0 R>>endobj\n4 0 obj<</Length 41>>stream\nBT /F 12 Tf 50 700 Td (Of a page.) Tj "
        "ET   \nendstream endobj\n7 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\n"
        "trailer<</Root 1 0 R>>\n%%EOF\n"));
    assert_string_equal(document.passages[0].text, "Of a page.");
    kb_parser_free(parser);
}

/* Process ids of the children of this thread. */
static void children(char *out, size_t size)
{
    int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    ssize_t len = read(fd, out, size - 1);
    assert_true(len > 0);
    out[len] = '\0';
    close(fd);
}

static void one_child_reads_many_documents(void **state)
{
    (void)state;
    struct kb_parser *parser = kb_parser_new("/proc/self/exe", MEMORY, 10000);
    char first[64], last[64];
    assert_true(run(parser, "a.md", "# T\n\nText.\n"));
    children(first, sizeof(first));
    for (int i = 0; i < 100; i++) {
        assert_true(run(parser, "a.md", "# T\n\nText.\n"));
    }
    assert_false(run(parser, "a.md", " \n")); /* a document that is refused costs no child */
    children(last, sizeof(last));
    assert_string_equal(first, last);
    kb_parser_free(parser);
}

/* In a child with the same limits: tries what it should not be able to do, and says what it could. */
static void a_child_can_do_nothing_but_read(void **state)
{
    (void)state;
    struct kb_parser *parser = misbehaving("probe", MEMORY, 10000);
    assert_false(run(parser, "a.md", "text"));
    assert_string_equal(error.code, "probe");
    assert_string_equal(error.text, "nothing");
    kb_parser_free(parser);
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], KB_PARSER_COMMAND)) { /* started by a test */
        return kb_parser_serve(argc - 1, argv + 1);
    }
    if (argc > 1) {
        return misbehave(argv[1]);
    }
    int fd = mkstemp(script);
    if (fd < 0 || fchmod(fd, 0700) != 0 || close(fd) != 0) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_way_to_go_wrong_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(a_program_that_is_missing_is_weather, setup, teardown),
        cmocka_unit_test_setup_teardown(documents_come_back_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(one_child_reads_many_documents, setup, teardown),
        cmocka_unit_test_setup_teardown(a_child_can_do_nothing_but_read, setup, teardown),
    };
    int failed = cmocka_run_group_tests_name("kb_parser", tests, NULL, NULL);
    (void)unlink(script);
    return failed;
}
