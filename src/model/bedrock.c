/* Amazon Bedrock's runtime: addresses, signed requests or a bearer token, and what its refusals mean. */
#include "model/bedrock.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "aws/credentials.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "model/converse_reply.h"

#define SERVICE "bedrock"
#define LOWER_AND_DIGITS "abcdefghijklmnopqrstuvwxyz0123456789"
#define CODE_INVALID "setting_invalid"

/* ---- settings ---- */

bool bedrock_check(const struct chat_options *options, struct error *err)
{
    const char *region = options->region;
    if (!region[0]) {
        return error_set(err, ERROR_FATAL, "setting_missing",
            "model.region is not set, nor is AWS_REGION: model.provider=bedrock needs the region, such as "
            "eu-central-1");
    }
    if (region[strspn(region, LOWER_AND_DIGITS "-")] != '\0') {
        return error_set(err, ERROR_FATAL, CODE_INVALID,
            "model.region must be the name of a region, such as eu-central-1");
    }
    if (options->base_url[0] && !chat_is_address(options->base_url)) {
        return error_set(err, ERROR_FATAL, CODE_INVALID,
            "model.endpoint must be an http or https address without user, query and fragment");
    }
    return chat_check_texts(options, "model.bearer-token", err);
}

static char *url_of(const struct chat_options *options, const char *action)
{
    struct arena *arena = arena_new(0);
    const char *path = arena_printf(arena, "/model/%s/%s", sigv4_encode(arena, options->model), action);
    const char *base = options->base_url[0]
                           ? options->base_url
                           : arena_printf(arena, "https://bedrock-runtime.%s.amazonaws.com", options->region);
    char *url = chat_url(base, path);
    arena_free(arena);
    return url;
}

void bedrock_init(
    struct bedrock *bedrock, struct loop *loop, const struct chat_options *options, const char *action)
{
    *bedrock = (struct bedrock){.url = url_of(options, action)};
    const char *host = strstr(bedrock->url, "://") + strlen("://");
    bedrock->path = strchr(host, '/');
    size_t host_size = (size_t)(bedrock->path - host) + 1;
    bedrock->host = xmalloc(host_size);
    snprintf(bedrock->host, host_size, "%s", host);
    bedrock->region = xstrdup(options->region);
    bedrock->authorization = chat_authorization(options->api_key);
    bedrock->credentials = bedrock->authorization ? NULL : aws_credentials_new(loop);
}

void bedrock_fini(struct bedrock *bedrock)
{
    aws_credentials_free(bedrock->credentials);
    free(bedrock->url);
    free(bedrock->host);
    free(bedrock->region);
    free(bedrock->authorization);
}

/* ---- credentials ---- */

struct waiting {
    model_ready *ready;
    void *arg;
    struct aws_credentials_wait *wait;
};

static void on_credentials(void *arg, const struct sigv4_credentials *credentials, const struct error *err)
{
    struct waiting waiting = *(struct waiting *)arg;
    free(arg);
    waiting.ready(waiting.arg, credentials, err);
}

static void *bedrock_prepare(void *state, model_ready *ready, void *arg)
{
    struct bedrock *bedrock = state;
    if (bedrock->authorization) {
        ready(arg, NULL, NULL);
        return NULL;
    }
    struct waiting *waiting = xmalloc(sizeof(*waiting));
    *waiting = (struct waiting){.ready = ready, .arg = arg};
    struct aws_credentials_wait *wait = aws_credentials_get(bedrock->credentials, on_credentials, waiting);
    if (!wait) { /* it is over */
        return NULL;
    }
    waiting->wait = wait;
    return waiting;
}

static void bedrock_prepare_cancel(void *state, void *wait)
{
    (void)state;
    struct waiting *waiting = wait;
    aws_credentials_wait_cancel(waiting->wait);
    free(waiting);
}

static bool went_stale(void *state, const struct http_call_result *result)
{
    struct bedrock *bedrock = state;
    char type[CHAT_CODE_MAX];
    converse_error_type(result->error_type, buf_text(&result->body), result->body.len, type);
    bool stale = bedrock->credentials && (strcmp(type, "ExpiredTokenException") == 0 ||
                                             strcmp(type, "UnrecognizedClientException") == 0);
    if (stale) {
        aws_credentials_forget(bedrock->credentials);
    }
    return stale;
}

/* ---- the request ---- */

static const char *bedrock_url(void *state)
{
    return ((struct bedrock *)state)->url;
}

static void bedrock_headers(void *state, const void *pass, struct arena *arena, const struct buf *body,
    const char *lines[MODEL_HEADERS_MAX + 1])
{
    static const char type[] = "application/json";
    const struct bedrock *bedrock = state;
    lines[0] = arena_printf(arena, "Content-Type: %s", type);
    lines[1] = arena_printf(arena, "Accept: %s", type);
    if (bedrock->authorization) {
        lines[2] = bedrock->authorization;
        return;
    }
    char hash[SIGV4_HEX_SIZE];
    struct sigv4_signature signature;
    const struct sigv4_header headers[] = {{"host", bedrock->host}, {"content-type", type}};
    sigv4_hash(buf_text(body), body->len, hash);
    const struct sigv4_request request = {.method = "POST",
        .path = bedrock->path,
        .headers = headers,
        .header_count = sizeof(headers) / sizeof(headers[0]),
        .payload_hash = hash,
        .region = bedrock->region,
        .service = SERVICE,
        .wall_ms = clock_wall_ms()};
    bool made = sigv4_sign(arena, pass, &request, &signature);
    assert(made);
    (void)made;
    lines[2] = arena_printf(arena, "Host: %s", bedrock->host);
    lines[3] = signature.date;
    lines[4] = signature.authorization;
    lines[5] = signature.security_token; /* or NULL: the end */
}

/* ---- refusals ---- */

struct refusal {
    const char *type;
    const char *says; /* in its message; NULL: whatever it says */
    enum error_disposition disposition;
    const char *code;
    const char *hint; /* or NULL */
};

/* https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html and the operations' own; the
 * first that fits counts. */
static const struct refusal refusals[] = {
    {"ThrottlingException", "per day", ERROR_FATAL, "model_config", "the tokens of the day are used up"},
    {"ThrottlingException", NULL, ERROR_RETRY, "model_busy", NULL},
    {"ModelNotReadyException", NULL, ERROR_RETRY, "model_unavailable", NULL},
    {"ServiceUnavailableException", NULL, ERROR_RETRY, "model_unavailable", NULL},
    {"ModelTimeoutException", NULL, ERROR_RETRY, "model_timeout", NULL},
    {"ModelErrorException", NULL, ERROR_RETRY, "model_failed", NULL},
    {"InternalServerException", NULL, ERROR_RETRY, "model_failed", NULL},
    {"ServiceQuotaExceededException", NULL, ERROR_FATAL, "model_config", "the account's quota is used up"},
    {"ValidationException", "model identifier", ERROR_FATAL, "model_config", "it knows no such model"},
    {"ValidationException", "inference profile", ERROR_FATAL, "model_config",
        "it takes the model only by the id of an inference profile"},
    {"ValidationException", "guardrail", ERROR_FATAL, "model_config", "it knows no such guardrail"},
    {"ValidationException", NULL, ERROR_REJECT, "model_refused", NULL},
    {"AccessDeniedException", NULL, ERROR_FATAL, "model_config", "the account or its role may not do that"},
    {"ResourceNotFoundException", NULL, ERROR_FATAL, "model_config", "it knows no such model or guardrail"},
    {"ExpiredTokenException", NULL, ERROR_FATAL, "model_config", "the credentials have expired"},
    {"UnrecognizedClientException", NULL, ERROR_FATAL, "model_config", "it does not know the access key"},
    {"InvalidSignatureException", "Signature expired", ERROR_FATAL, "model_config",
        "the clock of this machine is slow"},
    {"InvalidSignatureException", "not yet current", ERROR_FATAL, "model_config",
        "the clock of this machine is fast"},
    {"InvalidSignatureException", NULL, ERROR_FATAL, "model_config",
        "the secret access key or the region is wrong"},
};

/* What a refusal without a known name is, by its status. */
static struct refusal refusal_of_status(int status)
{
    if (status == 429) {
        return (struct refusal){.disposition = ERROR_RETRY, .code = "model_busy"};
    }
    if (status == 503) {
        return (struct refusal){.disposition = ERROR_RETRY, .code = "model_unavailable"};
    }
    if (status >= 500) {
        return (struct refusal){.disposition = ERROR_RETRY, .code = "model_failed"};
    }
    bool refused = status == 400 || status == 413 || status == 422;
    return refused ? (struct refusal){.disposition = ERROR_REJECT, .code = "model_refused"}
                   : (struct refusal){.disposition = ERROR_FATAL, .code = "model_config"};
}

static void bedrock_refusal(const struct http_call_result *result, struct error *err)
{
    const char *body = buf_text(&result->body);
    struct refusal refusal = refusal_of_status(result->status);
    char type[CHAT_CODE_MAX];
    converse_error_type(result->error_type, body, result->body.len, type);
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        const struct refusal *known = &refusals[i];
        if (strcmp(type, known->type) == 0 && (!known->says || strcasestr(body, known->says))) {
            refusal = *known;
            break;
        }
    }
    if (refusal.disposition == ERROR_RETRY && result->retry_after_ms > 0) {
        refusal.code = "model_unavailable";
    }
    error_set(err, refusal.disposition, refusal.code, "the model server says %d%s%s%s%s%s", result->status,
        type[0] ? " (" : "", type, type[0] ? ")" : "", refusal.hint ? ": " : "",
        refusal.hint ? refusal.hint : "");
    err->retry_after_ms = result->retry_after_ms;
}

const struct model_access bedrock_access = {.address_setting = "model.endpoint",
    .prepare = bedrock_prepare,
    .prepare_cancel = bedrock_prepare_cancel,
    .went_stale = went_stale,
    .url = bedrock_url,
    .headers = bedrock_headers,
    .read_refusal = bedrock_refusal};
