/* OpenAI-compatible servers: https://platform.openai.com/docs/api-reference/chat. */
#include "model/chat_driver.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/json.h"
#include "http/client.h"

#define PATH_COMPLETIONS "/chat/completions"
#define PATH_MODELS "/models"

struct openai {
    char *url;
    char *model;
    char *authorization;    /* NULL: without a key */
    bool completion_tokens; /* the bound on what is written goes by its newer name */
};

static bool openai_check(const struct chat_options *options, struct error *err)
{
    if (!chat_is_address(options->base_url)) {
        return error_set(err, ERROR_FATAL, "setting_invalid",
            "model.base-url must be an http or https address without user, query and fragment, such as "
            "https://api.openai.com/v1");
    }
    if (options->guardrail && options->guardrail[0]) {
        return error_set(err, ERROR_FATAL, "setting_invalid",
            "model.guardrail is for model.provider=bedrock, other servers have none");
    }
    return chat_check_texts(options, "model.api-key", err);
}

static void *openai_open(struct loop *loop, const struct chat_options *options)
{
    (void)loop;
    struct openai *openai = xcalloc(1, sizeof(*openai));
    openai->url = chat_url(options->base_url, PATH_COMPLETIONS);
    openai->model = xstrdup(options->model);
    openai->authorization = chat_authorization(options->api_key);
    return openai;
}

static void openai_free(void *state)
{
    struct openai *openai = state;
    free(openai->url);
    free(openai->model);
    free(openai->authorization);
    free(openai);
}

static const char *openai_url(void *state)
{
    return ((struct openai *)state)->url;
}

static void openai_headers(void *state, const void *pass, struct arena *arena, const struct buf *body,
    const char *lines[MODEL_HEADERS_MAX + 1])
{
    (void)pass;
    (void)arena;
    (void)body;
    lines[0] = "Content-Type: application/json";
    lines[1] = "Accept: application/json";
    lines[2] = ((struct openai *)state)->authorization;
}

static void put_message(struct buf *out, const char *role, const char *content)
{
    buf_printf(out, "{\"role\":\"%s\",\"content\":", role);
    json_put_string(out, content);
    buf_putc(out, '}');
}

static void openai_body(void *state, struct buf *out, const struct chat_request *request, bool with_schema)
{
    const struct openai *openai = state;
    buf_puts(out, "{\"model\":");
    json_put_string(out, openai->model);
    buf_puts(out, ",\"messages\":[");
    put_message(out, "system", request->system);
    buf_putc(out, ',');
    put_message(out, "user", request->user);
    buf_putc(out, ']');
    if (with_schema) {
        buf_printf(out,
            ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"%s\",\"strict\":true,"
            "\"schema\":%s}}",
            request->schema_name, request->schema);
    }
    buf_printf(out, ",\"%s\":%" PRId64 "}",
        openai->completion_tokens ? "max_completion_tokens" : "max_tokens", request->max_output_tokens);
}

/* ---- what an answer means ---- */

void chat_openai_refusal(const struct http_call_result *result, struct error *err)
{
    int status = result->status;
    int64_t retry_after_ms = result->retry_after_ms;
    char code[CHAT_CODE_MAX];
    chat_error_code(buf_text(&result->body), result->body.len, code);
    bool quota = status == 429 && strcmp(code, "insufficient_quota") == 0;
    enum error_disposition disposition = ERROR_RETRY;
    const char *name = "model_failed";
    if (quota || (status >= 300 && status < 400) || (status >= 401 && status <= 404)) {
        disposition = ERROR_FATAL;
        name = "model_config";
    } else if (status == 503 || (status == 429 && retry_after_ms > 0)) {
        name = "model_unavailable";
    } else if (status == 429) {
        name = "model_busy";
    } else if (status == 408) {
        name = "model_timeout";
    } else if (status < 500) {
        disposition = ERROR_REJECT;
        name = "model_refused";
    }
    error_set(err, disposition, name, "the model server says %d%s%s%s", status, code[0] ? " (" : "", code,
        code[0] ? ")" : "");
    err->retry_after_ms = retry_after_ms;
}

static bool knows_no_schema(const struct http_call_result *result)
{
    const char *text = buf_text(&result->body);
    return (result->status == 400 || result->status == 422) &&
           (strstr(text, "response_format") || strstr(text, "json_schema"));
}

/* Every server knows max_tokens but OpenAI's for models that think, which want it as max_completion_tokens
 * and say so. Not the other way round: servers that do not know the newer name ignore it, and write without a
 * bound. */
static bool openai_adapt(void *state, const struct http_call_result *result)
{
    struct openai *openai = state;
    const char *text = buf_text(&result->body);
    bool renamed = (result->status == 400 || result->status == 422) &&
                   strstr(text, "max_completion_tokens") &&
                   (strstr(text, "unsupported_parameter") || strstr(text, "nsupported parameter"));
    openai->completion_tokens = openai->completion_tokens || renamed;
    return renamed;
}

static bool openai_ask(const struct chat_options *options, struct error *err)
{
    char *url = chat_url(options->base_url, PATH_MODELS);
    char *authorization = chat_authorization(options->api_key);
    const char *const headers[] = {"Accept: application/json", authorization, NULL};
    const struct http_fetch_request request = {
        .method = "GET", .url = url, .headers = headers, .timeout_ms = CHAT_CHECK_TIMEOUT_MS};
    struct http_fetch_result result;
    bool ok = http_fetch(&request, &result, err);
    if (ok && result.status != 200) {
        const struct http_call_result refused = {.status = result.status, .body = result.body};
        chat_openai_refusal(&refused, err);
        ok = false;
    }
    http_fetch_result_fini(&result);
    free(url);
    free(authorization);
    return ok;
}

static const struct model_access openai_access = {.address_setting = "model.base-url",
    .url = openai_url,
    .headers = openai_headers,
    .read_refusal = chat_openai_refusal};

const struct chat_driver chat_openai = {.name = "openai",
    .access = &openai_access,
    .check = openai_check,
    .ask = openai_ask,
    .open = openai_open,
    .free = openai_free,
    .put_body = openai_body,
    .read_reply = chat_reply_read,
    .knows_no_schema = knows_no_schema,
    .adapt = openai_adapt};
