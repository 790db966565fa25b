/* Any bytes as a schema registry's answer, and its schema taught to the codec. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "bus/registry_call.h"
#include "msg/registry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_refusal(bool ok, const struct error *err)
{
    if (!ok && (err->disposition == ERROR_NONE || !*err->text))
        abort(); /* a refusal always says why */
}

static void read_answer(const struct registry_answer *answer)
{
    struct error err = {0};
    struct buf schema;
    char why[240];
    bool compatible;
    int64_t id;

    buf_init(&schema, (size_t)256 * 1024);
    bool ok = registry_answer_schema(answer, &schema, &err);
    check_refusal(ok, &err);
    if (ok && !msg_knows_id(1)) { /* the first valid one stays: the table is the process's */
        ok = msg_learn_id(1, buf_text(&schema), schema.len, &err);
        check_refusal(ok, &err);
    }
    buf_fini(&schema);
    ok = registry_answer_id(answer, &id, &err);
    check_refusal(ok, &err);
    if (ok && (id < 0 || id > INT32_MAX))
        abort();
    ok = registry_answer_compatible(answer, &compatible, why, &err);
    check_refusal(ok, &err);
    if (ok && compatible && *why)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int statuses[] = {200, 404, 409, 422, 401, 500, 302, 0};
    struct registry_answer answer;
    struct error err = {0};

    if (size == 0)
        return 0;
    int status = statuses[data[0] % 8];
    bool ok = registry_answer_read(&answer, status, (const char *)data + 1, size - 1, &err);
    check_refusal(ok, &err);
    if (!ok)
        return 0;
    if ((answer.status == 200) != (answer.body != NULL) || strlen(answer.message) >= sizeof(answer.message))
        abort();
    if (answer.body)
        read_answer(&answer);
    registry_answer_fini(&answer);
    return 0;
}
