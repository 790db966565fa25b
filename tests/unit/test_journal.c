/* The journal of what runs: what a killed process leaves, what a clean one does not, files that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "engine/journal.h"

static char dir[64];

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/hd-journal-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    char path[128];
    (void)state;
    for (int i = 0; i < 64; i++) {
        snprintf(path, sizeof(path), "%s/journal/stage.%d", dir, i);
        unlink(path);
    }
    snprintf(path, sizeof(path), "%s/journal", dir);
    rmdir(path);
    return rmdir(dir);
}

static struct bus_record at(int32_t partition, int64_t offset)
{
    return (struct bus_record){
        .topic = "tickets.submitted", .partition = partition, .offset = offset, .timestamp = 1000 + offset};
}

static struct journal *open_it(void)
{
    struct error err = {0};
    struct journal *journal = journal_open(dir, "stage", &err);
    if (!journal) {
        fail_msg("%s", err.text);
    }
    return journal;
}

/* Another process runs `running` records from `first` on and leaves `done` of them; then it is killed, or
 * lives on until its end of the pipe closes. */
struct other {
    pid_t pid;
    int life;
};

static struct other start_other(int64_t first, int64_t running, int64_t done)
{
    int life[2];
    int ready[2];
    char c = 0;
    assert_int_equal(pipe(life) | pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(life[1]);
        struct journal *journal = open_it();
        for (int64_t i = 0; i < running; i++) {
            struct bus_record record = at(0, first + i);
            int slot = journal_enter(journal, &record);
            if (i < done) {
                journal_leave(journal, slot);
            }
        }
        _exit(write(ready[1], "r", 1) != 1 || read(life[0], &c, 1) < 0);
    }
    close(life[0]);
    close(ready[1]);
    assert_int_equal(read(ready[0], &c, 1), 1);
    close(ready[0]);
    return (struct other){pid, life[1]};
}

static void kill_other(struct other other)
{
    kill(other.pid, SIGKILL);
    assert_int_equal(waitpid(other.pid, NULL, 0), other.pid);
    close(other.life);
}

static int crashes(const struct journal *journal, int64_t offset)
{
    struct bus_record record = at(0, offset);
    return journal_crashes(journal, &record);
}

static void test_a_killed_process_leaves_its_slots(void **state)
{
    (void)state;
    kill_other(start_other(10, 5, 2));
    struct journal *journal = open_it();
    assert_int_equal(journal_suspects(journal), 3);
    assert_int_equal(crashes(journal, 11), 0);
    assert_int_equal(crashes(journal, 12), 1);
    assert_int_equal(crashes(journal, 14), 1);
    assert_int_equal(crashes(journal, 15), 0);
    struct bus_record other_partition = at(1, 12);
    assert_int_equal(journal_crashes(journal, &other_partition), 0);
    struct bus_record made_anew = at(0, 12);
    made_anew.timestamp++;
    assert_int_equal(journal_crashes(journal, &made_anew), 0);
    journal_close(journal);
}

static void test_crashes_add_up_until_forgotten(void **state)
{
    (void)state;
    kill_other(start_other(10, 3, 0));
    kill_other(start_other(11, 1, 0));
    kill_other(start_other(11, 1, 0));
    struct journal *journal = open_it();
    assert_int_equal(crashes(journal, 10), 1);
    assert_int_equal(crashes(journal, 11), 3);
    struct bus_record done = at(0, 11);
    journal_forget(journal, &done);
    assert_int_equal(crashes(journal, 11), 0);
    journal_close(journal);
    journal = open_it();
    assert_int_equal(crashes(journal, 11), 0);
    assert_int_equal(crashes(journal, 12), 1);
    journal_close(journal);
}

static void test_a_clean_end_leaves_nothing(void **state)
{
    (void)state;
    struct journal *journal = open_it();
    struct bus_record record = at(0, 1);
    assert_int_equal(journal_enter(journal, &record), 0);
    journal_close(journal);
    journal = open_it();
    assert_int_equal(journal_suspects(journal), 0);
    journal_close(journal);
}

/* Two processes of a stage: each has a file of its own; what one has in its hands is no crash while it lives,
 * and one for the other as soon as it is dead. */
static void test_neighbours(void **state)
{
    (void)state;
    struct other other = start_other(20, 1, 0);
    struct journal *journal = open_it();
    assert_int_equal(crashes(journal, 20), 0);
    kill_other(other);
    assert_int_equal(crashes(journal, 20), 0); /* not looked yet */
    journal_refresh(journal);
    assert_int_equal(crashes(journal, 20), 1);
    kill_other(start_other(20, 1, 0)); /* inherits the first one's file and makes a count of its slot */
    journal_refresh(journal);
    assert_int_equal(crashes(journal, 20), 2);
    struct bus_record record = at(0, 20);
    journal_enter(journal, &record);
    journal_refresh(journal);
    assert_int_equal(crashes(journal, 20), 2); /* our own are none */
    journal_close(journal);
}

static void test_all_slots(void **state)
{
    (void)state;
    struct journal *journal = open_it();
    struct bus_record record = at(0, 1);
    for (int i = 0; i < JOURNAL_SLOTS; i++) {
        assert_int_equal(journal_enter(journal, &record), i);
    }
    assert_int_equal(journal_enter(journal, &record), -1);
    journal_leave(journal, -1);
    journal_leave(journal, 77);
    assert_int_equal(journal_enter(journal, &record), 77);
    struct bus_record other = {.topic = "a-topic-whose-name-is-longer-than-any-of-ours-is-or-will-be"};
    journal_leave(journal, 5);
    assert_int_equal(journal_enter(journal, &other), -1);
    assert_int_equal(journal_crashes(journal, &other), 0);
    journal_close(journal);
}

static void write_file(const void *bytes, size_t len, off_t where)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/journal/stage.0", dir);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, where), len);
    close(fd);
}

/* Whatever the file holds, it is made a journal again. */
static void test_files_that_are_none(void **state)
{
    char path[128];
    (void)state;
    snprintf(path, sizeof(path), "%s/journal", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    write_file("", 0, 0);
    journal_close(open_it());
    write_file("garbage", 7, 0); /* another version */
    kill_other(start_other(1, 1, 0));
    struct journal *journal = open_it();
    assert_int_equal(crashes(journal, 1), 1);
    journal_close(journal);
    snprintf(path, sizeof(path), "%s/journal/stage.0", dir);
    assert_int_equal(truncate(path, 1000), 0);
    journal_close(open_it());
}

/* Every byte of a valid file's entries may be anything. */
static void test_hostile_entries(void **state)
{
    static unsigned char noise[3 << 20];
    struct stat stat_of;
    char path[128];
    (void)state;
    journal_close(open_it());
    snprintf(path, sizeof(path), "%s/journal/stage.0", dir);
    assert_int_equal(stat(path, &stat_of), 0);
    size_t len = (size_t)stat_of.st_size;
    assert_in_range(len, 1000, sizeof(noise));
    for (unsigned round = 0; round < 4; round++) {
        for (size_t i = 0; i < len; i++) { /* the last round: all ones */
            noise[i] = round == 3 ? 0xff : (unsigned char)((i * 2654435761u + round) >> 13);
        }
        write_file(noise, len - 16, 16);
        struct journal *journal = open_it();
        struct bus_record record = at(0, 1);
        assert_in_range(journal_suspects(journal), 0, JOURNAL_SUSPECTS);
        assert_int_equal(journal_crashes(journal, &record), 0);
        assert_int_equal(journal_enter(journal, &record), 0);
        journal_forget(journal, &record);
        journal_close(journal);
    }
}

static void test_nowhere_to_write(void **state)
{
    struct error err = {0};
    char path[128];
    (void)state;
    assert_null(journal_open("/proc/none", "stage", &err));
    assert_string_equal(err.code, "journal_unusable");
    snprintf(path, sizeof(path), "%s/journal", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/journal/stage.0", dir);
    assert_int_equal(symlink("/tmp/elsewhere", path), 0);
    assert_null(journal_open(dir, "stage", &err));
    assert_int_equal(access("/tmp/elsewhere", F_OK), -1);
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_null(journal_open(dir, "stage", &err));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_killed_process_leaves_its_slots),
        TEST(test_crashes_add_up_until_forgotten),
        TEST(test_a_clean_end_leaves_nothing),
        TEST(test_neighbours),
        TEST(test_all_slots),
        TEST(test_files_that_are_none),
        TEST(test_hostile_entries),
        TEST(test_nowhere_to_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
