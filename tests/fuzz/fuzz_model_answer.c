/* Fuzz target: what a model server answers, whole, and its content alone. What is taken must cite only what
 * was given and have its markers in range. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/chat_reply.h"
#include "model/classify_answer.h"
#include "model/converse_reply.h"
#include "model/draft_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_draft(struct arena *arena, const char *content, size_t len)
{
    static struct msg_context_item items[] = {{.source_id = "a"}, {.source_id = "kb/b.md#2"}};
    static const struct msg_context context = {.items = items, .items_count = 2};
    struct draft_answer answer;
    struct error err = {0};
    if (!draft_answer_read(arena, content, len, &context, &answer, &err)) {
        if (strcmp(err.code, "model_unusable") != 0 || err.text[0] == '\0') {
            abort();
        }
        return;
    }
    if (strlen(answer.text) > DRAFT_ANSWER_MAX_TEXT || answer.citation_count > 2 ||
        answer.step_count > DRAFT_ANSWER_MAX_STEPS || !(answer.confidence >= 0 && answer.confidence <= 1) ||
        (answer.citation_count == 0 && !answer.needs_person)) {
        abort();
    }
    for (size_t i = 0; i < answer.citation_count; i++) {
        if (strcmp(answer.citations[i], "a") != 0 && strcmp(answer.citations[i], "kb/b.md#2") != 0) {
            abort();
        }
    }
}

static void check_classification(struct arena *arena, const char *content, size_t len)
{
    static struct taxonomy *taxonomy; /* for as long as the target runs */
    struct classify_answer answer;
    struct error err = {0};
    if (taxonomy == NULL && (taxonomy = taxonomy_load("", &err)) == NULL) {
        abort();
    }
    if (!classify_answer_read(arena, content, len, taxonomy, &answer, &err)) {
        if (strcmp(err.code, "model_unusable") != 0 || err.text[0] == '\0') {
            abort();
        }
        return;
    }
    if (answer.category < taxonomy->categories ||
        answer.category >= taxonomy->categories + taxonomy->category_count ||
        !(answer.confidence >= 0 && answer.confidence <= 1) ||
        !(answer.priority_confidence >= 0 && answer.priority_confidence <= 1) ||
        strlen(answer.reason) > CLASSIFY_ANSWER_MAX_REASON) {
        abort();
    }
}

/* The other provider's way to say it. */
static void check_converse(struct arena *arena, const char *body, size_t size)
{
    struct chat_reply reply;
    struct error err = {0};
    char type[CHAT_CODE_MAX];
    converse_error_type(body, body, size, type);
    converse_error_type("", body, size, type);
    bool ok = converse_reply_read(arena, body, size, &reply, &err);
    bool said = strcmp(err.code, "model_unusable") == 0 || strcmp(err.code, "model_refused") == 0;
    if ((!ok && !said) || strlen(reply.content) != reply.content_len || ok != (reply.content_len > 0) ||
        reply.input_tokens < 0 || reply.output_tokens < 0) {
        abort();
    }
    if (ok) {
        check_draft(arena, reply.content, reply.content_len);
        check_classification(arena, reply.content, reply.content_len);
    }
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
    struct chat_reply reply;
    char code[CHAT_CODE_MAX];
    struct error err = {0};
    chat_error_code(body, size, code);
    if (chat_reply_read(arena, body, size, &reply, &err)) {
        check_draft(arena, reply.content, reply.content_len);
        check_classification(arena, reply.content, reply.content_len);
    }
    if (reply.input_tokens < 0 || reply.output_tokens < 0 ||
        (reply.model[0] != '\0' && !chat_model_valid(reply.model))) {
        abort();
    }
    check_draft(arena, body, size);
    check_classification(arena, body, size);
    check_converse(arena, body, size);
    free(body);
    arena_free(arena);
    return 0;
}
