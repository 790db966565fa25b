/* Amazon Bedrock: Converse with signed requests or a bearer token.
 * https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "aws/credentials.h"
#include "base/alloc.h"
#include "base/json.h"
#include "model/bedrock.h"
#include "model/converse_reply.h"

#define GUARDRAIL_MAX 2048
#define LOWER_AND_DIGITS "abcdefghijklmnopqrstuvwxyz0123456789"
#define DIGITS "0123456789"

struct converse {
    struct bedrock bedrock;
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

static bool converse_check(const struct chat_options *options, struct error *err)
{
    const char *guardrail = options->guardrail;
    if (guardrail && guardrail[0] && !is_guardrail(guardrail)) {
        return error_set(err, ERROR_FATAL, "setting_invalid",
            "model.guardrail must be the guardrail's id, ':', and its version (a number or DRAFT)");
    }
    return bedrock_check(options, err);
}

static void *converse_open(struct loop *loop, const struct chat_options *options)
{
    struct converse *converse = xcalloc(1, sizeof(*converse));
    bedrock_init(&converse->bedrock, loop, options, "converse");
    if (options->guardrail && options->guardrail[0]) {
        converse->guardrail = xstrdup(options->guardrail);
        char *colon = strrchr(converse->guardrail, ':');
        *colon = '\0';
        converse->guardrail_version = colon + 1;
    }
    return converse;
}

static void converse_free(void *state)
{
    struct converse *converse = state;
    bedrock_fini(&converse->bedrock);
    free(converse->guardrail);
    free(converse);
}

/* ---- the request ---- */

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

/* Without a user's text no conversation: see converse_ask. */
static void converse_body(void *state, struct buf *out, const struct chat_request *request, bool with_schema)
{
    const struct converse *converse = state;
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
    if (converse->guardrail) {
        buf_puts(out, ",\"guardrailConfig\":{\"guardrailIdentifier\":");
        json_put_string(out, converse->guardrail);
        buf_printf(out, ",\"guardrailVersion\":\"%s\"}", converse->guardrail_version);
    } else if (with_schema && request->user) {
        /* Guardrails read texts, but nothing that goes to a tool: with one the answer is a text. */
        put_tool(out, request);
    }
    buf_putc(out, '}');
}

/* Some models use no tools, or none that they must use. */
static bool converse_knows_no_schema(const struct http_call_result *result)
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
static bool converse_ask(const struct chat_options *options, struct error *err)
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
    .access = &bedrock_access,
    .check = converse_check,
    .ask = converse_ask,
    .open = converse_open,
    .free = converse_free,
    .put_body = converse_body,
    .read_reply = converse_reply_read,
    .knows_no_schema = converse_knows_no_schema};
