/* The baseline of `tools/bench hop`: a bare librdkafka chain, one process a hop, that carries a record of the
 * same size through as many topics as a ticket goes through and does nothing else.
 *
 *   bench_chain BROKERS PREFIX HOPS COUNT BYTES EMBEDDED(0|1)
 *
 * Prints one JSON object: {"count","median_ms","p99_ms"} of sending one record at a time and awaiting it at
 * the end. */
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

#define CHAIN_MAX_HOPS 8
#define CHAIN_WARMUP 50

struct chain {
    const char *brokers;
    const char *prefix;
    int hops;
    int count;
    size_t bytes;
    bool embedded;
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench_chain: %s: %s\n", what, why);
    exit(1);
}

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static rd_kafka_t *client(const struct chain *chain, rd_kafka_type_t type)
{
    char error[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const char *pairs[][2] = {
        {"bootstrap.servers", chain->brokers}, {"socket.nagle.disable", "true"}, {NULL, NULL}};
    const char *producer[][2] = {{"enable.idempotence", "true"}, {"acks", "all"},
        {"linger.ms", chain->embedded ? "1" : "0"}, {NULL, NULL}};
    const char *consumer[][2] = {{"group.id", "bench-chain"}, {"enable.auto.commit", "false"},
        {"fetch.wait.max.ms", chain->embedded ? "1" : "500"}, {NULL, NULL}};
    const char *(*own)[2] = type == RD_KAFKA_PRODUCER ? producer : consumer;
    for (int i = 0; pairs[i][0] != NULL; i++) {
        if (rd_kafka_conf_set(conf, pairs[i][0], pairs[i][1], error, sizeof error) != RD_KAFKA_CONF_OK) {
            die(pairs[i][0], error);
        }
    }
    for (int i = 0; own[i][0] != NULL; i++) {
        if (rd_kafka_conf_set(conf, own[i][0], own[i][1], error, sizeof error) != RD_KAFKA_CONF_OK) {
            die(own[i][0], error);
        }
    }
    rd_kafka_t *made = rd_kafka_new(type, conf, error, sizeof error);
    if (made == NULL) {
        die("rd_kafka_new", error);
    }
    return made;
}

static void topic_name(const struct chain *chain, int hop, char *out, size_t size)
{
    snprintf(out, size, "%sbench.%d", chain->prefix, hop);
}

/* On Apache Kafka the topics are made; the embedded broker makes a topic when it is first asked for. */
static void make_topics(const struct chain *chain)
{
    rd_kafka_t *admin = client(chain, RD_KAFKA_PRODUCER);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(admin);
    rd_kafka_NewTopic_t *topics[CHAIN_MAX_HOPS];
    char error[256];
    for (int hop = 0; hop < chain->hops; hop++) {
        char name[128];
        topic_name(chain, hop, name, sizeof name);
        topics[hop] = rd_kafka_NewTopic_new(name, 1, 1, error, sizeof error);
    }
    if (chain->embedded) {
        for (int hop = 0; hop < chain->hops; hop++) {
            char name[128];
            topic_name(chain, hop, name, sizeof name);
            rd_kafka_topic_t *topic = rd_kafka_topic_new(admin, name, NULL);
            const struct rd_kafka_metadata *metadata;
            if (rd_kafka_metadata(admin, 0, topic, &metadata, 5000) == RD_KAFKA_RESP_ERR_NO_ERROR) {
                rd_kafka_metadata_destroy(metadata);
            }
            rd_kafka_topic_destroy(topic);
        }
    } else {
        rd_kafka_CreateTopics(admin, topics, (size_t)chain->hops, NULL, queue);
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 20000);
        if (event == NULL || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            die("cannot make the topics", event != NULL ? rd_kafka_event_error_string(event) : "time-out");
        }
        rd_kafka_event_destroy(event);
    }
    rd_kafka_NewTopic_destroy_array(topics, (size_t)chain->hops);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(admin);
}

static rd_kafka_t *reader(const struct chain *chain, int hop)
{
    char name[128];
    topic_name(chain, hop, name, sizeof name);
    rd_kafka_t *consumer = client(chain, RD_KAFKA_CONSUMER);
    rd_kafka_poll_set_consumer(consumer);
    rd_kafka_topic_partition_list_t *partitions = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(partitions, name, 0)->offset = RD_KAFKA_OFFSET_BEGINNING;
    if (rd_kafka_assign(consumer, partitions) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        die("assign", name);
    }
    rd_kafka_topic_partition_list_destroy(partitions);
    return consumer;
}

static void send_on(rd_kafka_t *producer, const char *topic, const void *value, size_t len)
{
    rd_kafka_resp_err_t err = rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(0),
        RD_KAFKA_V_VALUE((void *)value, len), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        die("produce", rd_kafka_err2str(err));
    }
    rd_kafka_poll(producer, 0);
}

/* A hop: reads topic `hop`, writes topic `hop` + 1, until it is killed. */
static void relay(const struct chain *chain, int hop)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    char next[128];
    topic_name(chain, hop + 1, next, sizeof next);
    rd_kafka_t *consumer = reader(chain, hop);
    rd_kafka_t *producer = client(chain, RD_KAFKA_PRODUCER);
    for (;;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 1000);
        if (message != NULL && message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            send_on(producer, next, message->payload, message->len);
        }
        if (message != NULL) {
            rd_kafka_message_destroy(message);
        }
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const struct chain *chain)
{
    char first[128];
    topic_name(chain, 0, first, sizeof first);
    rd_kafka_t *producer = client(chain, RD_KAFKA_PRODUCER);
    rd_kafka_t *consumer = reader(chain, chain->hops - 1);
    char *value = calloc(1, chain->bytes);
    double *took = calloc((size_t)chain->count, sizeof *took);
    if (value == NULL || took == NULL) {
        die("memory", "out of it");
    }
    memset(value, 'x', chain->bytes);
    for (int i = -CHAIN_WARMUP; i < chain->count; i++) {
        double start = now_ms();
        send_on(producer, first, value, chain->bytes);
        rd_kafka_message_t *message;
        while ((message = rd_kafka_consumer_poll(consumer, 20000)) != NULL &&
               message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            rd_kafka_message_destroy(message);
        }
        if (message == NULL) {
            die("chain", "a record did not arrive within 20 s");
        }
        rd_kafka_message_destroy(message);
        if (i >= 0) {
            took[i] = now_ms() - start;
        }
    }
    qsort(took, (size_t)chain->count, sizeof *took, by_value);
    printf("{\"count\":%d,\"median_ms\":%.3f,\"p99_ms\":%.3f}\n", chain->count, took[chain->count / 2],
        took[chain->count * 99 / 100]);
    free(took);
    free(value);
    rd_kafka_flush(producer, 5000);
    rd_kafka_destroy(producer);
    rd_kafka_destroy(consumer);
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        die("usage", "bench_chain BROKERS PREFIX HOPS COUNT BYTES EMBEDDED");
    }
    struct chain chain = {.brokers = argv[1],
        .prefix = argv[2],
        .hops = (int)strtol(argv[3], NULL, 10),
        .count = (int)strtol(argv[4], NULL, 10),
        .bytes = strtoul(argv[5], NULL, 10),
        .embedded = strcmp(argv[6], "1") == 0};
    if (chain.hops < 2 || chain.hops > CHAIN_MAX_HOPS || chain.count < 1 || chain.bytes < 1) {
        die("usage", "2 to 8 hops, at least one record of at least one byte");
    }
    make_topics(&chain);
    pid_t relays[CHAIN_MAX_HOPS];
    for (int hop = 0; hop < chain.hops - 1; hop++) {
        relays[hop] = fork();
        if (relays[hop] == 0) {
            relay(&chain, hop);
        }
    }
    measure(&chain);
    for (int hop = 0; hop < chain.hops - 1; hop++) {
        kill(relays[hop], SIGKILL);
        waitpid(relays[hop], NULL, 0);
    }
    return 0;
}
