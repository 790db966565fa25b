/* The baseline of `tools/bench engine`: a bare libcurl loop, one thread, curl_multi_socket_action on epoll,
 * handles and connections used again, that makes the same calls and does nothing else.
 *
 *   bench_calls URL COUNT IN_FLIGHT BODY_BYTES
 *
 * Prints one JSON object: {"calls","seconds","per_second"}. */
#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

#define CALLS_BUFFER 1024L /* the least that libcurl takes */
#define CALLS_EVENTS 256

struct calls {
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

static void start(struct calls *calls, CURL *easy)
{
    calls->started++;
    if (curl_multi_add_handle(calls->multi, easy) != CURLM_OK) {
        die("curl_multi_add_handle", "refused");
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
        if (calls->started < calls->count) {
            start(calls, easy);
        } else {
            curl_easy_cleanup(easy);
        }
    }
}

static void turn(struct calls *calls)
{
    struct epoll_event events[CALLS_EVENTS];
    int running;
    double wait = calls->due < 0 ? 1 : calls->due - now();
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

int main(int argc, char **argv)
{
    if (argc != 5) {
        die("usage", "bench_calls URL COUNT IN_FLIGHT BODY_BYTES");
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
    curl_global_init(CURL_GLOBAL_ALL);
    calls.body = malloc((size_t)calls.body_len);
    calls.epoll = epoll_create1(EPOLL_CLOEXEC);
    calls.multi = curl_multi_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    headers = curl_slist_append(headers, "Expect:");
    if (calls.body == NULL || calls.epoll < 0 || calls.multi == NULL || headers == NULL) {
        die("start", "out of memory or descriptors");
    }
    memset(calls.body, 'x', (size_t)calls.body_len);
    curl_multi_setopt(calls.multi, CURLMOPT_SOCKETFUNCTION, watch);
    curl_multi_setopt(calls.multi, CURLMOPT_SOCKETDATA, &calls);
    curl_multi_setopt(calls.multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(calls.multi, CURLMOPT_TIMERDATA, &calls);
    curl_multi_setopt(calls.multi, CURLMOPT_MAXCONNECTS, in_flight);
    double begin = now();
    for (long i = 0; i < in_flight; i++) {
        start(&calls, new_call(&calls, headers));
    }
    while (calls.finished < calls.count) {
        turn(&calls);
    }
    double seconds = now() - begin;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"calls\":%ld,\"seconds\":%.3f,\"per_second\":%.1f,\"peak_mib\":%.1f}\n", calls.finished,
        seconds, (double)calls.finished / seconds, (double)usage.ru_maxrss / 1024);
    curl_multi_cleanup(calls.multi);
    curl_slist_free_all(headers);
    free(calls.body);
    return 0;
}
