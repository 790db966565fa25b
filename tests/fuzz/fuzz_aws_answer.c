/* Fuzz target: what AWS's servers answer (credentials as JSON and XML, errors, secrets), and the secret of a
 * database. What is taken must be fit to sign and to connect with. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "aws/answer.h"
#include "bridge/sqs.h"
#include "db/db_login.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_found(bool ok, const struct aws_found *found, const struct error *err)
{
    if (!ok && (strcmp(err->code, "aws_answer") != 0 || err->text[0] == '\0')) {
        abort();
    }
    if (ok && (found->expires_ms <= 0 || strpbrk(found->access_key_id, "\r\n ") ||
                  strpbrk(found->session_token, "\r\n ") || !found->secret_access_key[0])) {
        abort();
    }
}

static void check_code(const char *code)
{
    if (strlen(code) >= AWS_CODE_SIZE || strpbrk(code, "\r\n\"<> ")) {
        abort();
    }
}

static void check_login(struct arena *arena, const char *secret, size_t len)
{
    struct error err = {0};
    const char *url = db_login_url(arena, "postgresql://u:p@h/d?sslmode=require", secret, len, &err);
    if (url ? strspn(url, "\r\n '") != 0 || strncmp(url, "postgresql:///?", 15) != 0
            : strcmp(err.code, "db_secret") != 0) {
        abort();
    }
}

static void check_messages(struct arena *arena, const char *body, size_t len)
{
    struct sqs_messages messages;
    struct error err = {0};
    size_t failed;
    if (sqs_read_messages(arena, body, len, &messages, &err)) {
        for (size_t i = 0; i < messages.count; i++) {
            if (!*messages.items[i].id || !*messages.items[i].handle || messages.items[i].sent_ms < 0) {
                abort();
            }
        }
    } else if (strcmp(err.code, "sqs_answer") != 0) {
        abort();
    }
    sqs_read_deleted(body, len, &failed, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(0);
    char *body = malloc(size + 1); /* its end is where a reader that goes too far is caught */
    if (body == NULL) {
        abort();
    }
    memcpy(body, data, size);
    body[size] = '\0';
    struct aws_found found;
    struct error err = {0};
    const char *text = NULL;
    char code[AWS_CODE_SIZE];
    check_found(aws_answer_json(arena, body, size, &found, &err), &found, &err);
    check_found(aws_answer_sts(arena, body, size, &found, &err), &found, &err);
    aws_answer_code_json(body, size, code);
    check_code(code);
    aws_answer_code_xml(body, size, code);
    check_code(code);
    if (aws_answer_secret(arena, body, size, &text, &err)) {
        check_login(arena, text, strlen(text));
    }
    check_login(arena, body, size);
    check_messages(arena, body, size);
    free(body);
    arena_free(arena);
    return 0;
}
