/* GetSecretValue: credentials, a signed call, the text in its answer. */
#include "aws/secret.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "aws/answer.h"
#include "aws/endpoint.h"
#include "aws/service.h"
#include "base/alloc.h"
#include "base/json.h"
#include "base/metrics.h"

#define SERVICE "secretsmanager"
#define TIMEOUT_MS 10000
#define ARN_MAX 2048
#define BODY_MAX ((size_t)512 * 1024) /* 64 KiB of secret, escaped, and its versions' names */
#define TARGET "secretsmanager.GetSecretValue"

static const struct aws_service_kind kind = {
    .name = SERVICE, .endpoint_id = "SECRETS_MANAGER", .content_type = "application/x-amz-json-1.1"};

struct aws_secret {
    char *arn;
    char *region;
    struct aws_service *service;
    bool reading;
    aws_secret_done *done;
    void *arg;
};

/* ---- the name ---- */

/* Its region, heap; NULL when it is not a secret's. */
static char *region_of(const char *arn)
{
    size_t len = strlen(arn);
    const char *parts[6] = {arn};
    for (size_t i = 1; i < 6; i++) {
        const char *colon = strchr(parts[i - 1], ':');
        if (!colon) {
            return NULL;
        }
        parts[i] = colon + 1;
    }
    for (size_t i = 0; i < len; i++) {
        if (arn[i] <= ' ' || arn[i] > '~') {
            return NULL;
        }
    }
    bool ours = len <= ARN_MAX && strncmp(arn, "arn:aws", 7) == 0 &&
                strncmp(parts[2], SERVICE ":", sizeof(SERVICE)) == 0 &&
                strncmp(parts[5], "secret:", 7) == 0 && parts[5][7];
    char *region = ours ? xstrdup(parts[3]) : NULL;
    if (region) {
        region[parts[4] - parts[3] - 1] = '\0';
    }
    if (region && !aws_region_valid(region)) {
        free(region);
        region = NULL;
    }
    return region;
}

/* ---- a read ---- */

static void end(struct aws_secret *secret, const char *text, const struct error *err)
{
    char labels[64];
    snprintf(labels, sizeof(labels), "outcome=\"%s\"", err ? err->code : "ok");
    metric_add(metrics_counter("helpdesk_aws_secret_reads_total",
                   "Reads of a secret of AWS Secrets Manager, by what came of it", labels),
        1);
    secret->reading = false;
    secret->done(secret->arg, text, err);
}

static void on_answer(struct aws_secret *secret, struct arena *arena, const struct http_call_result *result)
{
    const char *body = buf_text(&result->body), *text = NULL;
    char code[AWS_CODE_SIZE];
    struct error why = {0}, err;
    if (result->status != 200) {
        aws_answer_code_json(body, result->body.len, code);
        bool passes = result->status >= 500 || result->status == 429 || aws_code_passes(code);
        error_set(&err, passes ? ERROR_RETRY : ERROR_FATAL,
            passes ? "aws_secret_unavailable" : "aws_secret_refused",
            "Secrets Manager answers %d%s%s for %.200s", result->status, code[0] ? " " : "", code,
            secret->arn);
    } else if (!aws_answer_secret(arena, body, result->body.len, &text, &why)) {
        error_set(&err, ERROR_RETRY, "aws_secret_unavailable",
            "the answer of Secrets Manager cannot be used: %s", why.text);
    }
    end(secret, text, text ? NULL : &err);
}

/* What goes wrong before there are credentials says so itself. */
static void on_called(void *arg, const struct http_call_result *result, const struct error *err)
{
    struct aws_secret *secret = arg;
    if (!result && !strncmp(err->code, "aws_", 4)) {
        end(secret, NULL, err);
        return;
    }
    if (!result) {
        struct error why;
        bool away = err->disposition == ERROR_RETRY;
        error_set(&why, away ? ERROR_RETRY : ERROR_FATAL, away ? "aws_secret_unavailable" : err->code,
            "Secrets Manager: %s", err->text);
        end(secret, NULL, &why);
        return;
    }
    struct arena *arena = arena_new(0);
    on_answer(secret, arena, result);
    arena_free(arena);
}

/* ---- for callers ---- */

struct aws_secret *aws_secret_new(struct loop *loop, const char *arn, struct error *err)
{
    char *region = region_of(arn);
    if (!region) {
        error_set(err, ERROR_FATAL, "aws_secret_arn",
            "the secret is not named like arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME: %.200s", arn);
        return NULL;
    }
    struct aws_secret *secret = xcalloc(1, sizeof(*secret));
    secret->arn = xstrdup(arn);
    secret->region = region;
    secret->service = aws_service_new(loop, &kind, region);
    return secret;
}

void aws_secret_free(struct aws_secret *secret)
{
    if (!secret) {
        return;
    }
    aws_service_free(secret->service);
    free(secret->arn);
    free(secret->region);
    free(secret);
}

void aws_secret_read(struct aws_secret *secret, aws_secret_done *done, void *arg)
{
    assert(!secret->reading);
    secret->reading = true;
    secret->done = done;
    secret->arg = arg;
    struct buf body;
    buf_init(&body, 2 * ARN_MAX);
    buf_puts(&body, "{\"SecretId\":");
    json_put_string(&body, secret->arn);
    buf_putc(&body, '}');
    const struct aws_service_request request = {.target = TARGET,
        .body = buf_text(&body),
        .body_len = body.len,
        .timeout_ms = TIMEOUT_MS,
        .max_body = BODY_MAX};
    aws_service_start(secret->service, &request, on_called, secret);
    buf_fini(&body);
}

bool aws_secret_reading(const struct aws_secret *secret)
{
    return secret->reading;
}
