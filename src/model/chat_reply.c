/* Reading a chat completion. */
#include "model/chat_reply.h"

#include <stdio.h>
#include <string.h>
#include "base/json.h"
#include "base/utf8.h"

#define MAX_TOKENS 1e9

static bool unusable(struct error *err, const char *why)
{
    return error_set(err, ERROR_REJECT, "model_unusable", "%s", why);
}

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

bool chat_model_valid(const char *name)
{
    size_t len = 0;
    for (; name[len] != '\0'; len++) {
        if (name[len] <= ' ' || name[len] > '~' || strchr("\"\\", name[len])) {
            return false;
        }
    }
    return len > 0 && len <= CHAT_MODEL_MAX;
}

static int64_t count_of(const cJSON *usage, const char *name)
{
    double count = json_num(usage, name, 0);
    return count >= 0 && count <= MAX_TOKENS ? (int64_t)count : 0;
}

static bool read_choice(struct arena *arena, const cJSON *choice, struct chat_reply *out, struct error *err)
{
    const cJSON *message = member(choice, "message");
    const char *finish = json_str(choice, "finish_reason");
    const char *content = json_str(message, "content");
    if (!cJSON_IsObject(message)) {
        return unusable(err, "it holds no message");
    }
    if (json_str(message, "refusal")) {
        return unusable(err, "the model refuses to answer");
    }
    if (finish && strcmp(finish, "length") == 0) {
        return unusable(
            err, "it was cut off for its length, at model.max-output-tokens or what the model can hold");
    }
    if (finish && strcmp(finish, "content_filter") == 0) {
        return unusable(err, "the server's filter stopped it");
    }
    if (!content || utf8_blank(content)) {
        return unusable(err, "it is empty");
    }
    out->content_len = strlen(content);
    out->content = arena_strndup(arena, content, out->content_len);
    return true;
}

bool chat_reply_read(
    struct arena *arena, const char *body, size_t len, struct chat_reply *out, struct error *err)
{
    *out = (struct chat_reply){.content = "", .model = ""};
    cJSON *json = json_parse(body, len, NULL);
    if (!json) {
        return unusable(err, "the server's answer is not JSON");
    }
    const char *model = json_str(json, "model");
    if (model && chat_model_valid(model)) {
        out->model = arena_strdup(arena, model);
    }
    const cJSON *usage = member(json, "usage");
    out->input_tokens = count_of(usage, "prompt_tokens");
    out->output_tokens = count_of(usage, "completion_tokens");
    const cJSON *choices = member(json, "choices");
    bool ok = cJSON_IsArray(choices) && cJSON_GetArraySize(choices) > 0
                  ? read_choice(arena, cJSON_GetArrayItem(choices, 0), out, err)
                  : unusable(err, "the server's answer is no chat completion");
    cJSON_Delete(json);
    return ok;
}

void chat_error_code(const char *body, size_t len, char out[CHAT_CODE_MAX])
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
    cJSON *json = json_parse(body, len, NULL);
    const char *code = json_str(member(json, "error"), "code");
    bool fits = code && strlen(code) < CHAT_CODE_MAX && code[strspn(code, plain)] == '\0';
    snprintf(out, CHAT_CODE_MAX, "%s", fits ? code : "");
    cJSON_Delete(json);
}
