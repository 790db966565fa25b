/* Reading a Converse response. */
#include "model/converse_reply.h"

#include <stdio.h>
#include <string.h>
#include "base/json.h"
#include "base/utf8.h"

#define MAX_TOKENS 1e9
#define FENCE "```"

static bool unusable(struct error *err, const char *why)
{
    return error_set(err, ERROR_REJECT, "model_unusable", "%s", why);
}

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static int64_t count_of(const cJSON *usage, const char *name)
{
    double count = json_num(usage, name, 0);
    return count >= 0 && count <= MAX_TOKENS ? (int64_t)count : 0;
}

/* ---- what the model said ---- */

static bool was_stopped(const char *reason, struct error *err)
{
    static const struct {
        const char *reason, *why;
    } stops[] = {{"max_tokens", "it was cut off for its length"},
        {"model_context_window_exceeded", "it was cut off for its length"},
        {"content_filtered", "the server's filter stopped it"},
        {"malformed_model_output", "the model's answer is malformed"},
        {"malformed_tool_use", "the model's answer is malformed"}};
    if (strcmp(reason, "guardrail_intervened") == 0) {
        error_set(err, ERROR_REJECT, "model_refused", "the guardrail stopped it");
        return true;
    }
    for (size_t i = 0; i < sizeof(stops) / sizeof(stops[0]); i++) {
        if (strcmp(reason, stops[i].reason) == 0) {
            unusable(err, stops[i].why);
            return true;
        }
    }
    return false;
}

/* "```json\n{...}\n```" is how a model that may speak freely likes to give JSON. */
static void put_unfenced(struct buf *out, const char *text)
{
    const char *begin = text + strspn(text, " \t\r\n");
    size_t len = strlen(begin);
    while (len > 0 && strchr(" \t\r\n", begin[len - 1])) {
        len--;
    }
    const char *line_end = memchr(begin, '\n', len);
    size_t fence = strlen(FENCE);
    if (line_end && len > 2 * fence && strncmp(begin, FENCE, fence) == 0 &&
        strncmp(begin + len - fence, FENCE, fence) == 0) {
        size_t head = (size_t)(line_end + 1 - begin);
        buf_append(out, line_end + 1, len > head + fence ? len - head - fence : 0);
        return;
    }
    buf_puts(out, text);
}

static void put_content(struct buf *out, const cJSON *blocks)
{
    const cJSON *block;
    struct buf text;
    buf_init(&text, CHAT_MAX_ANSWER);
    cJSON_ArrayForEach(block, blocks)
    {
        const cJSON *input = member(member(block, "toolUse"), "input");
        const char *said = json_str(block, "text");
        if (cJSON_IsObject(input)) {
            json_put_and_delete(out, cJSON_Duplicate(input, true));
            break;
        }
        buf_puts(&text, said ? said : "");
    }
    if (out->len == 0) {
        put_unfenced(out, buf_text(&text));
    }
    buf_fini(&text);
}

static bool read_output(struct arena *arena, const cJSON *json, struct chat_reply *out, struct error *err)
{
    const char *reason = json_str(json, "stopReason");
    const cJSON *blocks = member(member(member(json, "output"), "message"), "content");
    if (!reason) {
        return unusable(err, "the server's answer is no Converse response");
    }
    if (was_stopped(reason, err)) {
        return false;
    }
    if (!cJSON_IsArray(blocks)) {
        return unusable(err, "it holds no message");
    }
    struct buf content;
    buf_init(&content, CHAT_MAX_ANSWER);
    put_content(&content, blocks);
    bool ok = !content.failed && !utf8_blank(buf_text(&content));
    if (ok) {
        out->content_len = content.len;
        out->content = arena_strndup(arena, buf_text(&content), content.len);
    }
    buf_fini(&content);
    return ok || unusable(err, "it is empty");
}

bool converse_reply_read(
    struct arena *arena, const char *body, size_t len, struct chat_reply *out, struct error *err)
{
    *out = (struct chat_reply){.content = "", .model = ""};
    cJSON *json = json_parse(body, len, NULL);
    if (!json) {
        return unusable(err, "the server's answer is not JSON");
    }
    const cJSON *usage = member(json, "usage");
    out->input_tokens = count_of(usage, "inputTokens");
    out->output_tokens = count_of(usage, "outputTokens");
    bool ok = read_output(arena, json, out, err);
    cJSON_Delete(json);
    return ok;
}

/* ---- refusals ---- */

static bool read_type(const char *text, char out[CHAT_CODE_MAX])
{
    size_t len = strcspn(text, ":");
    const char *hash = memchr(text, '#', len);
    if (hash) {
        len -= (size_t)(hash + 1 - text);
        text = hash + 1;
    }
    bool plain = len > 0 && len < CHAT_CODE_MAX &&
                 strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") >= len;
    if (plain) {
        memcpy(out, text, len);
        out[len] = '\0';
    }
    return plain;
}

void converse_error_type(const char *header, const char *body, size_t len, char out[CHAT_CODE_MAX])
{
    out[0] = '\0';
    if (read_type(header, out)) {
        return;
    }
    cJSON *json = json_parse(body, len, NULL);
    const char *type = json_str(json, "__type"), *code = json_str(json, "code");
    if (!type || !read_type(type, out)) {
        read_type(code ? code : "", out);
    }
    cJSON_Delete(json);
}
