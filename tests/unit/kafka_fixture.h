/* An embedded broker in a process of its own, and a client to publish to it and to read what is there.
 * Included once by each test program. HELPDESK_TEST_KAFKA=host:port uses that broker instead (its topics are
 * made under a prefix of this run), HELPDESK_TEST_DELIVERY=at_least_once that delivery, in place of exactly
 * once. */
#ifndef HELPDESK_TESTS_KAFKA_FIXTURE_H
#define HELPDESK_TESTS_KAFKA_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "bus/broker.h"
#include "bus/kafka.h"
#include "bus/topics.h"

#define PATIENCE_MS 60000 /* never reached unless something is broken */

static pid_t broker_pid;
static char broker_address[128];
static struct conf *conf;

static inline void set_conf(struct conf *target, const char *name, const char *value)
{
    struct error err = {0};
    if (!conf_set(target, name, value, &err)) {
        fail_msg("%s", err.text);
    }
}

static inline struct conf *new_conf(void)
{
    struct buf problems;
    buf_init(&problems, 65536);
    struct conf *made = conf_load(NULL, &problems);
    if (!made) {
        fail_msg("%s", buf_text(&problems));
    }
    buf_fini(&problems);
    set_conf(made, "kafka.partitions", "4");
    if (!getenv("HELPDESK_TEST_KAFKA")) {
        set_conf(made, "kafka.embedded", "true");
        set_conf(made, "engine.delivery", "at_least_once");
    } else if (getenv("HELPDESK_TEST_DELIVERY")) {
        set_conf(made, "engine.delivery", getenv("HELPDESK_TEST_DELIVERY"));
    }
    if (broker_address[0]) {
        set_conf(made, "kafka.brokers", broker_address);
    }
    return made;
}

/* Runs the broker until its end of the pipe closes. */
static inline void broker_main(int address_fd, int life_fd)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct error err = {0};
    char address[128] = "";
    struct broker *broker = broker_new(new_conf(), address, sizeof(address), &err);
    if (!broker || write(address_fd, address, sizeof(address)) != (ssize_t)sizeof(address)) {
        _exit(1);
    }
    char c;
    if (read(life_fd, &c, 1) >= 0) {
        _exit(0);
    }
    _exit(1);
}

/* Fork before any thread is made. */
static inline void start_broker(void)
{
    int address_pipe[2];
    int life_pipe[2];
    if (pipe(address_pipe) != 0 || pipe(life_pipe) != 0) {
        abort();
    }
    broker_pid = fork();
    if (broker_pid == 0) {
        close(life_pipe[1]);
        broker_main(address_pipe[1], life_pipe[0]);
    }
    if (read(address_pipe[0], broker_address, sizeof(broker_address)) != (ssize_t)sizeof(broker_address)) {
        abort();
    }
    close(address_pipe[0]);
    close(address_pipe[1]);
    close(life_pipe[0]);
}

static inline void stop_broker(void)
{
    if (broker_pid > 0) {
        kill(broker_pid, SIGKILL);
        waitpid(broker_pid, NULL, 0);
        broker_pid = 0;
    }
}

/* A prefix of its own for each test: topics are made by the broker or, on a real one, by `topics_apply`. */
static inline void use_kafka(void)
{
    const char *real = getenv("HELPDESK_TEST_KAFKA");
    if (!real) {
        start_broker();
        conf = new_conf();
        return;
    }
    snprintf(broker_address, sizeof(broker_address), "%s", real);
    conf = new_conf();
    char prefix[64];
    snprintf(prefix, sizeof(prefix), "t%lld.", (long long)clock_wall_ms());
    set_conf(conf, "kafka.prefix", prefix);
    struct buf report;
    buf_init(&report, 65536);
    struct error err = {0};
    if (!topics_apply(conf, &report, &err)) {
        fail_msg("%s", err.text);
    }
    buf_fini(&report);
}

static inline void leave_kafka(void)
{
    conf_free(conf);
    conf = NULL;
    stop_broker();
    broker_address[0] = '\0';
}

/* ---- a loop that runs until a condition holds ---- */

struct until {
    struct loop *loop;
    bool (*met)(void *arg);
    void *arg;
    struct loop_timer *timer;
    int64_t due;
    bool ok;
};

static inline void until_look(void *arg)
{
    struct until *until = arg;
    until->ok = until->met(until->arg);
    if (until->ok || clock_mono_ms() > until->due) {
        loop_stop(until->loop, 0);
    } else {
        loop_timer_arm(until->timer, 5);
    }
}

static inline bool run_until(struct loop *loop, bool (*met)(void *arg), void *arg)
{
    struct until until = {.loop = loop, .met = met, .arg = arg, .due = clock_mono_ms() + PATIENCE_MS};
    until.timer = loop_timer_new(loop, until_look, &until);
    loop_timer_arm(until.timer, 0);
    loop_run(loop);
    loop_timer_free(until.timer);
    return until.ok;
}

/* ---- publishing ---- */

static inline void count_delivery(void *arg, const struct error *err)
{
    size_t *acked = arg;
    if (err) {
        fail_msg("not delivered: %s", err->text);
    }
    (*acked)++;
}

static inline bool nothing_pending(void *arg)
{
    return bus_producer_pending(arg) == 0;
}

/* Publishes records made by `make` (borrowed until the next call), and waits for all. */
static inline void publish(const char *topic, size_t count,
    void (*make)(size_t index, struct bus_record *record, void *arg), void *arg)
{
    struct loop *loop = loop_new(0);
    struct error err = {0};
    struct bus_producer *producer = bus_producer_new(loop, conf, &topic, 1, &err);
    assert_non_null(producer);
    size_t acked = 0;
    for (size_t i = 0; i < count; i++) {
        struct bus_record record = {.topic = topic, .partition = -1};
        make(i, &record, arg);
        bus_produce(producer, &record, count_delivery, &acked);
    }
    assert_true(run_until(loop, nothing_pending, producer));
    assert_int_equal(acked, count);
    bus_producer_free(producer);
    loop_free(loop);
}

/* ---- reading all there is ---- */

struct collected {
    struct bus_record **records; /* copies */
    size_t count;
};

static inline bool waited(void *arg)
{
    return clock_mono_ms() >= *(int64_t *)arg;
}

static inline rd_kafka_t *open_reader(const char *name)
{
    struct error err = {0};
    rd_kafka_conf_t *kconf = kafka_conf_new(conf, &err);
    assert_non_null(kconf);
    kafka_conf_consumer(kconf, conf, 4, 0);
    kafka_conf_set(kconf, "group.id", "reader");
    rd_kafka_t *kafka = kafka_new(RD_KAFKA_CONSUMER, kconf, &err);
    assert_non_null(kafka);
    rd_kafka_poll_set_consumer(kafka);
    int partitions = (int)conf_int(conf, CONF_KAFKA_PARTITIONS);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int i = 0; i < partitions; i++) {
        rd_kafka_topic_partition_list_add(list, name, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    }
    assert_int_equal(rd_kafka_assign(kafka, list), 0);
    rd_kafka_topic_partition_list_destroy(list);
    return kafka;
}

/* Reads a topic from its start until `wanted` records are there, and for `linger_ms` more. */
static inline struct collected read_topic(const char *topic, size_t wanted, int64_t linger_ms)
{
    char name[KAFKA_NAME_SIZE];
    kafka_topic_name(conf, topic, name);
    rd_kafka_t *kafka = open_reader(name);
    struct collected into = {0};
    int64_t patient_until = clock_mono_ms() + PATIENCE_MS;
    int64_t linger_until = INT64_MAX;
    while (clock_mono_ms() < (into.count < wanted ? patient_until : linger_until)) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(kafka, 20);
        if (message && !message->err) {
            into.records = xrealloc(into.records, (into.count + 1) * sizeof(*into.records));
            into.records[into.count++] = record_from_message(message, topic);
        }
        if (message) {
            rd_kafka_message_destroy(message);
        }
        if (into.count >= wanted && linger_until == INT64_MAX) {
            linger_until = clock_mono_ms() + linger_ms;
        }
    }
    rd_kafka_destroy(kafka);
    return into;
}

static inline void free_collected(struct collected *into)
{
    for (size_t i = 0; i < into->count; i++) {
        free(into->records[i]);
    }
    free(into->records);
    *into = (struct collected){0};
}

#endif
