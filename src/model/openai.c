/* OpenAI-compatible servers: addresses, the key, and what refusals mean. */
#include "model/openai.h"

#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"

bool openai_check(const struct chat_options *options, struct error *err)
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

void openai_init(struct openai *openai, const struct chat_options *options, const char *path)
{
    *openai = (struct openai){.url = chat_url(options->base_url, path),
        .model = xstrdup(options->model),
        .authorization = chat_authorization(options->api_key)};
}

void openai_fini(struct openai *openai)
{
    free(openai->url);
    free(openai->model);
    free(openai->authorization);
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

void openai_refusal(const struct http_call_result *result, struct error *err)
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

const struct model_access openai_access = {.address_setting = "model.base-url",
    .url = openai_url,
    .headers = openai_headers,
    .read_refusal = openai_refusal};
