/* Vectors of texts: what is asked, what of an answer is believed, and what its failures mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "http/server.h"
#include "model/embed.h"

#define PATIENCE_MS 30000

/* ---- the server: one scripted answer for each request ---- */

struct fixture {
    struct loop *loop;
    struct http_server *server;
    struct arena *arena;
    struct embedder *embedder;
    int status; /* 0: never answers */
    const char *body;
    const char *asked;
    const char *authorization;
    struct embed_reply kept;
    struct error err;
    int times;
};

static void post_embeddings(struct http_request *request, void *arg)
{
    struct fixture *f = arg;
    size_t len;
    const char *body = http_request_body(request, &len);
    f->asked = arena_strndup(f->arena, body, len);
    f->authorization = arena_strdup(f->arena, http_request_header(request, "authorization"));
    if (f->status > 0) {
        http_respond_json(request, f->status, f->body);
    }
}

static const struct http_route routes[] = {{"POST", "/v1/embeddings", post_embeddings}, {NULL, NULL, NULL}};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error err = {0};
    char base_url[64];
    f->loop = loop_new(0);
    f->arena = arena_new(0);
    const struct http_server_options options = {.name = "model",
        .host = "127.0.0.1",
        .max_body = (size_t)1 << 20,
        .read_deadline_ms = PATIENCE_MS,
        .routes = routes,
        .arg = f};
    f->server = http_server_new(f->loop, &options, &err);
    assert_non_null(f->server);
    snprintf(base_url, sizeof(base_url), "http://127.0.0.1:%d/v1/", http_server_port(f->server));
    const struct chat_options embed = {
        .base_url = base_url, .api_key = "sk-1", .model = "small", .prices = "small=2/0"};
    f->embedder = embed_new(f->loop, &embed, &err);
    assert_non_null(f->embedder);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    embed_free(f->embedder);
    http_server_free(f->server);
    loop_free(f->loop);
    arena_free(f->arena);
    free(f);
    return 0;
}

static void keep(void *arg, const struct embed_reply *reply, const struct error *err)
{
    struct fixture *f = arg;
    f->times++;
    f->kept = *reply;
    f->err = err ? *err : (struct error){0};
    loop_stop(f->loop, 0);
}

static void too_late(void *arg)
{
    (void)arg;
    fail_msg("the server never answers");
}

static const char *const two[] = {"How long does a refund take?", "Größe \"M\"\n"};

static void ask(struct fixture *f, int status, const char *body, int64_t timeout_ms)
{
    struct loop_timer *limit = loop_timer_new(f->loop, too_late, NULL);
    const struct embed_request request = {
        .arena = f->arena, .texts = two, .count = 2, .timeout_ms = timeout_ms};
    f->status = status;
    f->body = body;
    f->times = 0;
    embed_start(f->embedder, &request, keep, f);
    assert_int_equal(f->times, 0);
    loop_timer_arm(limit, PATIENCE_MS);
    loop_run(f->loop);
    loop_timer_free(limit);
    assert_int_equal(f->times, 1);
}

#define VECTORS(a, b)                                                                                        \
    "{\"object\":\"list\",\"model\":\"small-1\",\"usage\":{\"prompt_tokens\":500,\"total_tokens\":500},"     \
    "\"data\":[{\"object\":\"embedding\",\"index\":1,\"embedding\":" b "},{\"index\":0,\"embedding\":" a     \
    "}]}"

static void asks_and_reads(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(embed_identity(f->embedder), "");
    ask(f, 200, VECTORS("[3,-4]", "[0,0.5]"), PATIENCE_MS);
    assert_int_equal(f->err.disposition, ERROR_NONE);
    assert_string_equal(f->authorization, "Bearer sk-1");
    cJSON *asked = json_parse(f->asked, strlen(f->asked), NULL);
    assert_string_equal(json_str(asked, "model"), "small");
    assert_string_equal(json_str(asked, "encoding_format"), "float");
    const cJSON *input = cJSON_GetObjectItem(asked, "input");
    assert_int_equal(cJSON_GetArraySize(input), 2);
    assert_string_equal(cJSON_GetArrayItem(input, 0)->valuestring, two[0]);
    assert_string_equal(cJSON_GetArrayItem(input, 1)->valuestring, two[1]);
    cJSON_Delete(asked);
    assert_int_equal(f->kept.dimension, 2);
    assert_true(fabsf(f->kept.vectors[0][0] - 0.6F) < 1e-6F && fabsf(f->kept.vectors[0][1] + 0.8F) < 1e-6F);
    assert_true(f->kept.vectors[1][0] == 0 && fabsf(f->kept.vectors[1][1] - 1) < 1e-6F);
    assert_string_equal(f->kept.model, "small-1");
    assert_int_equal(f->kept.input_tokens, 500);
    assert_true(fabs(f->kept.cost_usd - 0.001) < 1e-12);
    assert_string_equal(embed_identity(f->embedder), "openai/small/2");
}

static void keeps_one_dimension(void **state)
{
    struct fixture *f = *state;
    ask(f, 200, VECTORS("[1,2,3]", "[3,2,1]"), PATIENCE_MS);
    assert_int_equal(f->err.disposition, ERROR_NONE);
    ask(f, 200, VECTORS("[1,2]", "[3,2]"), PATIENCE_MS);
    assert_int_equal(f->err.disposition, ERROR_FATAL);
    assert_string_equal(f->err.code, "model_config");
    assert_string_equal(f->err.text,
        "model.embed: its vectors have 2 numbers now, not 3 as earlier ones or as "
        "model.embed-dimensions says: they cannot be compared");
    assert_int_equal(f->kept.input_tokens, 500); /* spent all the same */
    assert_string_equal(embed_identity(f->embedder), "openai/small/3");
}

static void believes_only_vectors(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *body, *why;
    } cases[] = {
        {"no JSON", "not JSON"},
        {"{}", "not one vector for each text"},
        {"{\"data\":{}}", "not one vector for each text"},
        {"{\"data\":[{\"embedding\":[1]}]}", "not one vector for each text"},
        {"{\"data\":[{\"embedding\":[1]},{\"embedding\":\"AAAA\"}]}", "must be an array"},
        {"{\"data\":[{\"embedding\":[]},{\"embedding\":[]}]}", "must be an array"},
        {"{\"data\":[1,2]}", "must be an array"},
        {"{\"data\":[{\"embedding\":[1]},{\"embedding\":[1,2]}]}", "differ in length"},
        {"{\"data\":[{\"embedding\":[1]},{\"embedding\":[null]}]}", "no number"},
        {"{\"data\":[{\"embedding\":[0]},{\"embedding\":[1]}]}", "no direction"},
        {"{\"data\":[{\"embedding\":[1e300]},{\"embedding\":[1]}]}", "no direction"},
        {"{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":0,\"embedding\":[1]}]}", "indexes"},
        {"{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":2,\"embedding\":[1]}]}", "indexes"},
        {"{\"data\":[{\"index\":0.5,\"embedding\":[1]},{\"index\":1,\"embedding\":[1]}]}", "indexes"},
        {"{\"data\":[{\"index\":\"0\",\"embedding\":[1]},{\"index\":1,\"embedding\":[1]}]}", "indexes"},
        {"{\"data\":[{\"index\":1,\"embedding\":[1]},{\"embedding\":[1]}]}", "indexes"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ask(f, 200, cases[i].body, PATIENCE_MS);
        assert_int_equal(f->err.disposition, ERROR_REJECT);
        assert_string_equal(f->err.code, "model_unusable");
        if (!strstr(f->err.text, cases[i].why)) {
            fail_msg("\"%s\" is not in \"%s\"", cases[i].why, f->err.text);
        }
    }
    assert_string_equal(embed_identity(f->embedder), "");
    ask(f, 200, "{\"data\":[{\"embedding\":[2]},{\"embedding\":[-2]}]}", PATIENCE_MS); /* none has an index */
    assert_int_equal(f->err.disposition, ERROR_NONE);
    assert_true(f->kept.vectors[0][0] == 1 && f->kept.vectors[1][0] == -1);
}

static void says_what_failed(void **state)
{
    struct fixture *f = *state;
    static const struct {
        int status;
        const char *body, *code;
        enum error_disposition disposition;
    } cases[] = {
        {401, "{\"error\":{\"code\":\"invalid_api_key\"}}", "model_config", ERROR_FATAL},
        {404, "{}", "model_config", ERROR_FATAL},
        {400, "{}", "model_refused", ERROR_REJECT},
        {429, "{}", "model_busy", ERROR_RETRY},
        {500, "{}", "model_failed", ERROR_RETRY},
        {503, "{}", "model_unavailable", ERROR_RETRY},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ask(f, cases[i].status, cases[i].body, PATIENCE_MS);
        assert_int_equal(f->err.disposition, cases[i].disposition);
        assert_string_equal(f->err.code, cases[i].code);
        assert_int_equal(f->kept.input_tokens, 0);
    }
    ask(f, 0, NULL, 200);
    assert_string_equal(f->err.code, "model_timeout");
    const struct embed_request request = {
        .arena = f->arena, .texts = two, .count = 1, .timeout_ms = PATIENCE_MS};
    f->times = 0;
    embed_start(f->embedder, &request, keep, f);
    embed_free(f->embedder);
    f->embedder = NULL;
    assert_int_equal(f->times, 1);
    assert_string_equal(f->err.code, "model_stopped");
}

static void settings_that_are_not_right(void **state)
{
    struct fixture *f = *state;
    static const struct {
        struct chat_options options;
        const char *names;
    } cases[] = {
        {{.base_url = "", .api_key = "", .model = "small", .prices = ""}, "model.base-url is not set"},
        {{.base_url = "ftp://h", .api_key = "", .model = "small", .prices = ""}, "model.base-url must be"},
        {{.base_url = "http://h", .api_key = "", .model = "a b", .prices = ""}, "model.embed must be"},
        {{.base_url = "http://h", .api_key = "a b", .model = "small", .prices = ""}, "model.api-key must be"},
        {{.base_url = "http://h.example", .api_key = "", .model = "unheard", .prices = ""}, "model.prices"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = {0};
        assert_null(embed_new(f->loop, &cases[i].options, &err));
        assert_int_equal(err.disposition, ERROR_FATAL);
        if (!strstr(err.text, cases[i].names)) {
            fail_msg("\"%s\" is not in \"%s\"", cases[i].names, err.text);
        }
    }
}

static void shipped_models_need_no_prices(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *provider, *model;
    } cases[] = {
        {"bedrock", "amazon.titan-embed-text-v2:0"},
        {"bedrock", "cohere.embed-english-v3"},
        {"bedrock", "cohere.embed-multilingual-v3"},
        {"bedrock", "cohere.embed-v4:0"},
        {"openai", "text-embedding-3-small"},
        {"openai", "text-embedding-3-large"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool bedrock = strcmp(cases[i].provider, "bedrock") == 0;
        struct chat_options options = {.provider = cases[i].provider,
            .base_url = bedrock ? "" : "https://api.openai.com/v1",
            .api_key = "sk-1",
            .model = cases[i].model,
            .prices = "",
            .region = "eu-central-1"};
        struct error err = {0};
        struct embedder *embedder = embed_new(f->loop, &options, &err);
        if (!embedder) {
            fail_msg("%s: %s", options.model, err.text);
        }
        embed_free(embedder);
        assert_true(chat_costs(&options));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(asks_and_reads),
        TEST(keeps_one_dimension),
        TEST(believes_only_vectors),
        TEST(shipped_models_need_no_prices),
        TEST(says_what_failed),
        TEST(settings_that_are_not_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
