/* Amazon Bedrock: Converse with signed requests or a bearer token.
 * https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html */
#include "model/chat_driver.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "aws/credentials.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "model/converse_reply.h"

#define SERVICE "bedrock"
#define GUARDRAIL_MAX 2048
#define LOWER_AND_DIGITS "abcdefghijklmnopqrstuvwxyz0123456789"
#define DIGITS "0123456789"
#define CODE_INVALID "setting_invalid"

struct bedrock {
    char *url;
    const char *path; /* in `url` */
    char *host;       /* as it is sent and signed */
    char *region;
    char *authorization; /* with the bearer token; NULL: requests are signed */
    struct aws_credentials *credentials;
    char *guardrail; /* its id; NULL: none */
    const char *guardrail_version;
};

/* ---- settings ---- */

const char *chat_bedrock_model(const char *region, bool strong)
{
    static const struct {
        const char *region, *usual, *strong;
    } profiles[] = {{"us-", "us.anthropic.claude-haiku-4-5-20251001-v1:0", "us.anthropic.claude-sonnet-4-6"},
        {"eu-", "eu.anthropic.claude-haiku-4-5-20251001-v1:0", "eu.anthropic.claude-sonnet-4-6"},
        {"", "global.anthropic.claude-haiku-4-5-20251001-v1:0", "global.anthropic.claude-sonnet-4-6"}};
    size_t i = 0;
    while (strncmp(region, profiles[i].region, strlen(profiles[i].region)) != 0) {
        i++;
    }
    return strong ? profiles[i].strong : profiles[i].usual;
}

/* "id:version"; the id may be an ARN, which has ':' too. */
static bool is_guardrail(const char *text)
{
    const char *colon = strrchr(text, ':');
    size_t id = colon ? (size_t)(colon - text) : 0;
    const char *version = colon ? colon + 1 : "";
    bool numbered = version[0] != '0' && strlen(version) <= 8 && version[strspn(version, DIGITS)] == '\0';
    return id > 0 && id <= GUARDRAIL_MAX && strspn(text, LOWER_AND_DIGITS ":-/") >= id && version[0] &&
           (numbered || strcmp(version, "DRAFT") == 0);
}

static bool bedrock_check(const struct chat_options *options, struct error *err)
{
    const char *region = options->region, *guardrail = options->guardrail;
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
    if (guardrail && guardrail[0] && !is_guardrail(guardrail)) {
        return error_set(err, ERROR_FATAL, CODE_INVALID,
            "model.guardrail must be the guardrail's id, ':', and its version (a number or DRAFT)");
    }
    return chat_check_texts(options, "model.bearer-token", err);
}

static char *url_of(const struct chat_options *options)
{
    struct arena *arena = arena_new(0);
    const char *path = arena_printf(arena, "/model/%s/converse", sigv4_encode(arena, options->model));
    const char *base = options->base_url[0]
                           ? options->base_url
                           : arena_printf(arena, "https://bedrock-runtime.%s.amazonaws.com", options->region);
    char *url = chat_url(base, path);
    arena_free(arena);
    return url;
}

static void *bedrock_open(struct loop *loop, const struct chat_options *options)
{
    struct bedrock *bedrock = xcalloc(1, sizeof(*bedrock));
    bedrock->url = url_of(options);
    const char *host = strstr(bedrock->url, "://") + strlen("://");
    bedrock->path = strchr(host, '/');
    size_t host_size = (size_t)(bedrock->path - host) + 1;
    bedrock->host = xmalloc(host_size);
    snprintf(bedrock->host, host_size, "%s", host);
    bedrock->region = xstrdup(options->region);
    bedrock->authorization = chat_authorization(options->api_key);
    bedrock->credentials = bedrock->authorization ? NULL : aws_credentials_new(loop);
    if (options->guardrail && options->guardrail[0]) {
        bedrock->guardrail = xstrdup(options->guardrail);
        char *colon = strrchr(bedrock->guardrail, ':');
        *colon = '\0';
        bedrock->guardrail_version = colon + 1;
    }
    return bedrock;
}

static void bedrock_free(void *state)
{
    struct bedrock *bedrock = state;
    aws_credentials_free(bedrock->credentials);
    free(bedrock->url);
    free(bedrock->host);
    free(bedrock->region);
    free(bedrock->authorization);
    free(bedrock->guardrail);
    free(bedrock);
}

/* ---- credentials ---- */

struct waiting {
    chat_ready *ready;
    void *arg;
    struct aws_credentials_wait *wait;
};

static void on_credentials(void *arg, const struct sigv4_credentials *credentials, const struct error *err)
{
    struct waiting waiting = *(struct waiting *)arg;
    free(arg);
    waiting.ready(waiting.arg, credentials, err);
}

static void *bedrock_prepare(void *state, chat_ready *ready, void *arg)
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

static bool bedrock_went_stale(void *state, const struct http_call_result *result)
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
    const char *lines[CHAT_HEADERS_MAX + 1])
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

static void put_texts(struct buf *out, const char *text)
{
    buf_puts(out, "[{\"text\":");
    json_put_string(out, text);
    buf_puts(out, "}]");
}

/* The answer is the input of a tool that the model must use. */
static void put_tool(struct buf *out, const struct chat_request *request)
{
    buf_printf(out,
        ",\"toolConfig\":{\"tools\":[{\"toolSpec\":{\"name\":\"%s\",\"inputSchema\":{\"json\":%s}}}],"
        "\"toolChoice\":{\"tool\":{\"name\":\"%s\"}}}",
        request->schema_name, request->schema, request->schema_name);
}

/* Without a user's text no conversation: see bedrock_ask. */
static void bedrock_body(void *state, struct buf *out, const struct chat_request *request, bool with_schema)
{
    const struct bedrock *bedrock = state;
    buf_printf(
        out, "{\"inferenceConfig\":{\"maxTokens\":%" PRId64 "},\"messages\":[", request->max_output_tokens);
    if (request->user) {
        buf_puts(out, "{\"role\":\"user\",\"content\":");
        put_texts(out, request->user);
        buf_puts(out, "}],\"system\":");
        put_texts(out, request->system);
    } else {
        buf_putc(out, ']');
    }
    if (bedrock->guardrail) {
        buf_puts(out, ",\"guardrailConfig\":{\"guardrailIdentifier\":");
        json_put_string(out, bedrock->guardrail);
        buf_printf(out, ",\"guardrailVersion\":\"%s\"}", bedrock->guardrail_version);
    } else if (with_schema && request->user) {
        /* Guardrails read texts, but nothing that goes to a tool: with one the answer is a text. */
        put_tool(out, request);
    }
    buf_putc(out, '}');
}

/* ---- refusals ---- */

struct refusal {
    const char *type;
    const char *says; /* in its message; NULL: whatever it says */
    enum error_disposition disposition;
    const char *code;
    const char *hint; /* or NULL */
};

/* https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html and Converse's own; the first
 * that fits counts. */
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

/* Some models use no tools, or none that they must use. */
static bool bedrock_knows_no_schema(const struct http_call_result *result)
{
    const char *body = buf_text(&result->body);
    return result->status == 400 &&
           (strstr(body, "toolConfig") || strstr(body, "tool use") || strstr(body, "tool_choice"));
}

/* ---- the check ---- */

struct asking {
    struct loop *loop;
    struct chat *chat;
    struct arena *arena;
    struct error err; /* none: all is well */
};

static void ask_ended(struct asking *asking, const struct error *err)
{
    asking->err = err ? *err : (struct error){0};
    loop_stop(asking->loop, 0);
}

/* That it does not take the request the server says only to whom it knows. */
static void ask_answered(void *arg, const struct chat_reply *reply, const struct error *err)
{
    (void)reply;
    bool known = err && strcmp(err->code, "model_refused") == 0;
    ask_ended(arg, known ? NULL : err);
}

static void ask_service(struct asking *asking)
{
    const struct chat_request empty = {
        .arena = asking->arena, .max_output_tokens = 1, .timeout_ms = CHAT_CHECK_TIMEOUT_MS};
    chat_start(asking->chat, &empty, ask_answered, asking);
}

static void ask_signed(void *arg, const struct sigv4_credentials *credentials, const struct error *err)
{
    if (credentials) {
        ask_service(arg);
    } else {
        ask_ended(arg, err);
    }
}

/* A call like any other but for its conversation, which has no message: the service looks at who asks, then
 * refuses it, and no model is asked. Credentials are got once more before, for who checks wants to hear what
 * is wrong with them. */
static bool bedrock_ask(const struct chat_options *options, struct error *err)
{
    struct asking asking = {.loop = loop_new(0), .arena = arena_new(0)};
    asking.chat = chat_new(asking.loop, options, err);
    if (asking.chat) {
        struct aws_credentials *credentials = aws_credentials_new(asking.loop);
        if (options->api_key[0]) {
            ask_service(&asking);
        } else {
            aws_credentials_get(credentials, ask_signed, &asking);
        }
        loop_run(asking.loop);
        chat_free(asking.chat);
        aws_credentials_free(credentials);
        *err = asking.err;
    }
    arena_free(asking.arena);
    loop_free(asking.loop);
    return err->disposition == ERROR_NONE;
}

const struct chat_driver chat_bedrock = {.name = "bedrock",
    .paid = true,
    .address_setting = "model.endpoint",
    .check = bedrock_check,
    .ask = bedrock_ask,
    .open = bedrock_open,
    .free = bedrock_free,
    .prepare = bedrock_prepare,
    .prepare_cancel = bedrock_prepare_cancel,
    .went_stale = bedrock_went_stale,
    .url = bedrock_url,
    .put_body = bedrock_body,
    .headers = bedrock_headers,
    .read_reply = converse_reply_read,
    .read_refusal = bedrock_refusal,
    .knows_no_schema = bedrock_knows_no_schema};
