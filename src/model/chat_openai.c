/* OpenAI-compatible servers: https://platform.openai.com/docs/api-reference/chat. */
#include "model/chat_driver.h"

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
    char *authorization; /* NULL: without a key */
};

static bool openai_check(const struct chat_options *options, struct error *err)
{
    if (!chat_is_address(options->base_url)) {
        return error_set(err, ERROR_FATAL, "setting_invalid",
            "model.base-url must be an http or https address without user, query and fragment, such as "
            "https://api.openai.com/v1");
    }
    if (!options->model[0]) {
        return error_set(err, ERROR_FATAL, "setting_missing",
            "model.draft is not set: model.base-url needs the id of the model that drafts");
    }
    if (!chat_model_valid(options->model)) {
        return error_set(err, ERROR_FATAL, "setting_invalid",
            "model.draft must be at most %d visible ASCII characters, without quotes and backslashes",
            CHAT_MODEL_MAX);
    }
    if (!chat_is_visible(options->api_key, CHAT_KEY_MAX)) {
        return error_set(err, ERROR_FATAL, "setting_invalid",
            "model.api-key must be at most %d visible ASCII characters, without blanks and line breaks",
            CHAT_KEY_MAX);
    }
    return true;
}

char *chat_openai_authorization(const char *api_key)
{
    static const char bearer[] = "Authorization: Bearer ";
    if (!api_key[0]) {
        return NULL;
    }
    size_t size = sizeof(bearer) + strlen(api_key);
    char *made = xmalloc(size);
    snprintf(made, size, "%s%s", bearer, api_key);
    return made;
}

static void *openai_open(const struct chat_options *options)
{
    struct openai *openai = xcalloc(1, sizeof(*openai));
    openai->url = chat_url(options->base_url, PATH_COMPLETIONS);
    openai->model = xstrdup(options->model);
    openai->authorization = chat_openai_authorization(options->api_key);
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

static void openai_headers(
    void *state, struct arena *arena, const struct buf *body, const char *lines[CHAT_HEADERS_MAX + 1])
{
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
    buf_putc(out, '}');
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

static bool openai_ask(const struct chat_options *options, struct error *err)
{
    char *url = chat_url(options->base_url, PATH_MODELS);
    char *authorization = chat_openai_authorization(options->api_key);
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

const struct chat_driver chat_openai = {.address_setting = "model.base-url",
    .check = openai_check,
    .ask = openai_ask,
    .open = openai_open,
    .free = openai_free,
    .url = openai_url,
    .put_body = openai_body,
    .headers = openai_headers,
    .read_reply = chat_reply_read,
    .read_refusal = chat_openai_refusal,
    .knows_no_schema = knows_no_schema};
