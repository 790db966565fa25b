/* Vectors of Amazon Bedrock: InvokeModel with Titan Text Embeddings V2 and Cohere Embed.
 * https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html
 * https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/json.h"
#include "base/parse.h"
#include "base/utf8.h"
#include "model/bedrock.h"
#include "model/embed_driver.h"

#define TITAN "amazon.titan-embed-text-v2:"
#define COHERE "cohere.embed-"
#define COHERE_4 "cohere.embed-v4"
#define COHERE_BATCH 96
#define INPUT_TOKENS_MAX 1000000000
#define COHERE_BYTES 2048 /* of a text, for the models before 4 (characters, of a byte at least) */

enum family { FAMILY_NONE, FAMILY_TITAN, FAMILY_COHERE_3, FAMILY_COHERE_4 };

struct invoke {
    struct bedrock bedrock;
    enum family family;
    int64_t dimensions; /* 0: the model's own */
};

/* The id may be of an inference profile ("us.cohere.embed-v4:0") or an ARN that ends with one. */
static enum family family_of(const char *model)
{
    if (strstr(model, TITAN)) {
        return FAMILY_TITAN;
    }
    if (strstr(model, COHERE_4)) {
        return FAMILY_COHERE_4;
    }
    return strstr(model, COHERE) ? FAMILY_COHERE_3 : FAMILY_NONE;
}

static bool check_dimensions(enum family family, int64_t dimensions)
{
    bool titan = family == FAMILY_TITAN, larger = family == FAMILY_COHERE_4;
    return dimensions == 0 || ((titan || larger) && (dimensions == 256 || dimensions == 512)) ||
           ((titan || larger) && dimensions == 1024) || (larger && dimensions == 1536);
}

static bool invoke_check(const struct chat_options *options, struct error *err)
{
    enum family family = family_of(options->model);
    if (!bedrock_check(options, err)) {
        return false;
    }
    if (family == FAMILY_NONE) {
        return error_set(err, ERROR_FATAL, "setting_invalid",
            "model.embed must be " TITAN "0 or a " COHERE "... model with model.provider=bedrock");
    }
    return check_dimensions(family, options->dimensions) ||
           error_set(err, ERROR_FATAL, "setting_invalid",
               "model.embed-dimensions must be 0, or 256, 512 or 1024 for Titan, also 1536 for Cohere Embed "
               "4");
}

static void *invoke_open(struct loop *loop, const struct chat_options *options)
{
    struct invoke *invoke = xcalloc(1, sizeof(*invoke));
    bedrock_init(&invoke->bedrock, loop, options, "invoke");
    invoke->family = family_of(options->model);
    invoke->dimensions = options->dimensions;
    return invoke;
}

static void invoke_free(void *state)
{
    struct invoke *invoke = state;
    bedrock_fini(&invoke->bedrock);
    free(invoke);
}

static size_t invoke_max_texts(const void *state)
{
    return ((const struct invoke *)state)->family == FAMILY_TITAN ? 1 : COHERE_BATCH;
}

static void put_cohere(const struct invoke *invoke, struct buf *out, const struct embed_request *request)
{
    buf_printf(out, "{\"input_type\":\"%s\",\"truncate\":\"%s\",\"embedding_types\":[\"float\"]",
        request->query ? "search_query" : "search_document",
        invoke->family == FAMILY_COHERE_4 ? "RIGHT" : "END");
    if (invoke->dimensions > 0) {
        buf_printf(out, ",\"output_dimension\":%" PRId64, invoke->dimensions);
    }
    buf_puts(out, ",\"texts\":");
    for (size_t i = 0; i < request->count; i++) {
        const char *text = request->texts[i];
        buf_putc(out, i > 0 ? ',' : '[');
        if (invoke->family == FAMILY_COHERE_3) {
            text = arena_strndup(request->arena, text, utf8_clip(text, COHERE_BYTES));
        }
        json_put_string(out, text);
    }
    buf_puts(out, "]}");
}

static void invoke_body(void *state, struct buf *out, const struct embed_request *request)
{
    const struct invoke *invoke = state;
    if (invoke->family != FAMILY_TITAN) {
        put_cohere(invoke, out, request);
        return;
    }
    buf_puts(out, "{\"inputText\":");
    json_put_string(out, request->texts[0]);
    if (invoke->dimensions > 0) {
        buf_printf(out, ",\"dimensions\":%" PRId64, invoke->dimensions);
    }
    buf_puts(out, ",\"normalize\":true}");
}

/* What the service counts beside the answer, whatever the model; 0: nothing. */
static int64_t counted_tokens(const struct http_call_result *result)
{
    char text[32];
    int64_t tokens = 0;
    http_call_header(result, "X-Amzn-Bedrock-Input-Token-Count", text, sizeof(text));
    return parse_int64(text, &tokens) && tokens > 0 && tokens <= INPUT_TOKENS_MAX ? tokens : 0;
}

static bool invoke_read(void *state, struct arena *arena, const struct http_call_result *result, size_t count,
    struct embed_reply *out, struct error *err)
{
    const struct invoke *invoke = state;
    const char *body = buf_text(&result->body);
    bool ok = invoke->family == FAMILY_TITAN
                  ? embed_reply_read_titan(arena, body, result->body.len, out, err)
                  : embed_reply_read_cohere(arena, body, result->body.len, count, out, err);
    if (out->input_tokens == 0) {
        out->input_tokens = counted_tokens(result);
    }
    return ok;
}

const struct embed_driver embed_bedrock = {.name = "bedrock",
    .paid = true,
    .access = &bedrock_access,
    .check = invoke_check,
    .open = invoke_open,
    .free = invoke_free,
    .max_texts = invoke_max_texts,
    .put_body = invoke_body,
    .read_reply = invoke_read};
