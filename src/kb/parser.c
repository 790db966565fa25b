/* The parent's side of parsing in child processes: starts them, watches their time and memory, replaces them.
 */
#include "kb/parser.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "kb/wire.h"

#define IDLE_MAX 8               /* children that wait for work */
#define DOCUMENTS_PER_CHILD 2000 /* bounds what parsers leak */
#define WATCH_MS 10 /* how often a child's memory is looked at: some 10 MB can be touched in it */

struct child {
    pid_t pid;
    int fd;    /* our end of the socket pair, non-blocking */
    int statm; /* the child's memory in pages, /proc/PID/statm */
    int documents;
};

struct kb_parser {
    char *program;
    size_t memory;
    int64_t timeout_ms;
    pthread_mutex_t lock;
    struct child idle[IDLE_MAX];
    size_t idle_count;
};

enum ending { ENDED_WELL, ENDED_TIMEOUT, ENDED_MEMORY, ENDED_CRASH };

/* ---- children ---- */

static void child_end(struct child *child)
{
    (void)close(child->fd);
    (void)close(child->statm);
    (void)kill(child->pid, SIGKILL);
    while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

static bool cannot_start(struct error *err, int number)
{
    return error_set(
        err, ERROR_RETRY, "kb_parser", "no process to read documents can be started: %s", strerror(number));
}

/* An empty environment: what the parent knows from its own is nothing for a parser. */
static int spawn(const struct kb_parser *parser, int fd, pid_t *pid)
{
    char memory[32], timeout[32], *environment[] = {NULL};
    (void)snprintf(memory, sizeof(memory), "%zu", parser->memory);
    (void)snprintf(timeout, sizeof(timeout), "%lld", (long long)parser->timeout_ms);
    char name[] = "helpdesk", command[] = KB_PARSER_COMMAND;
    char *argv[] = {name, command, memory, timeout, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fd, KB_PARSER_FD);
    int code = posix_spawn(pid, parser->program, &actions, NULL, argv, environment);
    posix_spawn_file_actions_destroy(&actions);
    return code;
}

static bool child_start(const struct kb_parser *parser, struct child *child, struct error *err)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
        return cannot_start(err, errno);
    }
    *child = (struct child){.fd = fds[0], .statm = -1};
    (void)fcntl(child->fd, F_SETFL, O_NONBLOCK);
    int code = spawn(parser, fds[1], &child->pid);
    (void)close(fds[1]);
    if (code) {
        (void)close(child->fd);
        return cannot_start(err, code);
    }
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)child->pid);
    child->statm = open(path, O_RDONLY | O_CLOEXEC);
    if (child->statm < 0) {
        code = errno;
        child_end(child);
        return cannot_start(err, code);
    }
    return true;
}

static bool child_take(struct kb_parser *parser, struct child *child, struct error *err)
{
    pthread_mutex_lock(&parser->lock);
    bool found = parser->idle_count > 0;
    if (found) {
        *child = parser->idle[--parser->idle_count];
    }
    pthread_mutex_unlock(&parser->lock);
    return found || child_start(parser, child, err);
}

/* Bytes of memory that the child has now. */
static size_t child_memory(const struct child *child)
{
    char text[128];
    ssize_t got = pread(child->statm, text, sizeof(text) - 1, 0);
    text[got > 0 ? got : 0] = '\0';
    char *rest = text;
    (void)strtoull(text, &rest, 10);
    return (size_t)strtoull(rest, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

static void child_give_back(struct kb_parser *parser, struct child *child)
{
    child->documents++;
    bool keep = child->documents < DOCUMENTS_PER_CHILD && child_memory(child) < parser->memory / 2;
    pthread_mutex_lock(&parser->lock);
    keep = keep && parser->idle_count < IDLE_MAX;
    if (keep) {
        parser->idle[parser->idle_count++] = *child;
    }
    pthread_mutex_unlock(&parser->lock);
    if (!keep) {
        child_end(child);
    }
}

/* ---- one document ---- */

struct call {
    const struct kb_parser *parser;
    const struct child *child;
    int64_t deadline_ms; /* monotonic */
};

/* Waits until the socket is ready, with an eye on the child. */
static enum ending wait_for(const struct call *call, short events)
{
    for (;;) {
        int64_t left = call->deadline_ms - clock_mono_ms();
        struct pollfd ready = {.fd = call->child->fd, .events = events};
        int count = poll(&ready, 1, left < 0 ? 0 : (int)(left < WATCH_MS ? left : WATCH_MS));
        if (count > 0) {
            return ENDED_WELL;
        }
        if (left <= 0) {
            return ENDED_TIMEOUT;
        }
        if (child_memory(call->child) > call->parser->memory) {
            return ENDED_MEMORY;
        }
    }
}

/* Sends (`sending`) or receives all of `len` bytes. */
static enum ending transfer(const struct call *call, char *data, size_t len, bool sending)
{
    while (len > 0) {
        ssize_t done =
            sending ? send(call->child->fd, data, len, MSG_NOSIGNAL) : recv(call->child->fd, data, len, 0);
        if (done > 0) {
            data += done;
            len -= (size_t)done;
        } else if (done < 0 && errno == EAGAIN) {
            enum ending ending = wait_for(call, sending ? POLLOUT : POLLIN);
            if (ending != ENDED_WELL) {
                return ending;
            }
        } else if (done == 0 || errno != EINTR) {
            return ENDED_CRASH;
        }
    }
    return ENDED_WELL;
}

/* The request as one piece, so that a small document wakes the child once. */
static enum ending send_request(const struct call *call, struct arena *arena, const char *key,
    const char *locale, const char *data, size_t len)
{
    struct kb_wire_head head = {
        .key_len = (uint32_t)strlen(key), .locale_len = (uint32_t)strlen(locale), .data_len = (uint32_t)len};
    size_t total = sizeof(head) + head.key_len + head.locale_len + len;
    char *request = arena_alloc(arena, total);
    char *to = mempcpy(request, &head, sizeof(head));
    to = mempcpy(to, key, head.key_len);
    to = mempcpy(to, locale, head.locale_len);
    if (len) {
        memcpy(to, data, len);
    }
    return transfer(call, request, total, true);
}

static enum ending take_reply(const struct call *call, struct arena *arena, char **reply, size_t *len)
{
    struct kb_wire_head head = {0};
    enum ending ending = transfer(call, (char *)&head, sizeof(head), false);
    if (ending != ENDED_WELL) {
        return ending;
    }
    if (head.key_len != 0 || head.locale_len != 0 || head.data_len > KB_WIRE_REPLY_MAX) {
        return ENDED_CRASH;
    }
    *len = head.data_len;
    *reply = arena_alloc(arena, *len + 1);
    return transfer(call, *reply, *len, false);
}

static bool ended_badly(const struct kb_parser *parser, enum ending ending, struct error *err)
{
    switch (ending) {
    case ENDED_TIMEOUT:
        return error_set(err, ERROR_REJECT, "kb_timeout",
            "reading the document takes longer than %lld ms (kb.parse-timeout)",
            (long long)parser->timeout_ms);
    case ENDED_MEMORY:
        return error_set(err, ERROR_REJECT, "kb_memory",
            "reading the document takes more than %zu MiB of memory (kb.parse-memory)", parser->memory >> 20);
    default:
        return error_set(err, ERROR_REJECT, "kb_crash", "the document broke the program that reads it");
    }
}

bool kb_parser_run(struct kb_parser *parser, struct arena *arena, const char *key, const char *locale,
    const char *data, size_t len, struct kb_document *out, struct error *err)
{
    if (strlen(key) > KB_WIRE_KEY_MAX || strlen(locale) > KB_WIRE_HEADING_MAX || len > KB_WIRE_DATA_MAX) {
        return error_set(err, ERROR_REJECT, "kb_too_large", "the document is too large to be read");
    }
    static const char *const names[] = {
        [ENDED_TIMEOUT] = "time-out", [ENDED_MEMORY] = "memory", [ENDED_CRASH] = "crash"};
    for (;;) {
        struct child child;
        if (!child_take(parser, &child, err)) {
            return false;
        }
        struct call call = {parser, &child, clock_mono_ms() + parser->timeout_ms};
        char *reply = NULL;
        size_t reply_len = 0;
        enum ending ending = send_request(&call, arena, key, locale, data, len);
        if (ending == ENDED_WELL) {
            ending = take_reply(&call, arena, &reply, &reply_len);
        }
        if (ending == ENDED_WELL) {
            child_give_back(parser, &child);
            return kb_wire_decode(arena, reply, reply_len, out, err);
        }
        log_warn("a process that read documents was ended", LOG_STR("document", key),
            LOG_INT("documents", child.documents), LOG_STR("why", names[ending]));
        child_end(&child);
        /* What broke may be a document before this one: a fresh child decides. */
        if (ending != ENDED_CRASH || child.documents == 0) {
            return ended_badly(parser, ending, err);
        }
    }
}

struct kb_parser *kb_parser_new(const char *program, size_t memory, int64_t timeout_ms)
{
    struct kb_parser *parser = xcalloc(1, sizeof(*parser));
    parser->program = xstrdup(program);
    parser->memory = memory;
    parser->timeout_ms = timeout_ms;
    pthread_mutex_init(&parser->lock, NULL);
    return parser;
}

void kb_parser_free(struct kb_parser *parser)
{
    if (!parser) {
        return;
    }
    for (size_t i = 0; i < parser->idle_count; i++) {
        child_end(&parser->idle[i]);
    }
    pthread_mutex_destroy(&parser->lock);
    free(parser->program);
    free(parser);
}
