/* Ours in `tools/bench engine`: the real engine around a stage whose jobs wait, each for one thing.
 *
 *   bench_engine work COUNT        a job is over after the microseconds that its record says
 *   bench_engine URL COUNT         a job is an HTTP call that posts its record
 *
 * Settings come from the environment as for any role: broker, prefix, engine.in-flight. COUNT records are in
 * tickets.submitted before; each gives one record to tickets.classified. Prints one JSON object: seconds from
 * the first start to the end of the first `in_flight` jobs and of all, and until all was committed and left.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "bus/topics.h"
#include "engine/engine.h"
#include "http/call.h"

#define BENCH_MAX_ANSWER 65536

struct bench;

/* What one job waits with, used again for the next: a timer of microseconds, for the loop's own has
 * milliseconds. */
struct slot {
    struct bench *bench;
    struct engine_job *job;
    struct event *event;
    int timer;
    struct slot *next;
};

struct bench {
    struct loop *loop;
    struct conf *conf;
    struct engine *engine;
    struct slot *idle;
    struct http_calls *calls;
    const char *url;
    size_t wave; /* engine.in-flight */
    size_t wanted, finished;
    int64_t first_us, wave_us, last_us;
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench_engine: %s: %s\n", what, why);
    exit(1);
}

static void drained(void *arg)
{
    struct bench *bench = arg;
    loop_stop(bench->loop, 0);
}

static void count_finished(struct bench *bench)
{
    bench->finished++;
    if (bench->finished == bench->wave) {
        bench->wave_us = clock_mono_us();
    }
    if (bench->finished == bench->wanted) {
        bench->last_us = clock_mono_us();
        engine_drain(bench->engine, drained, bench);
    }
}

static void count_started(struct bench *bench)
{
    if (bench->first_us == 0) {
        bench->first_us = clock_mono_us();
    }
}

/* One output, as a stage has: the record's key and bytes. */
static void finish(struct bench *bench, struct engine_job *job)
{
    const struct bus_record *in = engine_record(job);
    struct bus_record out = {.topic = TOPIC_CLASSIFIED, .partition = -1};
    out.key = in->key;
    out.key_len = in->key_len;
    out.value = in->value;
    out.value_len = in->value_len;
    engine_emit(job, &out);
    engine_finish(job, ENGINE_DONE, NULL);
    count_finished(bench);
}

/* ---- work: a timer ---- */

static void work_over(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct slot *slot = arg;
    uint64_t times;
    if (read(fd, &times, sizeof times) != (ssize_t)sizeof times) {
        return;
    }
    struct engine_job *job = slot->job;
    slot->next = slot->bench->idle;
    slot->bench->idle = slot;
    finish(slot->bench, job);
}

static struct slot *take_slot(struct bench *bench)
{
    struct slot *slot = bench->idle;
    if (slot != NULL) {
        bench->idle = slot->next;
        return slot;
    }
    slot = xcalloc(1, sizeof *slot);
    slot->bench = bench;
    slot->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    slot->event = slot->timer < 0
                      ? NULL
                      : event_new(loop_base(bench->loop), slot->timer, EV_READ | EV_PERSIST, work_over, slot);
    if (slot->event == NULL || event_add(slot->event, NULL) != 0) {
        die("timer", "out of descriptors");
    }
    return slot;
}

static void work(struct engine_job *job, void *state)
{
    struct bench *bench = state;
    char text[32] = "";
    const struct bus_record *record = engine_record(job);
    memcpy(text, record->value, record->value_len < sizeof text ? record->value_len : sizeof text - 1);
    long us = strtol(text, NULL, 10);
    count_started(bench);
    if (us <= 0) {
        finish(bench, job);
        return;
    }
    struct slot *slot = take_slot(bench);
    slot->job = job;
    struct itimerspec due = {.it_value = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000}};
    timerfd_settime(slot->timer, 0, &due, NULL);
}

static void free_slots(struct bench *bench)
{
    struct slot *slot;
    while ((slot = bench->idle) != NULL) {
        bench->idle = slot->next;
        event_free(slot->event);
        close(slot->timer);
        free(slot);
    }
}

/* ---- a call ---- */

struct call {
    struct bench *bench;
    struct engine_job *job;
};

static void call_over(void *arg, const struct http_call_result *result, const struct error *err)
{
    struct call *call = arg;
    if (err != NULL || result->status != 200 || result->body.len == 0) {
        die("call", err != NULL ? err->text : "not the answer");
    }
    finish(call->bench, call->job);
}

static void call(struct engine_job *job, void *state)
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    struct bench *bench = state;
    struct call *made = arena_alloc(engine_arena(job), sizeof *made);
    *made = (struct call){.bench = bench, .job = job};
    const struct http_call_request request = {.method = "POST",
        .url = bench->url,
        .headers = headers,
        .body = engine_record(job)->value,
        .body_len = engine_record(job)->value_len,
        .max_body = BENCH_MAX_ANSWER};
    count_started(bench);
    http_call_start(bench->calls, &request, call_over, made);
}

/* ---- the run ---- */

static struct conf *load_conf(void)
{
    struct buf problems;
    buf_init(&problems, 65536);
    struct conf *conf = conf_load(NULL, &problems);
    if (conf == NULL) {
        die("settings", buf_text(&problems));
    }
    buf_fini(&problems);
    return conf;
}

static long status_kib(const char *name)
{
    char line[256];
    long kib = 0;
    FILE *file = fopen("/proc/self/status", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0) {
            kib = strtol(line + strlen(name), NULL, 10);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return kib;
}

static void run(struct bench *bench, const struct engine_stage *stage)
{
    struct error err = {0};
    bench->engine = engine_new(bench->loop, bench->conf, stage, bench, &err);
    if (bench->engine == NULL) {
        die("engine", err.text);
    }
    if (loop_run(bench->loop) != 0 || bench->finished != bench->wanted) {
        die("engine", "it stopped before all was done");
    }
    int64_t left_us = clock_mono_us();
    printf("{\"jobs\":%zu,\"wave\":%zu,\"wave_seconds\":%.4f,\"seconds\":%.4f,\"committed_seconds\":%.4f,"
           "\"peak_mib\":%.1f}\n",
        bench->finished, bench->wave, (double)(bench->wave_us - bench->first_us) / 1e6,
        (double)(bench->last_us - bench->first_us) / 1e6, (double)(left_us - bench->first_us) / 1e6,
        (double)status_kib("VmHWM:") / 1024);
    engine_free(bench->engine);
}

int main(int argc, char **argv)
{
    static const char *const topics[] = {TOPIC_SUBMITTED, NULL};
    static const struct engine_stage work_stage = {.name = "classifier", .topics = topics, .process = work};
    static const struct engine_stage call_stage = {.name = "classifier", .topics = topics, .process = call};
    if (argc != 3) {
        die("usage", "bench_engine work|URL COUNT");
    }
    struct bench bench = {.wanted = strtoul(argv[2], NULL, 10)};
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    alloc_setup();
    log_setup("bench_engine", LOG_ERROR);
    bench.conf = load_conf();
    bench.wave = (size_t)conf_int(bench.conf, CONF_ENGINE_IN_FLIGHT);
    bench.loop = loop_new(1);
    bench.calls = http_calls_new(bench.loop);
    bench.url = argv[1];
    run(&bench, strcmp(argv[1], "work") == 0 ? &work_stage : &call_stage);
    free_slots(&bench);
    http_calls_free(bench.calls);
    loop_free(bench.loop);
    conf_free(bench.conf);
    return 0;
}
