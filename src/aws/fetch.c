/* A fetch of credentials: the first place that is configured is asked, and its answer or failure told. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "aws/endpoint.h"
#include "aws/source.h"

#define TOKEN_FILE_MAX ((size_t)20000) /* STS takes no longer token */

static const struct aws_source *const sources[] = {&aws_source_environment, &aws_source_web_identity,
    &aws_source_profile, &aws_source_container, &aws_source_instance};
static const struct aws_source nowhere = {.name = "none"};

void aws_fetch_start(struct aws_fetch *fetch)
{
    fetch->arena = arena_new(0);
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        fetch->source = sources[i];
        if (fetch->source->start(fetch)) {
            return;
        }
    }
    fetch->source = &nowhere;
    aws_fetch_fail(fetch, AWS_MISSING,
        "no AWS credentials in the environment, the profile's files or a container's endpoint, and "
        "AWS_EC2_METADATA_DISABLED forbids to ask the instance");
}

void aws_fetch_cancel(struct aws_fetch *fetch)
{
    if (fetch->call) {
        http_call_cancel(fetch->call);
        fetch->call = NULL;
    }
    arena_free(fetch->arena);
    fetch->arena = NULL;
}

/* ---- the end ---- */

void aws_fetch_found(struct aws_fetch *fetch, const struct aws_found *found)
{
    struct error err = {0};
    if (!aws_found_check(found, &err)) {
        aws_fetch_fail(fetch, fetch->source->server ? AWS_UNAVAILABLE : AWS_MISSING, err.text);
        return;
    }
    fetch->ended(fetch->arg, AWS_OK, found, NULL);
}

void aws_fetch_fail(struct aws_fetch *fetch, enum aws_outcome outcome, const char *text)
{
    static const char *const codes[] = {[AWS_UNAVAILABLE] = "aws_credentials_unavailable",
        [AWS_LATE] = "aws_credentials_late",
        [AWS_MISSING] = "aws_credentials_missing",
        [AWS_REFUSED] = "aws_credentials_refused"};
    struct error err;
    bool passes = outcome == AWS_UNAVAILABLE || outcome == AWS_LATE;
    error_set(&err, passes ? ERROR_RETRY : ERROR_FATAL, codes[outcome], "%s%s%s",
        fetch->source->server ? fetch->source->server : "", fetch->source->server ? ": " : "", text);
    fetch->ended(fetch->arg, outcome, NULL, &err);
}

void aws_fetch_refused(struct aws_fetch *fetch, int status, const char *code)
{
    bool passes = status >= 500 || status == 408 || status == 429 || aws_code_passes(code);
    aws_fetch_fail(fetch, passes ? AWS_UNAVAILABLE : AWS_REFUSED,
        arena_printf(fetch->arena, "it answers %d%s%s", status, code[0] ? " " : "", code));
}

/* ---- what sources need ---- */

static enum aws_outcome outcome_of(const struct error *err)
{
    if (strcmp(err->code, "timeout") == 0) {
        return AWS_LATE;
    }
    return strcmp(err->code, "bad_url") == 0 ? AWS_MISSING : AWS_UNAVAILABLE;
}

static void on_call_done(void *arg, const struct http_call_result *result, const struct error *err)
{
    struct aws_fetch *fetch = arg;
    fetch->call = NULL;
    if (err) {
        aws_fetch_fail(fetch, outcome_of(err), err->text);
        return;
    }
    fetch->answered(fetch, result->status, buf_text(&result->body), result->body.len);
}

void aws_fetch_call(struct aws_fetch *fetch, const struct http_call_request *request, int64_t timeout_ms,
    aws_fetch_answered *answered)
{
    struct http_call_request bounded = *request;
    bounded.timeout_ms = timeout_ms;
    bounded.max_body = AWS_ANSWER_MAX;
    fetch->answered = answered;
    fetch->call = http_call_start(fetch->calls, &bounded, on_call_done, fetch);
}

static bool is_token(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] < ' ' || text[i] > '~') {
            return false;
        }
    }
    return len > 0 && len <= TOKEN_FILE_MAX;
}

const char *aws_fetch_read_file(struct aws_fetch *fetch, const char *variable)
{
    const char *path = aws_env(variable);
    char *text = arena_alloc(fetch->arena, TOKEN_FILE_MAX + 2);
    size_t len = 0;
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    ssize_t got = fd < 0 ? -1 : 1;
    while (got > 0 && len <= TOKEN_FILE_MAX) {
        got = read(fd, text + len, TOKEN_FILE_MAX + 1 - len);
        len += got > 0 ? (size_t)got : 0;
    }
    int why = errno;
    if (fd >= 0) {
        close(fd);
    }
    if (got < 0) {
        aws_fetch_fail(fetch, AWS_MISSING,
            arena_printf(
                fetch->arena, "the file of %s cannot be read: %.200s: %s", variable, path, strerror(why)));
        return NULL;
    }
    while (len > 0 && strchr(" \t\r\n", text[len - 1])) {
        text[--len] = '\0';
    }
    if (!is_token(text, len)) {
        aws_fetch_fail(fetch, AWS_MISSING,
            arena_printf(fetch->arena, "the file of %s holds no token: %.200s", variable, path));
        return NULL;
    }
    return text;
}
