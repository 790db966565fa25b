/* Any bytes as what a dead process left in its journal, and as the headers that the engine reads. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "engine/hints.h"
#include "engine/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/tmp/hd-fuzz-journal-XXXXXX";
static char path[64];

static void remove_dir(void)
{
    char folder[64];
    snprintf(folder, sizeof(folder), "%s/journal", dir);
    unlink(path);
    rmdir(folder);
    rmdir(dir);
}

static struct journal *open_it(void)
{
    struct error err;
    struct journal *journal = journal_open(dir, "stage", &err);
    if (!journal)
        abort();
    return journal;
}

/* The bytes over the head of the file, over its first slots and over the first counts. */
static void overwrite(const uint8_t *data, size_t size)
{
    struct stat stat_of;
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &stat_of) != 0)
        abort();
    off_t head = size > 0 && data[0] == 'H' ? 0 : 16;
    off_t counts = 16 + (stat_of.st_size - 16) / 2;
    if (pwrite(fd, data, size, head) != (ssize_t)size || pwrite(fd, data, size, counts) != (ssize_t)size)
        abort();
    close(fd);
}

static void read_hints(const struct bus_record *record)
{
    if (hints_priority(record) >= READY_PRIORITIES || hints_deadline_left_ms(record, 0) < 0)
        abort(); /* no number of these headers is before the epoch */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!*path) {
        if (!mkdtemp(dir))
            abort();
        snprintf(path, sizeof(path), "%s/journal/stage.0", dir);
        atexit(remove_dir);
    }
    const struct bus_header headers[] = {{"priority", data, size}, {"deadline-at", data, size}};
    struct bus_record record = {.topic = "tickets.submitted", .headers = headers, .header_count = 2};
    read_hints(&record);
    if (size >= 20) {
        memcpy(&record.offset, data, 8);
        memcpy(&record.timestamp, data + 8, 8);
        memcpy(&record.partition, data + 16, 4);
    }
    journal_close(open_it());
    overwrite(data, size);
    struct journal *journal = open_it();
    if (journal_suspects(journal) > JOURNAL_SUSPECTS || journal_crashes(journal, &record) < 0)
        abort();
    int slot = journal_enter(journal, &record);
    journal_forget(journal, &record);
    if (slot != 0 || journal_crashes(journal, &record) != 0)
        abort();
    journal_leave(journal, slot);
    journal_close(journal);
    return 0;
}
