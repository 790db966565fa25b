/* `helpdesk dlq replay` and `discard`: letters are handled in chunks, each committed as one, so that a letter
 * is handled once however the command ends. */
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "cmd/cmd.h"
#include "cmd/dlq.h"

#define CHUNK_BYTES ((size_t)8 << 20)
#define CLOCK_SKEW_MS (INT64_C(60) * 60 * 1000) /* between workers and brokers */

/* Letters of one partition that are handled together. */
struct chunk {
    struct window_node *nodes[DEAD_COMMIT_MAX];
    struct bus_record *records[DEAD_COMMIT_MAX]; /* to publish; of a discarded letter only its place counts */
    size_t count;
    size_t bytes;
};

struct handling {
    const struct dlq_args *args;
    struct dead *dead;
    bool replay;
    int64_t
        surely_known; /* of letters that died before, the brokers may have forgotten that they were handled */
    int32_t partition;
    struct dlq_marks marks;
    struct chunk chunk;
    bool seen[DLQ_PLACES_MAX]; /* which of the places that were asked for wait */
    int64_t chosen;            /* counts towards the limit */
    int64_t done, refused;
    bool stopped;     /* `err` says why */
    struct error err; /* ends all of it */
};

static void tell(const struct handling *handling, const char *verb, int64_t offset, const char *topic)
{
    printf("%s %s %" PRId32 ":%" PRId64 "%s%s\n", verb, handling->args->stage->name, handling->partition,
        offset, topic ? " to " : "", topic ? topic : "");
}

static void refuse(struct handling *handling, int64_t offset, const char *why)
{
    handling->refused++;
    cmd_fail(1, "dlq", "%s %" PRId32 ":%" PRId64 " is not replayed: %s", handling->args->stage->name,
        handling->partition, offset, why);
}

/* ---- a chunk ---- */

static void empty_chunk(struct chunk *chunk)
{
    for (size_t i = 0; i < chunk->count; i++) {
        free(chunk->records[i]);
    }
    chunk->count = 0;
    chunk->bytes = 0;
}

/* Takes `record`. */
static void add_to_chunk(struct chunk *chunk, struct window_node *node, struct bus_record *record)
{
    chunk->nodes[chunk->count] = node;
    chunk->records[chunk->count++] = record;
    chunk->bytes += bus_record_bytes(record);
}

/* A letter that no broker takes leaves the chunk and waits on. */
static void drop_from_chunk(struct handling *handling, size_t index)
{
    struct chunk *chunk = &handling->chunk;
    refuse(handling, chunk->nodes[index]->offset, handling->err.text);
    free(chunk->records[index]);
    chunk->count--;
    memmove(&chunk->nodes[index], &chunk->nodes[index + 1], (chunk->count - index) * sizeof(chunk->nodes[0]));
    memmove(&chunk->records[index], &chunk->records[index + 1],
        (chunk->count - index) * sizeof(chunk->records[0]));
}

/* Commits the first letters of the chunk, as many as the map takes; how many, 0 when it failed (err). */
static size_t commit_chunk(struct handling *handling)
{
    struct chunk *chunk = &handling->chunk;
    char map[WINDOW_MAP_SIZE];
    while (chunk->count > 0) {
        struct dead_commit commit = {.partition = handling->partition,
            .metadata = map,
            .records = (const struct bus_record *const *)chunk->records};
        size_t fit = dlq_marks_handle(&handling->marks, chunk->nodes, chunk->count, &commit.offset, map);
        commit.count = handling->replay ? fit : 0;
        size_t refused = 0;
        if (fit == 0 || dead_commit(handling->dead, &commit, &refused, &handling->err)) {
            return fit;
        }
        dlq_marks_undo(chunk->nodes, fit);
        if (handling->err.disposition != ERROR_REJECT) {
            handling->stopped = true;
            return 0;
        }
        drop_from_chunk(handling, refused);
    }
    return 0;
}

/* The map of what is handled between waiting letters has no room for one letter more. */
static void stop_for_map(struct handling *handling, int64_t offset)
{
    handling->stopped = true;
    error_set(&handling->err, ERROR_FATAL, "map_full",
        "stopped before %" PRId32 ":%" PRId64
        ": too many letters wait between handled ones; first replay or discard the oldest, from %" PRId32
        ":%" PRId64 " on",
        handling->partition, offset, handling->partition, window_position(&handling->marks.window));
}

static void flush_chunk(struct handling *handling)
{
    struct chunk *chunk = &handling->chunk;
    if (chunk->count > 0 && !handling->stopped) {
        size_t fit = commit_chunk(handling);
        for (size_t i = 0; i < fit; i++) {
            tell(handling, handling->replay ? "replayed" : "discarded", chunk->nodes[i]->offset,
                handling->replay ? chunk->records[i]->topic : NULL);
        }
        handling->done += (int64_t)fit;
        if (fit < chunk->count && !handling->stopped) {
            stop_for_map(handling, chunk->nodes[fit]->offset);
        }
        dlq_marks_forget(&handling->marks, chunk->nodes, fit);
        fflush(stdout);
    }
    empty_chunk(chunk);
}

/* ---- a letter ---- */

static void note_place(struct handling *handling, const struct bus_record *record)
{
    const struct dlq_filter *filter = &handling->args->filter;
    for (size_t i = 0; i < filter->place_count; i++) {
        if (filter->places[i].partition == record->partition && filter->places[i].offset == record->offset) {
            handling->seen[i] = true;
        }
    }
}

/* The topic as the stage's descriptor names it; NULL: the stage does not consume it, whatever the letter
 * says. `why`: what is wrong with it, also when the letter cannot be replayed there. */
static const char *find_origin(const struct stage *stage, const char *topic, const char **why)
{
    const char *const *known = stage->engine->topics;
    while (*known && strcmp(*known, topic) != 0) {
        known++;
    }
    *why = NULL;
    if (*topic == '\0') {
        *why = "it has no header helpdesk.error.topic, so where it came from is not known";
    } else if (!*known) {
        *why = "its header helpdesk.error.topic names no topic that this stage consumes";
    } else if (strlen(topic) > strlen(".dead") &&
               strcmp(topic + strlen(topic) - strlen(".dead"), ".dead") == 0) {
        *why = "it is another stage's dead letter whose headers are gone: find it with that stage";
    }
    return *known;
}

static void choose(
    struct handling *handling, struct arena *arena, const struct dlq_letter *letter, struct window_node *node)
{
    const char *why;
    const char *origin = find_origin(handling->args->stage, letter->why.topic, &why);
    if (!why && letter->why.died_at < handling->surely_known && handling->args->filter.place_count == 0) {
        why = "it died before the time that the brokers remember (offsets.retention.minutes), so it may have "
              "been "
              "replayed already; name it with --offset to replay it";
    }
    if (handling->replay && why) {
        refuse(handling, node->offset, why);
        return;
    }
    handling->chosen++;
    if (handling->args->dry_run) {
        tell(handling, handling->replay ? "would replay" : "would discard", node->offset,
            handling->replay ? origin : NULL);
        handling->done++;
        return;
    }
    struct bus_record record = letter_original(arena, letter->record, origin ? origin : "");
    add_to_chunk(&handling->chunk, node, bus_record_copy(&record));
    if (handling->chunk.count == DEAD_COMMIT_MAX || handling->chunk.bytes >= CHUNK_BYTES) {
        flush_chunk(handling);
    }
}

static bool on_letter(void *arg, const struct bus_record *record)
{
    struct handling *handling = arg;
    struct window_node *node = dlq_marks_take(&handling->marks, record->offset);
    if (!node) {
        return true;
    }
    note_place(handling, record);
    struct arena *arena = arena_new(DLQ_LETTER_ARENA);
    struct dlq_letter letter;
    dlq_letter_init(&letter, arena, handling->args->stage->name, record, false);
    if (dlq_filter_match(&handling->args->filter, arena, &letter)) {
        choose(handling, arena, &letter, node);
    }
    dlq_letter_fini(&letter);
    arena_free(arena);
    return !handling->stopped && handling->chosen < handling->args->limit;
}

/* ---- all of a stage ---- */

/* What is handled up to the first letter that waits need not be kept. */
static void remove_handled(struct handling *handling)
{
    struct error err = {0};
    int64_t position = window_position(&handling->marks.window);
    if (!handling->args->dry_run && position > dead_partition(handling->dead, handling->partition)->low &&
        !dead_remove(handling->dead, handling->partition, position, &err)) {
        log_warn("handled dead letters were not removed", LOG_STR("stage", handling->args->stage->name),
            LOG_INT("partition", handling->partition), LOG_STR("code", err.code), LOG_STR("error", err.text));
    }
}

static void handle_partition(struct handling *handling, int32_t partition)
{
    struct error err = {0};
    handling->partition = partition;
    bool ok = dlq_open_marks(&handling->marks, handling->dead, handling->args->stage->name, partition, &err);
    if (ok) {
        int64_t from = dlq_first_waiting(&handling->marks, handling->dead, partition);
        ok = dead_read(handling->dead, partition, from, on_letter, handling, &err);
        flush_chunk(handling);
        remove_handled(handling);
    }
    if (!ok && !handling->stopped) {
        handling->stopped = true;
        handling->err = err;
    }
    dlq_marks_fini(&handling->marks);
}

/* Letters that were asked for by their place and do not wait; how many never were. */
static int64_t report_absent(const struct handling *handling)
{
    const struct dlq_filter *filter = &handling->args->filter;
    int64_t absent = 0;
    for (size_t i = 0; i < filter->place_count; i++) {
        const struct dlq_place *place = &filter->places[i];
        bool known = place->partition < dead_partition_count(handling->dead);
        if (handling->seen[i] || handling->chosen >= handling->args->limit) {
            continue;
        }
        if (known && place->offset < dead_partition(handling->dead, place->partition)->end) {
            printf("%s %" PRId32 ":%" PRId64 " was handled before, or is no longer there\n",
                handling->args->stage->name, place->partition, place->offset);
        } else {
            absent++;
            cmd_fail(1, "dlq", "%s has no letter %" PRId32 ":%" PRId64, handling->args->stage->name,
                place->partition, place->offset);
        }
    }
    return absent;
}

static const char *user_name(char text[64])
{
    const struct passwd *user = getpwuid(getuid());
    snprintf(text, 64, "%u", (unsigned)getuid());
    return user ? user->pw_name : text;
}

static void log_handled(const struct handling *handling)
{
    char number[64];
    const char *reason = handling->args->reason ? handling->args->reason : "";
    log_info(handling->replay ? "dead letters replayed" : "dead letters discarded",
        LOG_STR("stage", handling->args->stage->name), LOG_INT("count", handling->done),
        LOG_INT("refused", handling->refused), LOG_STR("user", user_name(number)), LOG_STR("reason", reason));
}

static int report(const struct handling *handling)
{
    const struct dlq_args *args = handling->args;
    const char *did = handling->replay ? "replayed" : "discarded";
    int64_t absent = handling->stopped ? 0 : report_absent(handling);
    printf("%s: %" PRId64 " %s%s", args->stage->name, handling->done, args->dry_run ? "would be " : "", did);
    if (handling->refused > 0) {
        printf(", %" PRId64 " refused", handling->refused);
    }
    puts("");
    fflush(stdout);
    if (!args->dry_run) {
        log_handled(handling);
    }
    if (handling->stopped && strcmp(handling->err.code, "fenced") == 0) {
        return cmd_fail(1, "dlq", "another replay or discard of %s began and took over; this one has ended",
            args->stage->name);
    }
    if (handling->stopped) {
        return cmd_fail(1, "dlq", "%s", handling->err.text);
    }
    return handling->refused > 0 || absent > 0 ? 1 : 0;
}

/* 0 to go on, else the code to exit with. */
static int confirm(const struct dlq_args *args)
{
    const char *verb = args->verb == DLQ_REPLAY ? "replay" : "discard";
    if (!args->filter.any || args->yes || args->dry_run) {
        return 0;
    }
    if (!isatty(STDIN_FILENO)) {
        return cmd_fail(2, "dlq",
            "without a filter this would %s every waiting letter of %s: say --yes if so", verb,
            args->stage->name);
    }
    fprintf(stderr, "%s every waiting letter of %s? [y/N] ", verb, args->stage->name);
    int answer = getchar();
    return answer == 'y' || answer == 'Y' ? 0 : cmd_fail(1, "dlq", "nothing was done");
}

int dlq_handle(const struct conf *conf, const struct dlq_args *args)
{
    int code = confirm(args);
    if (code != 0) {
        return code;
    }
    struct error err = {0};
    struct handling *handling = &(struct handling){.args = args, .replay = args->verb == DLQ_REPLAY};
    handling->dead = dead_open(conf, args->stage->name, args->dry_run ? DEAD_READ : DEAD_CHANGE, &err);
    if (!handling->dead) {
        return cmd_fail(1, "dlq", "%s", err.text);
    }
    int64_t kept = dead_commits_kept_ms(handling->dead);
    handling->surely_known = kept == INT64_MAX ? INT64_MIN : clock_wall_ms() - kept + CLOCK_SKEW_MS;
    if (conf_bool(conf, CONF_KAFKA_EMBEDDED)) {
        puts("the embedded broker has no transactions: each letter is handled at least once");
    }
    for (int32_t i = 0; i < dead_partition_count(handling->dead); i++) {
        if (!handling->stopped && handling->chosen < args->limit &&
            dlq_filter_has_partition(&args->filter, i)) {
            handle_partition(handling, i);
        }
    }
    code = report(handling);
    dead_close(handling->dead);
    return code;
}
