/* HTTP calls on the loop. A multi handle of libcurl becomes slow with many transfers (64 µs a call with 1,000
 * of them, 200 µs with 5,000), so the calls are spread over several, the first ones filled first: they have
 * the open connections. */
#include "http/call.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include "base/alloc.h"
#include "http/transfer.h"

#define SHARD_CALLS 1000
#define SPARE_MAX 256                    /* easy handles kept for later calls */
#define BUFFER_BYTES 1024                /* the least libcurl takes, for each call under way */
#define UPLOAD_BYTES 16384               /* the same, where a request does not fit into one write */
#define RETRY_AFTER_MAX_S (24 * 60 * 60) /* later than that is as good as never */

struct shard {
    struct loop *loop;
    CURLM *multi;
    struct loop_timer *timer;
    size_t calls;
};

struct http_call {
    LIST_ENTRY(http_call) link;
    struct http_calls *pool;
    struct shard *shard;
    struct http_transfer transfer;
    void *body; /* of the request */
    http_call_done *done;
    void *arg;
};

LIST_HEAD(http_call_list, http_call);

struct http_calls {
    struct loop *loop;
    CURLSH *share; /* names and TLS sessions, for all shards; one thread, so without locks */
    struct shard **shards;
    size_t shard_count;
    struct http_call_list open;
    CURL *spare[SPARE_MAX];
    size_t spare_count;
};

/* ---- the end of a call ---- */

static void keep_easy(struct http_calls *calls, CURL *easy)
{
    if (calls->spare_count == SPARE_MAX) {
        curl_easy_cleanup(easy);
        return;
    }
    calls->spare[calls->spare_count++] = easy;
}

/* Takes the call out of its shard. What it holds is still there. */
static void call_detach(struct http_call *call)
{
    curl_multi_remove_handle(call->shard->multi, call->transfer.easy);
    call->shard->calls--;
    LIST_REMOVE(call, link);
}

static void call_free(struct http_call *call)
{
    keep_easy(call->pool, call->transfer.easy);
    http_transfer_fini(&call->transfer);
    free(call->body);
    free(call);
}

static int64_t retry_after_ms(CURL *easy)
{
    curl_off_t seconds = 0;
    curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &seconds);
    if (seconds <= 0) {
        return 0;
    }
    return (seconds < RETRY_AFTER_MAX_S ? seconds : RETRY_AFTER_MAX_S) * 1000;
}

void http_call_header(const struct http_call_result *result, const char *name, char *out, size_t size)
{
    struct curl_header *header;
    CURL *easy = result->call->transfer.easy;
    out[0] = '\0';
    if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK &&
        strlen(header->value) < size) {
        memcpy(out, header->value, strlen(header->value) + 1);
    }
}

static void call_ended(struct http_call *call, CURLcode code)
{
    struct error err = {0};
    struct http_call_result result = {0};
    bool answered = http_transfer_ended(&call->transfer, code, &result.status, &err);
    call_detach(call);
    if (answered) {
        result.retry_after_ms = retry_after_ms(call->transfer.easy);
        result.call = call;
        http_call_header(&result, "x-amzn-ErrorType", result.error_type, sizeof(result.error_type));
        result.body = call->transfer.body;
    }
    call->done(call->arg, answered ? &result : NULL, answered ? NULL : &err);
    call_free(call);
}

/* ---- libcurl and the loop ---- */

static void shard_end_calls(struct shard *shard)
{
    int left;
    const CURLMsg *message;
    while ((message = curl_multi_info_read(shard->multi, &left))) {
        CURLcode code = message->data.result; /* goes with the handle */
        struct http_call *call = NULL;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
        call_ended(call, code);
    }
}

static void shard_act(struct shard *shard, curl_socket_t fd, int events)
{
    int running;
    curl_multi_socket_action(shard->multi, fd, events, &running);
    shard_end_calls(shard);
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    int events = (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);
    shard_act(arg, fd, events);
}

static void on_timer(void *arg)
{
    shard_act(arg, CURL_SOCKET_TIMEOUT, 0);
}

/* libcurl says what it waits for on a socket; `event` is ours, kept with the socket. */
static int on_socket(CURL *easy, curl_socket_t fd, int wanted, void *arg, void *event)
{
    (void)easy;
    struct shard *shard = arg;
    if (event) {
        event_free(event);
        event = NULL;
    }
    if (wanted != CURL_POLL_REMOVE) {
        short what = EV_PERSIST;
        what |= wanted & CURL_POLL_IN ? EV_READ : 0;
        what |= wanted & CURL_POLL_OUT ? EV_WRITE : 0;
        event = event_new(loop_base(shard->loop), fd, what, on_ready, shard);
        if (!event || event_add(event, NULL) != 0) {
            alloc_failed();
        }
    }
    curl_multi_assign(shard->multi, fd, event);
    return 0;
}

static int on_timeout(CURLM *multi, long delay_ms, void *arg)
{
    (void)multi;
    struct shard *shard = arg;
    if (delay_ms < 0) {
        loop_timer_cancel(shard->timer);
    } else {
        loop_timer_arm(shard->timer, delay_ms);
    }
    return 0;
}

/* ---- shards ---- */

static struct shard *shard_new(struct http_calls *calls)
{
    struct shard *shard = xcalloc(1, sizeof(*shard));
    shard->loop = calls->loop;
    shard->timer = loop_timer_new(calls->loop, on_timer, shard);
    shard->multi = curl_multi_init();
    if (!shard->multi) {
        alloc_failed();
    }
    curl_multi_setopt(shard->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(shard->multi, CURLMOPT_SOCKETDATA, shard);
    curl_multi_setopt(shard->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
    curl_multi_setopt(shard->multi, CURLMOPT_TIMERDATA, shard);
    curl_multi_setopt(shard->multi, CURLMOPT_MAXCONNECTS, (long)SHARD_CALLS);
    return shard;
}

static void shard_free(struct shard *shard)
{
    curl_multi_cleanup(shard->multi);
    loop_timer_free(shard->timer);
    free(shard);
}

static struct shard *free_shard(struct http_calls *calls)
{
    for (size_t i = 0; i < calls->shard_count; i++) {
        if (calls->shards[i]->calls < SHARD_CALLS) {
            return calls->shards[i];
        }
    }
    calls->shards = xrealloc(calls->shards, (calls->shard_count + 1) * sizeof(*calls->shards));
    calls->shards[calls->shard_count] = shard_new(calls);
    return calls->shards[calls->shard_count++];
}

/* ---- the pool ---- */

struct http_calls *http_calls_new(struct loop *loop)
{
    http_transfer_setup();
    struct http_calls *calls = xcalloc(1, sizeof(*calls));
    calls->loop = loop;
    calls->share = curl_share_init();
    if (!calls->share) {
        alloc_failed();
    }
    curl_share_setopt(calls->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
    curl_share_setopt(calls->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    return calls;
}

void http_calls_free(struct http_calls *calls)
{
    if (!calls) {
        return;
    }
    for (struct http_call *call = LIST_FIRST(&calls->open), *next; call; call = next) {
        next = LIST_NEXT(call, link);
        http_call_cancel(call);
    }
    for (size_t i = 0; i < calls->spare_count; i++) {
        curl_easy_cleanup(calls->spare[i]);
    }
    for (size_t i = 0; i < calls->shard_count; i++) {
        shard_free(calls->shards[i]);
    }
    curl_share_cleanup(calls->share);
    free(calls->shards);
    free(calls);
}

static CURL *take_easy(struct http_calls *calls)
{
    if (calls->spare_count > 0) {
        return calls->spare[--calls->spare_count];
    }
    CURL *easy = http_transfer_easy();
    curl_easy_setopt(easy, CURLOPT_SHARE, calls->share);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)BUFFER_BYTES);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BYTES);
    return easy;
}

struct http_call *http_call_start(
    struct http_calls *calls, const struct http_call_request *request, http_call_done *done, void *arg)
{
    struct http_call *call = xcalloc(1, sizeof(*call));
    struct http_call_request copied = *request;
    if (request->body) {
        call->body = xmalloc(request->body_len);
        memcpy(call->body, request->body, request->body_len);
        copied.body = call->body;
    }
    call->pool = calls;
    call->shard = free_shard(calls);
    call->done = done;
    call->arg = arg;
    CURL *easy = take_easy(calls);
    http_transfer_init(&call->transfer, easy, &copied);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    call->shard->calls++;
    LIST_INSERT_HEAD(&calls->open, call, link);
    if (curl_multi_add_handle(call->shard->multi, easy) != CURLM_OK) {
        alloc_failed(); /* the only failure of a fresh handle */
    }
    return call;
}

void http_call_cancel(struct http_call *call)
{
    call_detach(call);
    call_free(call);
}
