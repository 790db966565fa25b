/* The baseline of `tools/bench hop` and `pipeline`: a bare librdkafka chain, one process a hop, that carries
 * records through as many topics as a ticket goes through, does what its delivery mode means, and nothing
 * else.
 *
 *   bench_chain latency|copy at_least_once|exactly_once real|embedded BROKERS PREFIX TOPICS COUNT BYTES
 * [BROKER_PID]
 *
 * At least once: produce, await the acknowledgement, then commit the offset. Exactly once: both in one
 * transaction, which readers see when it is committed.
 *
 * latency sends a record, awaits it at the end and pauses, so that each hop has done with it: prints
 * {"count","median_ms","p99_ms"}. copy sends all at once, hops take and commit as many together as there are:
 * prints {"count","seconds","cpu_seconds","broker_cpu_seconds"}, the processor time of the hops and, where
 * BROKER_PID tells it, of the broker. */
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHAIN_MAX_TOPICS 8
#define CHAIN_WARMUP 50
#define CHAIN_PAUSE_US 20000
#define CHAIN_BATCH 1000
#define CHAIN_TIMEOUT_MS 20000

struct chain {
    bool copy, exactly_once, embedded;
    const char *brokers;
    const char *prefix;
    int topics;
    int count;
    size_t bytes;
    pid_t broker;
    pid_t hops[CHAIN_MAX_TOPICS];
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench_chain: %s: %s\n", what, why);
    exit(1);
}

static void check(const char *what, rd_kafka_resp_err_t err)
{
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        die(what, rd_kafka_err2str(err));
    }
}

static void check_error(const char *what, rd_kafka_error_t *error)
{
    if (error != NULL) {
        die(what, rd_kafka_error_string(error));
    }
}

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static double cpu_seconds(pid_t pid)
{
    clockid_t clock;
    struct timespec used;
    if (pid == 0 || clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) != 0) {
        return 0;
    }
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static double hops_cpu_seconds(const struct chain *chain)
{
    double sum = 0;
    for (int hop = 0; hop < chain->topics - 1; hop++) {
        sum += cpu_seconds(chain->hops[hop]);
    }
    return sum;
}

/* ---- clients ---- */

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char error[256];
    if (rd_kafka_conf_set(conf, name, value, error, sizeof error) != RD_KAFKA_CONF_OK) {
        die(name, error);
    }
}

static rd_kafka_t *new_client(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char error[256];
    rd_kafka_t *made = rd_kafka_new(type, conf, error, sizeof error);
    if (made == NULL) {
        die("rd_kafka_new", error);
    }
    return made;
}

static rd_kafka_conf_t *new_conf(const struct chain *chain)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", chain->brokers);
    set(conf, "socket.nagle.disable", "true");
    return conf;
}

static void delivered(rd_kafka_t *producer, const rd_kafka_message_t *message, void *arg)
{
    (void)producer;
    (void)arg;
    check("produce", message->err);
}

/* `transactional_id` NULL: none. */
static rd_kafka_t *new_producer(const struct chain *chain, const char *transactional_id)
{
    rd_kafka_conf_t *conf = new_conf(chain);
    set(conf, "enable.idempotence", "true");
    set(conf, "linger.ms", chain->embedded || chain->copy ? "1" : "0");
    set(conf, "queue.buffering.max.kbytes", "2097151");
    set(conf, "queue.buffering.max.messages", "1000000");
    /* With a callback for deliveries a transaction commits sooner. */
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    if (transactional_id != NULL) {
        set(conf, "transactional.id", transactional_id);
    }
    rd_kafka_t *producer = new_client(RD_KAFKA_PRODUCER, conf);
    if (transactional_id != NULL) {
        check_error("init_transactions", rd_kafka_init_transactions(producer, CHAIN_TIMEOUT_MS));
    }
    return producer;
}

static void topic_name(const struct chain *chain, int topic, char *out, size_t size)
{
    snprintf(out, size, "%sbench.%d", chain->prefix, topic);
}

static rd_kafka_t *new_reader(const struct chain *chain, int topic)
{
    char name[128];
    topic_name(chain, topic, name, sizeof name);
    rd_kafka_conf_t *conf = new_conf(chain);
    set(conf, "group.id", name);
    set(conf, "enable.auto.commit", "false");
    set(conf, "isolation.level", "read_committed");
    set(conf, "fetch.wait.max.ms", chain->embedded ? "1" : "500");
    rd_kafka_t *consumer = new_client(RD_KAFKA_CONSUMER, conf);
    check("poll_set_consumer", rd_kafka_poll_set_consumer(consumer));
    rd_kafka_topic_partition_list_t *partitions = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(partitions, name, 0)->offset = RD_KAFKA_OFFSET_BEGINNING;
    check("assign", rd_kafka_assign(consumer, partitions));
    rd_kafka_topic_partition_list_destroy(partitions);
    return consumer;
}

/* The embedded broker makes a topic when it is first asked for; Apache Kafka is told to. */
static void ask_for_topics(const struct chain *chain, rd_kafka_t *admin)
{
    for (int i = 0; i < chain->topics; i++) {
        char name[128];
        topic_name(chain, i, name, sizeof name);
        rd_kafka_topic_t *topic = rd_kafka_topic_new(admin, name, NULL);
        const struct rd_kafka_metadata *metadata;
        if (rd_kafka_metadata(admin, 0, topic, &metadata, 5000) == RD_KAFKA_RESP_ERR_NO_ERROR) {
            rd_kafka_metadata_destroy(metadata);
        }
        rd_kafka_topic_destroy(topic);
    }
}

static void make_topics(const struct chain *chain, rd_kafka_t *admin)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(admin);
    rd_kafka_NewTopic_t *topics[CHAIN_MAX_TOPICS];
    char error[256];
    for (int i = 0; i < chain->topics; i++) {
        char name[128];
        topic_name(chain, i, name, sizeof name);
        topics[i] = rd_kafka_NewTopic_new(name, 1, 1, error, sizeof error);
    }
    rd_kafka_CreateTopics(admin, topics, (size_t)chain->topics, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, CHAIN_TIMEOUT_MS);
    if (event == NULL || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        die("cannot make the topics", event != NULL ? rd_kafka_event_error_string(event) : "time-out");
    }
    rd_kafka_event_destroy(event);
    rd_kafka_NewTopic_destroy_array(topics, (size_t)chain->topics);
    rd_kafka_queue_destroy(queue);
}

/* ---- a hop ---- */

static void send_on(rd_kafka_t *producer, const char *topic, const void *value, size_t len)
{
    check("produce",
        rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(0),
            RD_KAFKA_V_VALUE((void *)value, len), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END));
    rd_kafka_poll(producer, 0);
}

/* What is sent already is committed with the offset after `last`. */
static void commit(
    const struct chain *chain, rd_kafka_t *producer, rd_kafka_t *consumer, const rd_kafka_message_t *last)
{
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(offsets, rd_kafka_topic_name(last->rkt), last->partition)->offset =
        last->offset + 1;
    if (chain->exactly_once) {
        rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(consumer);
        check_error(
            "send_offsets", rd_kafka_send_offsets_to_transaction(producer, offsets, group, CHAIN_TIMEOUT_MS));
        check_error("commit_transaction", rd_kafka_commit_transaction(producer, CHAIN_TIMEOUT_MS));
        rd_kafka_consumer_group_metadata_destroy(group);
    } else {
        check("flush", rd_kafka_flush(producer, CHAIN_TIMEOUT_MS));
        check("commit", rd_kafka_commit(consumer, offsets, 0));
    }
    rd_kafka_topic_partition_list_destroy(offsets);
}

/* As many records as are there, at most a batch when copying, one else. */
static int take(
    const struct chain *chain, rd_kafka_t *consumer, rd_kafka_queue_t *queue, rd_kafka_message_t **messages)
{
    if (chain->copy) {
        return (int)rd_kafka_consume_batch_queue(queue, 5, messages, CHAIN_BATCH);
    }
    messages[0] = rd_kafka_consumer_poll(consumer, 1000);
    return messages[0] != NULL ? 1 : 0;
}

/* Reads `topic`, writes the next, until it is killed. */
static void relay(const struct chain *chain, int topic)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    char next[128];
    topic_name(chain, topic + 1, next, sizeof next);
    rd_kafka_t *consumer = new_reader(chain, topic);
    rd_kafka_t *producer = new_producer(chain, chain->exactly_once ? next : NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);
    rd_kafka_message_t *messages[CHAIN_BATCH];
    for (;;) {
        int count = take(chain, consumer, queue, messages);
        const rd_kafka_message_t *last = NULL;
        for (int i = 0; i < count; i++) {
            if (messages[i]->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
                continue;
            }
            if (last == NULL && chain->exactly_once) {
                check_error("begin_transaction", rd_kafka_begin_transaction(producer));
            }
            last = messages[i];
            send_on(producer, next, last->payload, last->len);
        }
        if (last != NULL) {
            commit(chain, producer, consumer, last);
        }
        for (int i = 0; i < count; i++) {
            rd_kafka_message_destroy(messages[i]);
        }
    }
}

/* ---- the measurement ---- */

struct ends {
    rd_kafka_t *producer, *consumer;
    char first[128];
    char *value;
};

static void await_one(const struct ends *ends)
{
    rd_kafka_message_t *message;
    while ((message = rd_kafka_consumer_poll(ends->consumer, CHAIN_TIMEOUT_MS)) != NULL &&
           message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_message_destroy(message);
    }
    if (message == NULL) {
        die("chain", "a record did not arrive within 20 s");
    }
    rd_kafka_message_destroy(message);
}

static double one_by_one(const struct chain *chain, const struct ends *ends)
{
    double start = now_ms();
    send_on(ends->producer, ends->first, ends->value, chain->bytes);
    await_one(ends);
    double took = now_ms() - start;
    usleep(CHAIN_PAUSE_US);
    return took;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure_latency(const struct chain *chain, const struct ends *ends)
{
    double *took = calloc((size_t)chain->count, sizeof *took);
    if (took == NULL) {
        die("memory", "out of it");
    }
    for (int i = 0; i < chain->count; i++) {
        took[i] = one_by_one(chain, ends);
    }
    qsort(took, (size_t)chain->count, sizeof *took, by_value);
    printf("{\"count\":%d,\"median_ms\":%.3f,\"p99_ms\":%.3f}\n", chain->count, took[chain->count / 2],
        took[chain->count * 99 / 100]);
    free(took);
}

static void measure_copy(const struct chain *chain, const struct ends *ends)
{
    double hops = hops_cpu_seconds(chain);
    double broker = cpu_seconds(chain->broker);
    double start = now_ms();
    for (int i = 0; i < chain->count; i++) {
        send_on(ends->producer, ends->first, ends->value, chain->bytes);
    }
    for (int i = 0; i < chain->count; i++) {
        await_one(ends);
    }
    double seconds = (now_ms() - start) / 1e3;
    printf("{\"count\":%d,\"seconds\":%.3f,\"cpu_seconds\":%.3f,\"broker_cpu_seconds\":%.3f}\n", chain->count,
        seconds, hops_cpu_seconds(chain) - hops, cpu_seconds(chain->broker) - broker);
}

static void measure(const struct chain *chain)
{
    struct ends ends = {
        .producer = new_producer(chain, NULL), .consumer = new_reader(chain, chain->topics - 1)};
    topic_name(chain, 0, ends.first, sizeof ends.first);
    ends.value = calloc(1, chain->bytes);
    if (ends.value == NULL) {
        die("memory", "out of it");
    }
    memset(ends.value, 'x', chain->bytes);
    for (int i = 0; i < CHAIN_WARMUP; i++) {
        one_by_one(chain, &ends);
    }
    if (chain->copy) {
        measure_copy(chain, &ends);
    } else {
        measure_latency(chain, &ends);
    }
    free(ends.value);
    rd_kafka_flush(ends.producer, CHAIN_TIMEOUT_MS);
    rd_kafka_destroy(ends.producer);
    rd_kafka_destroy(ends.consumer);
}

static bool one_of(const char *word, const char *no, const char *yes)
{
    if (strcmp(word, no) != 0 && strcmp(word, yes) != 0) {
        fprintf(stderr, "bench_chain: \"%s\" is neither %s nor %s\n", word, no, yes);
        exit(1);
    }
    return strcmp(word, yes) == 0;
}

int main(int argc, char **argv)
{
    if (argc != 9 && argc != 10) {
        die("usage",
            "bench_chain latency|copy at_least_once|exactly_once real|embedded BROKERS PREFIX TOPICS "
            "COUNT BYTES [BROKER_PID]");
    }
    struct chain chain = {.copy = one_of(argv[1], "latency", "copy"),
        .exactly_once = one_of(argv[2], "at_least_once", "exactly_once"),
        .embedded = one_of(argv[3], "real", "embedded"),
        .brokers = argv[4],
        .prefix = argv[5],
        .topics = (int)strtol(argv[6], NULL, 10),
        .count = (int)strtol(argv[7], NULL, 10),
        .bytes = strtoul(argv[8], NULL, 10),
        .broker = argc == 10 ? (pid_t)strtol(argv[9], NULL, 10) : 0};
    if (chain.topics < 2 || chain.topics > CHAIN_MAX_TOPICS || chain.count < 1 || chain.bytes < 1) {
        die("usage", "2 to 8 topics, at least one record of at least one byte");
    }
    rd_kafka_t *admin = new_producer(&chain, NULL);
    (chain.embedded ? ask_for_topics : make_topics)(&chain, admin);
    rd_kafka_destroy(admin);
    for (int hop = 0; hop < chain.topics - 1; hop++) {
        chain.hops[hop] = fork();
        if (chain.hops[hop] == 0) {
            relay(&chain, hop);
        }
    }
    measure(&chain);
    for (int hop = 0; hop < chain.topics - 1; hop++) {
        kill(chain.hops[hop], SIGKILL);
        waitpid(chain.hops[hop], NULL, 0);
    }
    return 0;
}
