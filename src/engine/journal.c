/* A memory-mapped file of slots and counts for each process of a stage. */
#include "engine/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"

#define FILES_MAX 64    /* of one stage in one folder */
#define MAGIC "hdjrnl1" /* with its NUL; the last digit is the version */
#define TOPIC_SIZE 48
#define CRASHES_MAX 1000000

struct entry {
    char topic[TOPIC_SIZE];
    int64_t offset;
    int64_t timestamp; /* the record's */
    int64_t wall_ms;   /* when it started, or crashed last */
    int32_t partition;
    _Atomic uint32_t count; /* slot: 1 while it runs; suspect: crashes. 0: free. Stored last */
};

struct file {
    char magic[8];
    uint64_t entry_size;
    struct entry slots[JOURNAL_SLOTS];
    struct entry suspects[JOURNAL_SUSPECTS];
};

/* A record with crashes, summed over the files. */
struct suspect {
    struct entry entry;
    struct entry *own; /* its count in our file, or NULL */
    uint32_t crashes;
};

struct journal {
    char *stage;
    char *folder;
    int number;
    int fd;
    struct file *file;
    int free_slots[JOURNAL_SLOTS];
    int free_count;
    struct suspect *suspects; /* sorted by compare_places */
    size_t suspect_count;
};

/* ---- entries ---- */

static bool entry_valid(const struct entry *entry)
{
    size_t len = strnlen(entry->topic, TOPIC_SIZE);
    return entry->count > 0 && entry->count <= CRASHES_MAX && len > 0 && len < TOPIC_SIZE &&
           entry->partition >= 0 && entry->offset >= 0;
}

static void entry_fill(struct entry *entry, const struct bus_record *record)
{
    memset(entry->topic, 0, TOPIC_SIZE);
    memcpy(entry->topic, record->topic, strlen(record->topic));
    entry->partition = record->partition;
    entry->offset = record->offset;
    entry->timestamp = record->timestamp;
    entry->wall_ms = clock_wall_ms();
}

static int compare_numbers(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compare_entries(const struct entry *a, const struct entry *b)
{
    int order = compare_numbers(a->offset, b->offset);
    order = order ? order : compare_numbers(a->partition, b->partition);
    order = order ? order : compare_numbers(a->timestamp, b->timestamp);
    return order ? order : strncmp(a->topic, b->topic, TOPIC_SIZE);
}

static int compare_places(const void *a, const void *b)
{
    return compare_entries(&((const struct suspect *)a)->entry, &((const struct suspect *)b)->entry);
}

/* ---- one's own file ---- */

static void file_path(const struct journal *journal, int number, char *out, size_t size)
{
    snprintf(out, size, "%s/%s.%d", journal->folder, journal->stage, number);
}

static int open_file(const struct journal *journal, int number, int flags)
{
    char path[512];
    file_path(journal, number, path, sizeof(path));
    return open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);
}

/* The first number whose file nobody holds. */
static bool take_file(struct journal *journal, struct error *err)
{
    for (journal->number = 0; journal->number < FILES_MAX; journal->number++) {
        journal->fd = open_file(journal, journal->number, O_RDWR | O_CREAT);
        if (journal->fd < 0) {
            return error_set(err, ERROR_RETRY, "journal_unusable", "%s/%s.%d cannot be opened: %s",
                journal->folder, journal->stage, journal->number, strerror(errno));
        }
        if (flock(journal->fd, LOCK_EX | LOCK_NB) == 0) {
            return true;
        }
        close(journal->fd);
        journal->fd = -1;
    }
    return error_set(err, ERROR_RETRY, "journal_unusable", "%s holds %d journals of running processes",
        journal->folder, FILES_MAX);
}

static bool is_journal(const struct file *file)
{
    return memcmp(file->magic, MAGIC, sizeof(file->magic)) == 0 && file->entry_size == sizeof(struct entry);
}

static bool map_file(struct journal *journal, struct error *err)
{
    struct stat stat;
    int failed = fstat(journal->fd, &stat) != 0 ? errno : 0;
    if (!failed && !S_ISREG(stat.st_mode)) {
        failed = EINVAL;
    }
    if (!failed && stat.st_size != (off_t)sizeof(struct file) && ftruncate(journal->fd, 0) != 0) {
        failed = errno;
    }
    failed = failed ? failed : posix_fallocate(journal->fd, 0, (off_t)sizeof(struct file));
    void *map = failed ? MAP_FAILED
                       : mmap(NULL, sizeof(struct file), PROT_READ | PROT_WRITE, MAP_SHARED, journal->fd, 0);
    if (map == MAP_FAILED) {
        return error_set(err, ERROR_RETRY, "journal_unusable", "%s/%s.%d: %s", journal->folder,
            journal->stage, journal->number, strerror(failed ? failed : errno));
    }
    journal->file = map;
    if (!is_journal(journal->file)) {
        memset(journal->file, 0, sizeof(*journal->file));
        journal->file->entry_size = sizeof(struct entry);
        memcpy(journal->file->magic, MAGIC, sizeof(journal->file->magic));
    }
    return true;
}

/* What is no count, and what is too old to matter, makes room. */
static void drop_stale(struct file *file)
{
    int64_t oldest = clock_wall_ms() - JOURNAL_KEEP_MS;
    for (size_t i = 0; i < JOURNAL_SUSPECTS; i++) {
        struct entry *entry = &file->suspects[i];
        if (!entry_valid(entry) || entry->wall_ms < oldest) {
            entry->count = 0;
        }
    }
}

static int compare_pointers(const void *a, const void *b)
{
    return compare_entries(*(const struct entry *const *)a, *(const struct entry *const *)b);
}

/* The process that had the slots died: one crash against each. With the file full of suspects, further ones
 * are let off this time. */
static void count_crashes(struct file *file)
{
    struct entry **known = xcalloc(JOURNAL_SUSPECTS, sizeof(struct entry *));
    size_t known_count = 0;
    for (size_t i = 0; i < JOURNAL_SUSPECTS; i++) {
        if (file->suspects[i].count > 0) {
            known[known_count++] = &file->suspects[i];
        }
    }
    qsort(known, known_count, sizeof(*known), compare_pointers);
    size_t room = 0;
    for (size_t i = 0; i < JOURNAL_SLOTS; i++) {
        struct entry *slot = &file->slots[i];
        if (!entry_valid(slot)) {
            slot->count = 0;
            continue;
        }
        struct entry **found = bsearch(&slot, known, known_count, sizeof(struct entry *), compare_pointers);
        if (found) {
            (*found)->wall_ms = slot->wall_ms;
            (*found)->count++;
        } else {
            while (room < JOURNAL_SUSPECTS && file->suspects[room].count > 0) {
                room++;
            }
            if (room < JOURNAL_SUSPECTS) {
                slot->count = 1;
                file->suspects[room] = *slot;
            }
        }
        slot->count = 0; /* after it is counted: better twice than never */
    }
    free(known);
}

struct journal *journal_open(const char *run_dir, const char *stage, struct error *err)
{
    struct journal *journal = xcalloc(1, sizeof(*journal));
    struct buf folder;
    journal->fd = -1;
    journal->stage = xstrdup(stage);
    buf_init(&folder, 400);
    buf_printf(&folder, "%s/journal", run_dir);
    journal->folder = xstrdup(buf_text(&folder));
    bool fits = !folder.failed;
    buf_fini(&folder);
    if (!fits) {
        error_set(err, ERROR_RETRY, "journal_unusable", "the name of run.dir is too long");
    } else if (mkdir(journal->folder, 0700) != 0 && errno != EEXIST) {
        error_set(
            err, ERROR_RETRY, "journal_unusable", "%s cannot be made: %s", journal->folder, strerror(errno));
    } else if (take_file(journal, err) && map_file(journal, err)) {
        drop_stale(journal->file);
        count_crashes(journal->file);
        for (int i = JOURNAL_SLOTS; i > 0; i--) { /* the first ones are used first */
            journal->free_slots[journal->free_count++] = i - 1;
        }
        journal_refresh(journal);
        return journal;
    }
    journal_close(journal);
    return NULL;
}

void journal_close(struct journal *journal)
{
    if (!journal) {
        return;
    }
    if (journal->file) {
        for (size_t i = 0; i < JOURNAL_SLOTS; i++) {
            journal->file->slots[i].count = 0;
        }
        munmap(journal->file, sizeof(struct file));
    }
    if (journal->fd >= 0) {
        close(journal->fd);
    }
    free(journal->suspects);
    free(journal->folder);
    free(journal->stage);
    free(journal);
}

/* ---- what runs ---- */

int journal_enter(struct journal *journal, const struct bus_record *record)
{
    if (journal->free_count == 0 || strlen(record->topic) >= TOPIC_SIZE) {
        return -1;
    }
    int slot = journal->free_slots[--journal->free_count];
    struct entry *entry = &journal->file->slots[slot];
    entry_fill(entry, record);
    entry->count = 1;
    return slot;
}

void journal_leave(struct journal *journal, int slot)
{
    if (slot >= 0) {
        journal->file->slots[slot].count = 0;
        journal->free_slots[journal->free_count++] = slot;
    }
}

/* ---- suspects ---- */

static void add_entries(
    struct journal *journal, struct entry *entries, size_t count, int64_t oldest, bool own)
{
    for (size_t i = 0; i < count; i++) {
        if (!entry_valid(&entries[i]) || entries[i].wall_ms < oldest) {
            continue;
        }
        struct suspect *added = &journal->suspects[journal->suspect_count++];
        added->entry = entries[i];
        added->own = own ? &entries[i] : NULL;
        added->crashes = entries[i].count;
    }
}

/* Of a neighbour's file: its counts, and its slots when it is dead. */
static void add_neighbour(struct journal *journal, int number, struct file *copy, int64_t oldest)
{
    int fd = open_file(journal, number, O_RDONLY);
    if (fd < 0) {
        return;
    }
    bool dead = flock(fd, LOCK_SH | LOCK_NB) == 0;
    bool whole = pread(fd, copy, sizeof(*copy), 0) == (ssize_t)sizeof(*copy);
    close(fd);
    if (!whole || !is_journal(copy)) {
        return;
    }
    size_t most = journal->suspect_count + JOURNAL_SUSPECTS + JOURNAL_SLOTS;
    journal->suspects = xrealloc(journal->suspects, most * sizeof(*journal->suspects));
    add_entries(journal, copy->suspects, JOURNAL_SUSPECTS, oldest, false);
    if (dead) {
        for (size_t i = 0; i < JOURNAL_SLOTS; i++) {
            copy->slots[i].count = copy->slots[i].count > 0;
        }
        add_entries(journal, copy->slots, JOURNAL_SLOTS, oldest, false);
    }
}

/* Sorts, and makes one suspect of those that name one record. */
static void sum_up(struct journal *journal)
{
    struct suspect *all = journal->suspects;
    size_t count = 0;
    qsort(all, journal->suspect_count, sizeof(*all), compare_places);
    for (size_t i = 0; i < journal->suspect_count; i++) {
        if (count > 0 && compare_places(&all[count - 1], &all[i]) == 0) {
            all[count - 1].crashes += all[i].crashes;
            all[count - 1].own = all[i].own ? all[i].own : all[count - 1].own;
        } else {
            all[count++] = all[i];
        }
    }
    journal->suspect_count = count;
    journal->suspects = xrealloc(all, (count + 1) * sizeof(*all));
}

void journal_refresh(struct journal *journal)
{
    int64_t oldest = clock_wall_ms() - JOURNAL_KEEP_MS;
    struct file *copy = xcalloc(1, sizeof(*copy));
    journal->suspects = xrealloc(journal->suspects, JOURNAL_SUSPECTS * sizeof(*journal->suspects));
    journal->suspect_count = 0;
    add_entries(journal, journal->file->suspects, JOURNAL_SUSPECTS, oldest, true);
    for (int i = 0; i < FILES_MAX; i++) {
        if (i != journal->number) {
            add_neighbour(journal, i, copy, oldest);
        }
    }
    free(copy);
    sum_up(journal);
}

static struct suspect *find(const struct journal *journal, const struct bus_record *record)
{
    struct suspect wanted;
    if (journal->suspect_count == 0 || strlen(record->topic) >= TOPIC_SIZE) {
        return NULL;
    }
    entry_fill(&wanted.entry, record);
    return bsearch(&wanted, journal->suspects, journal->suspect_count, sizeof(wanted), compare_places);
}

size_t journal_suspects(const struct journal *journal)
{
    return journal->suspect_count;
}

int journal_crashes(const struct journal *journal, const struct bus_record *record)
{
    const struct suspect *suspect = find(journal, record);
    return suspect ? (int)suspect->crashes : 0;
}

void journal_forget(struct journal *journal, const struct bus_record *record)
{
    struct suspect *suspect = find(journal, record);
    if (!suspect) {
        return;
    }
    suspect->crashes = 0;
    if (suspect->own) {
        suspect->own->count = 0;
    }
}
