/* The other side of `tools/bench engine`: answers each POST /MS after MS milliseconds, thousands at once.
 *
 *   bench_delay
 *
 * Prints its port on 127.0.0.1 and serves until its parent ends or it is killed. */
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define DELAY_BACKLOG 4096 /* thousands connect at once */
#define DELAY_MAX_MS 600000
#define DELAY_IDLE_SECONDS 900

static const char answer_text[] =
    "{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Please hold the button for "
    "ten "
    "seconds.\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":210,\"completion_tokens\":12}}";

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void answer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct evhttp_request *request = arg;
    evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", "application/json");
    evbuffer_add(evhttp_request_get_output_buffer(request), answer_text, sizeof answer_text - 1);
    evhttp_send_reply(request, HTTP_OK, "OK", NULL);
}

static void take(struct evhttp_request *request, void *arg)
{
    struct event_base *base = arg;
    char *end;
    const char *uri = evhttp_request_get_uri(request);
    long ms = strtol(uri + 1, &end, 10);
    if (evhttp_request_get_command(request) != EVHTTP_REQ_POST || end == uri + 1 || *end != '\0' || ms < 0 ||
        ms > DELAY_MAX_MS) {
        evhttp_send_error(request, HTTP_BADREQUEST, "POST /milliseconds");
        return;
    }
    if (ms == 0) {
        answer(-1, 0, request);
        return;
    }
    /* All of one delay are in one queue of libevent, not in its heap. */
    struct timeval delay = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    const struct timeval *common = event_base_init_common_timeout(base, &delay);
    if (common == NULL || event_base_once(base, -1, EV_TIMEOUT, answer, request, common) != 0) {
        evhttp_send_error(request, HTTP_SERVUNAVAIL, "no timer");
    }
}

int main(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    struct event_base *base = event_base_new();
    struct evhttp *http = base != NULL ? evhttp_new(base) : NULL;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct evconnlistener *listener =
        evconnlistener_new_bind(base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, DELAY_BACKLOG,
            (struct sockaddr *)&address, sizeof address);
    socklen_t len = sizeof address;
    if (http == NULL || listener == NULL || evhttp_bind_listener(http, listener) == NULL ||
        getsockname(evconnlistener_get_fd(listener), (struct sockaddr *)&address, &len) != 0) {
        die("bench_delay");
    }
    evhttp_set_timeout(http, DELAY_IDLE_SECONDS);
    evhttp_set_gencb(http, take, base);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    event_base_dispatch(base);
    return 1;
}
