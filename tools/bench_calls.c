/* The baselines of `tools/bench engine`: a bare libcurl loop, one thread, curl_multi_socket_action on epoll,
 * handles and connections used again, that makes the same calls and does nothing else; and the same loop
 * whose calls are records that bare librdkafka reads from one topic and writes to another, in no order and
 * with nothing kept for a crash.
 *
 *   bench_calls URL COUNT IN_FLIGHT BODY_BYTES [BROKERS FROM TO]
 *
 * Prints one JSON object: {"calls","seconds","per_second"}. */
#include <curl/curl.h>
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

#define CALLS_BUFFER 1024L /* the least that libcurl takes */
#define CALLS_EVENTS 256
#define CALLS_RECORDS 1000 /* taken from the queue at once */
#define CALLS_FLUSH_MS 60000

/* Where records come from and go to; nothing without brokers. */
struct relay {
    rd_kafka_t *consumer, *producer;
    rd_kafka_queue_t *queue;
    const char *to;
    rd_kafka_message_t *records[CALLS_RECORDS];
    long taken, used;
};

struct calls {
    struct relay relay;
    CURL **idle;
    long idle_count;
    CURLM *multi;
    int epoll;
    const char *url;
    char *body;
    long body_len;
    long count, started, finished;
    double due; /* of libcurl's timer, in seconds; below 0: none */
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench_calls: %s: %s\n", what, why);
    exit(1);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int watch(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    (void)easy;
    struct calls *calls = arg;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(calls->epoll, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    struct epoll_event event = {.data.fd = fd};
    event.events = ((what & CURL_POLL_IN) ? EPOLLIN : 0U) | ((what & CURL_POLL_OUT) ? EPOLLOUT : 0U);
    if (epoll_ctl(calls->epoll, known != NULL ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) != 0) {
        die("epoll_ctl", "refused");
    }
    curl_multi_assign(calls->multi, fd, calls);
    return 0;
}

static int set_timer(CURLM *multi, long ms, void *arg)
{
    (void)multi;
    struct calls *calls = arg;
    calls->due = ms < 0 ? -1 : now() + (double)ms / 1e3;
    return 0;
}

static size_t take_body(const char *data, size_t size, size_t count, void *arg)
{
    (void)data;
    (void)arg;
    return size * count;
}

/* ---- records ---- */

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char error[256];
    if (rd_kafka_conf_set(conf, name, value, error, sizeof error) != RD_KAFKA_CONF_OK) {
        die(name, error);
    }
}

static rd_kafka_t *new_client(rd_kafka_type_t type, rd_kafka_conf_t *conf, const char *brokers)
{
    char error[256];
    set(conf, "bootstrap.servers", brokers);
    rd_kafka_t *made = rd_kafka_new(type, conf, error, sizeof error);
    if (made == NULL) {
        die("rd_kafka_new", error);
    }
    return made;
}

static void assign_all(rd_kafka_t *consumer, const char *topic)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(consumer, topic, NULL);
    if (rd_kafka_metadata(consumer, 0, handle, &metadata, CALLS_FLUSH_MS) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        die(topic, "no metadata");
    }
    rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(1);
    for (int i = 0; i < metadata->topics[0].partition_cnt; i++) {
        rd_kafka_topic_partition_list_add(all, topic, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    }
    if (rd_kafka_assign(consumer, all) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        die(topic, "not assigned");
    }
    rd_kafka_topic_partition_list_destroy(all);
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
}

static void delivered(rd_kafka_t *producer, const rd_kafka_message_t *message, void *arg)
{
    (void)producer;
    (void)arg;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        die("produce", rd_kafka_err2str(message->err));
    }
}

static void open_relay(struct relay *relay, const char *brokers, const char *from, const char *to)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "group.id", "bench_calls");
    set(conf, "enable.auto.commit", "false");
    relay->consumer = new_client(RD_KAFKA_CONSUMER, conf, brokers);
    rd_kafka_poll_set_consumer(relay->consumer);
    assign_all(relay->consumer, from);
    relay->queue = rd_kafka_queue_get_consumer(relay->consumer);
    conf = rd_kafka_conf_new();
    set(conf, "enable.idempotence", "true");
    set(conf, "queue.buffering.max.messages", "1000000");
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    relay->producer = new_client(RD_KAFKA_PRODUCER, conf, brokers);
    relay->to = to;
}

static void close_relay(struct relay *relay)
{
    rd_kafka_queue_destroy(relay->queue);
    rd_kafka_consumer_close(relay->consumer);
    rd_kafka_destroy(relay->consumer);
    rd_kafka_destroy(relay->producer);
}

/* The next record; NULL: none is there yet. */
static rd_kafka_message_t *next_record(struct relay *relay)
{
    if (relay->used == relay->taken) {
        relay->used = 0;
        relay->taken = (long)rd_kafka_consume_batch_queue(relay->queue, 0, relay->records, CALLS_RECORDS);
        relay->taken = relay->taken < 0 ? 0 : relay->taken;
    }
    if (relay->used == relay->taken) {
        return NULL;
    }
    rd_kafka_message_t *record = relay->records[relay->used++];
    if (record->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        die("consume", rd_kafka_message_errstr(record));
    }
    return record;
}

static void send_on(struct relay *relay, rd_kafka_message_t *record)
{
    rd_kafka_resp_err_t error = rd_kafka_producev(relay->producer, RD_KAFKA_V_TOPIC(relay->to),
        RD_KAFKA_V_KEY(record->key, record->key_len), RD_KAFKA_V_VALUE(record->payload, record->len),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
        die("produce", rd_kafka_err2str(error));
    }
    rd_kafka_message_destroy(record);
}

/* ---- calls ---- */

/* Starts as many calls as may be under way. */
static void start(struct calls *calls)
{
    while (calls->idle_count > 0 && calls->started < calls->count) {
        CURL *easy = calls->idle[calls->idle_count - 1];
        if (calls->relay.consumer != NULL) {
            rd_kafka_message_t *record = next_record(&calls->relay);
            if (record == NULL) {
                return;
            }
            curl_easy_setopt(easy, CURLOPT_PRIVATE, record);
            curl_easy_setopt(easy, CURLOPT_POSTFIELDS, record->payload);
            curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)record->len);
        }
        calls->idle_count--;
        calls->started++;
        if (curl_multi_add_handle(calls->multi, easy) != CURLM_OK) {
            die("curl_multi_add_handle", "refused");
        }
    }
}

static CURL *new_call(struct calls *calls, struct curl_slist *headers)
{
    CURL *easy = curl_easy_init();
    if (easy == NULL) {
        die("curl_easy_init", "out of memory");
    }
    curl_easy_setopt(easy, CURLOPT_URL, calls->url);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, calls->body);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, calls->body_len);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, CALLS_BUFFER);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    return easy;
}

static void reap(struct calls *calls)
{
    int left;
    CURLMsg *message;
    while ((message = curl_multi_info_read(calls->multi, &left)) != NULL) {
        CURL *easy = message->easy_handle;
        long status = 0;
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        if (message->data.result != CURLE_OK || status != 200) {
            die("call", curl_easy_strerror(message->data.result));
        }
        curl_multi_remove_handle(calls->multi, easy);
        calls->finished++;
        calls->idle[calls->idle_count++] = easy;
        rd_kafka_message_t *record = NULL;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, &record);
        if (record != NULL) {
            send_on(&calls->relay, record);
        }
    }
    if (calls->relay.producer != NULL) {
        rd_kafka_poll(calls->relay.producer, 0);
    }
    start(calls);
}

static void turn(struct calls *calls)
{
    struct epoll_event events[CALLS_EVENTS];
    int running;
    double wait = calls->due < 0 ? 1 : calls->due - now();
    if (calls->relay.consumer != NULL && calls->idle_count > 0 && calls->started < calls->count && wait > 0) {
        wait = 0.0001; /* for records */
    }
    int ready = epoll_wait(calls->epoll, events, CALLS_EVENTS, wait > 0 ? (int)(wait * 1e3) + 1 : 0);
    for (int i = 0; i < ready; i++) {
        int what = ((events[i].events & EPOLLIN) ? CURL_CSELECT_IN : 0) |
                   ((events[i].events & EPOLLOUT) ? CURL_CSELECT_OUT : 0) |
                   ((events[i].events & (EPOLLERR | EPOLLHUP)) ? CURL_CSELECT_ERR : 0);
        curl_multi_socket_action(calls->multi, events[i].data.fd, what, &running);
    }
    if (calls->due >= 0 && calls->due <= now()) {
        calls->due = -1;
        curl_multi_socket_action(calls->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    reap(calls);
}

/* Handles for as many calls as may be under way; what they send as headers. */
static struct curl_slist *open_calls(struct calls *calls, long in_flight)
{
    curl_global_init(CURL_GLOBAL_ALL);
    calls->body = malloc((size_t)calls->body_len);
    calls->epoll = epoll_create1(EPOLL_CLOEXEC);
    calls->multi = curl_multi_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    headers = curl_slist_append(headers, "Expect:");
    calls->idle = malloc((size_t)in_flight * sizeof(CURL *));
    if (calls->body == NULL || calls->idle == NULL || calls->epoll < 0 || calls->multi == NULL ||
        headers == NULL) {
        die("start", "out of memory or descriptors");
    }
    memset(calls->body, 'x', (size_t)calls->body_len);
    curl_multi_setopt(calls->multi, CURLMOPT_SOCKETFUNCTION, watch);
    curl_multi_setopt(calls->multi, CURLMOPT_SOCKETDATA, calls);
    curl_multi_setopt(calls->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(calls->multi, CURLMOPT_TIMERDATA, calls);
    curl_multi_setopt(calls->multi, CURLMOPT_MAXCONNECTS, in_flight);
    for (long i = 0; i < in_flight; i++) {
        calls->idle[calls->idle_count++] = new_call(calls, headers);
    }
    return headers;
}

/* All of them; the seconds from the first call. */
static double make_calls(struct calls *calls)
{
    double begin = 0;
    while (calls->finished < calls->count) {
        start(calls);
        begin = begin > 0 || calls->started == 0 ? begin : now(); /* without the wait for a broker */
        turn(calls);
    }
    if (calls->relay.producer != NULL && rd_kafka_flush(calls->relay.producer, CALLS_FLUSH_MS) != 0) {
        die("flush", "not all was written");
    }
    return now() - begin;
}

static void close_calls(struct calls *calls, struct curl_slist *headers)
{
    while (calls->idle_count > 0) {
        curl_easy_cleanup(calls->idle[--calls->idle_count]);
    }
    curl_multi_cleanup(calls->multi);
    curl_slist_free_all(headers);
    if (calls->relay.consumer != NULL) {
        close_relay(&calls->relay);
    }
    free(calls->idle);
    free(calls->body);
}

int main(int argc, char **argv)
{
    if (argc != 5 && argc != 8) {
        die("usage", "bench_calls URL COUNT IN_FLIGHT BODY_BYTES [BROKERS FROM TO]");
    }
    struct calls calls = {.url = argv[1], .count = strtol(argv[2], NULL, 10), .due = -1};
    long in_flight = strtol(argv[3], NULL, 10);
    calls.body_len = strtol(argv[4], NULL, 10);
    if (calls.count < 1 || in_flight < 1 || in_flight > calls.count || calls.body_len < 1) {
        die("usage", "at least one call of at least one byte, no more in flight than there are");
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    struct curl_slist *headers = open_calls(&calls, in_flight);
    if (argc == 8) {
        open_relay(&calls.relay, argv[5], argv[6], argv[7]);
    }
    double seconds = make_calls(&calls);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"calls\":%ld,\"seconds\":%.3f,\"per_second\":%.1f,\"peak_mib\":%.1f}\n", calls.finished,
        seconds, (double)calls.finished / seconds, (double)usage.ru_maxrss / 1024);
    close_calls(&calls, headers);
    return 0;
}
