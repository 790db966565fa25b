/* JSON of ReceiveMessage and DeleteMessageBatch. */
#include "bridge/sqs.h"

#include <stdlib.h>
#include <string.h>
#include "aws/endpoint.h"
#include "base/json.h"

#define ID_MAX 128
#define HANDLE_MAX 8192
#define URL_MAX 1024

void sqs_put_receive(struct buf *out, const char *queue_url)
{
    buf_puts(out, "{\"QueueUrl\":");
    json_put_string(out, queue_url);
    buf_printf(out,
        ",\"MaxNumberOfMessages\":%d,\"WaitTimeSeconds\":%d,\"MessageSystemAttributeNames\":["
        "\"SentTimestamp\"]}",
        SQS_BATCH, SQS_WAIT_S);
}

void sqs_put_delete(
    struct buf *out, const char *queue_url, const struct sqs_message *const *messages, size_t count)
{
    buf_puts(out, "{\"QueueUrl\":");
    json_put_string(out, queue_url);
    buf_puts(out, ",\"Entries\":[");
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "%s{\"Id\":\"%zu\",\"ReceiptHandle\":", i ? "," : "", i);
        json_put_string(out, messages[i]->handle);
        buf_putc(out, '}');
    }
    buf_puts(out, "]}");
}

static bool bad_answer(struct error *err, const char *what)
{
    return error_set(err, ERROR_RETRY, "sqs_answer", "the answer of SQS %s", what);
}

static const char *text_member(struct arena *arena, const cJSON *json, const char *name, size_t most)
{
    const char *text = json_str(json, name);
    return text && *text && strlen(text) <= most ? arena_strdup(arena, text) : NULL;
}

/* A count of milliseconds as text; 0 when it is none. */
static int64_t sent_at(const cJSON *message)
{
    const char *text = json_str(cJSON_GetObjectItemCaseSensitive(message, "Attributes"), "SentTimestamp");
    size_t len = text ? strlen(text) : 0;
    bool number = len > 0 && len < 16 && strspn(text, "0123456789") == len;
    return number ? strtoll(text, NULL, 10) : 0;
}

static bool read_message(struct arena *arena, const cJSON *json, struct sqs_message *out)
{
    const char *body = json_str(json, "Body");
    *out = (struct sqs_message){.id = text_member(arena, json, "MessageId", ID_MAX),
        .handle = text_member(arena, json, "ReceiptHandle", HANDLE_MAX),
        .body = body ? arena_strdup(arena, body) : NULL,
        .sent_ms = sent_at(json)};
    return out->id && out->handle && out->body;
}

bool sqs_read_messages(
    struct arena *arena, const char *text, size_t len, struct sqs_messages *out, struct error *err)
{
    struct error why;
    out->count = 0;
    cJSON *json = json_parse(text, len, &why);
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(json, "Messages");
    bool ok = cJSON_IsObject(json) && (!list || cJSON_IsNull(list) || cJSON_IsArray(list));
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        ok = ok && out->count < SQS_BATCH && read_message(arena, item, &out->items[out->count++]);
    }
    cJSON_Delete(json);
    return ok || bad_answer(err, "holds no messages with MessageId, ReceiptHandle and Body");
}

bool sqs_read_deleted(const char *text, size_t len, size_t *failed, struct error *err)
{
    struct error why;
    cJSON *json = json_parse(text, len, &why);
    bool ok = cJSON_IsObject(json);
    *failed = (size_t)cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(json, "Failed"));
    cJSON_Delete(json);
    return ok || bad_answer(err, "does not tell what was deleted");
}

bool sqs_queue_region(const char *queue_url, char *region, size_t size, struct error *err)
{
    const char *host = strstr(queue_url, "://");
    size_t len = strlen(queue_url);
    bool ok =
        host && len <= URL_MAX && (!strncmp(queue_url, "https://", 8) || !strncmp(queue_url, "http://", 7));
    for (size_t i = 0; ok && i < len; i++) {
        ok = queue_url[i] > ' ' && queue_url[i] <= '~';
    }
    if (!ok || !strchr(host + 3, '/')) {
        return error_set(err, ERROR_FATAL, "bridge_queue",
            "a queue is named like https://sqs.eu-central-1.amazonaws.com/123456789012/name, not %.200s",
            queue_url);
    }
    region[0] = '\0';
    host += 3;
    if (!strncmp(host, "sqs.", 4)) {
        size_t chars = strcspn(host + 4, "./");
        if (chars < size && !strncmp(host + 4 + chars, ".amazonaws.com", 14)) {
            memcpy(region, host + 4, chars);
            region[chars] = '\0';
        }
    }
    if (*region && !aws_region_valid(region)) {
        region[0] = '\0';
    }
    return true;
}
