/* Chat completions of OpenAI-compatible servers: https://platform.openai.com/docs/api-reference/chat. */
#include "model/openai.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/json.h"
#include "http/client.h"

#define PATH_COMPLETIONS "/chat/completions"
#define PATH_MODELS "/models"

struct completions {
    struct openai openai;
    bool completion_tokens; /* the bound on what is written goes by its newer name */
};

static void *openai_open(struct loop *loop, const struct chat_options *options)
{
    (void)loop;
    struct completions *completions = xcalloc(1, sizeof(*completions));
    openai_init(&completions->openai, options, PATH_COMPLETIONS);
    return completions;
}

static void openai_free(void *state)
{
    struct completions *completions = state;
    openai_fini(&completions->openai);
    free(completions);
}

static void put_message(struct buf *out, const char *role, const char *content)
{
    buf_printf(out, "{\"role\":\"%s\",\"content\":", role);
    json_put_string(out, content);
    buf_putc(out, '}');
}

static void openai_body(void *state, struct buf *out, const struct chat_request *request, bool with_schema)
{
    const struct completions *completions = state;
    buf_puts(out, "{\"model\":");
    json_put_string(out, completions->openai.model);
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
        completions->completion_tokens ? "max_completion_tokens" : "max_tokens", request->max_output_tokens);
}

/* ---- what an answer means ---- */

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
    struct completions *completions = state;
    const char *text = buf_text(&result->body);
    bool renamed = (result->status == 400 || result->status == 422) &&
                   strstr(text, "max_completion_tokens") &&
                   (strstr(text, "unsupported_parameter") || strstr(text, "nsupported parameter"));
    completions->completion_tokens = completions->completion_tokens || renamed;
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
        openai_refusal(&refused, err);
        ok = false;
    }
    http_fetch_result_fini(&result);
    free(url);
    free(authorization);
    return ok;
}

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
