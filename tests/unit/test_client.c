/* The public C API on the embedded broker: what it publishes, which answers it hands out, what it commits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/ids.h"
#include "base/json.h"
#include "bus/broker.h"
#include "bus/bus.h"
#include "bus/topics.h"
#include "helpdesk/helpdesk.h"
#include "msg/codec.h"

#define PATIENCE 300 /* polls of 100 ms */

static struct conf *conf;
static struct broker *broker;
static char address[64];

/* ---- the other side: a loop of our own with a producer and a reader ---- */

struct peer {
    struct loop *loop;
    struct bus_producer *producer;
    struct bus_reader *reader;
    struct loop_timer *timer;
    struct arena *arena;
    struct msg_ticket_event *seen;
    char *key, *headers;
    int delivered;
};

static void time_is_up(void *arg)
{
    struct peer *peer = arg;
    loop_stop(peer->loop, 0);
}

static void turn(struct peer *peer)
{
    loop_timer_arm(peer->timer, 100);
    loop_run(peer->loop);
}

static void got_record(void *arg, const struct bus_record *record)
{
    struct peer *peer = arg;
    struct buf headers;

    buf_init(&headers, 4096);
    for (size_t i = 0; i < record->header_count; i++) {
        buf_printf(&headers, "%s=%.*s\n", record->headers[i].name, (int)record->headers[i].len,
            (const char *)record->headers[i].value);
    }
    peer->headers = arena_strdup(peer->arena, buf_text(&headers));
    buf_fini(&headers);
    peer->key = arena_strndup(peer->arena, record->key, record->key_len);
    peer->seen = msg_decode(&msg_ticket_event, peer->arena, record->value, record->value_len, NULL);
}

static void delivered(void *arg, const struct error *err)
{
    struct peer *peer = arg;

    assert_null(err);
    peer->delivered++;
}

static struct peer *peer_new(const char *read_topic)
{
    static const char *const topics[] = {TOPIC_ANSWERED};
    struct peer *peer = test_calloc(1, sizeof *peer);

    peer->loop = loop_new(0);
    peer->timer = loop_timer_new(peer->loop, time_is_up, peer);
    peer->arena = arena_new(0);
    if (read_topic != NULL) {
        peer->reader = bus_reader_new(peer->loop, conf, read_topic, 0, got_record, peer, NULL);
        for (int i = 0; i < PATIENCE && !bus_reader_ready(peer->reader); i++) {
            turn(peer);
        }
        assert_true(bus_reader_ready(peer->reader));
    } else {
        peer->producer = bus_producer_new(peer->loop, conf, topics, 1, NULL);
        assert_non_null(peer->producer);
    }
    return peer;
}

static void peer_free(struct peer *peer)
{
    if (peer->reader != NULL) {
        bus_reader_free(peer->reader);
    }
    bus_producer_free(peer->producer);
    loop_timer_free(peer->timer);
    loop_free(peer->loop);
    arena_free(peer->arena);
    test_free(peer);
}

static void peer_send(struct peer *peer, const void *value, size_t len)
{
    const struct bus_record record = {
        .topic = TOPIC_ANSWERED, .partition = 0, .key = "k", .key_len = 1, .value = value, .value_len = len};
    int before = peer->delivered;

    bus_produce(peer->producer, &record, delivered, peer);
    for (int i = 0; i < PATIENCE && peer->delivered == before; i++) {
        turn(peer);
    }
    assert_int_equal(peer->delivered, before + 1);
}

/* Publishes an answer for `ticket_id`. */
static void peer_answer(struct peer *peer, const char *ticket_id, const char *tenant, enum msg_kind kind)
{
    static const char *citations[] = {"kb-1"};
    static enum msg_flag flags[] = {MSG_FLAG_OVERPROMISE};
    struct msg_context_item item = {.source_id = "kb-1",
        .excerpt = "x",
        .citation_uri = "https://kb.example/1",
        .score = 0.5,
        .type = MSG_ITEM_TYPE_KB,
        .metadata = "{}",
        .title = "Refunds",
        .locale = "en"};
    struct msg_classification classification = {.category = "billing",
        .priority = MSG_PRIORITY_HIGH,
        .department = "finance",
        .sentiment = MSG_SENTIMENT_NEGATIVE,
        .confidence = 0.75,
        .reasoning_snippet = ""};
    struct msg_ticket_event *event = msg_new(&msg_ticket_event, peer->arena);
    struct msg_context *context = msg_new(&msg_context, peer->arena);
    struct msg_generation *generation = msg_new(&msg_generation, peer->arena);
    struct buf bytes;

    event->ticket.ticket_id = ticket_id;
    event->ticket.subject = "s";
    event->ticket.description = "d";
    event->ticket.customer_external_id = "c";
    event->tenant = tenant;
    event->kind = kind;
    event->state = MSG_STATE_COMPLETED_WITH_FLAGS;
    event->classification = &classification;
    event->context = context;
    context->items = &item;
    context->items_count = 1;
    event->generation = generation;
    generation->primary_draft.text = "Dear customer";
    generation->primary_draft.citations = citations;
    generation->primary_draft.citations_count = 1;
    generation->primary_draft.safety_flags = flags;
    generation->primary_draft.safety_flags_count = 1;
    buf_init(&bytes, MSG_MAX_RECORD);
    assert_true(msg_encode(&msg_ticket_event, event, &bytes, NULL));
    peer_send(peer, bytes.data, bytes.len);
    buf_fini(&bytes);
}

/* ---- our side ---- */

static struct helpdesk_client *client_new(void)
{
    struct helpdesk_options options = {
        .brokers = address, .prefix = "t.", .tenant = "acme", .embedded = true};
    struct helpdesk_error err = {0};
    struct helpdesk_client *client = helpdesk_client_new(&options, &err);

    assert_string_equal(err.text, "");
    assert_non_null(client);
    return client;
}

struct acknowledged {
    int count;
    struct helpdesk_receipt receipt;
};

static void published(void *arg, const struct helpdesk_receipt *receipt, const struct helpdesk_error *err)
{
    struct acknowledged *acknowledged = arg;

    assert_null(err);
    acknowledged->count++;
    acknowledged->receipt = *receipt;
}

static void test_publish(void **state)
{
    struct helpdesk_message message = {.from_agent = true, .text = "Hello", .at = 5};
    struct helpdesk_ticket ticket = {.subject = "Refund",
        .description = "Please",
        .customer_external_id = "C-1",
        .ticket_id = "T-1",
        .priority = "low",
        .metadata = "{\"a\": 1.0}",
        .messages = &message,
        .message_count = 1};
    struct peer *peer = peer_new(TOPIC_SUBMITTED);
    struct helpdesk_client *client = client_new();
    struct acknowledged acknowledged = {0};
    struct helpdesk_receipt receipt;

    (void)state;
    assert_true(helpdesk_publish(client, &ticket, published, &acknowledged, &receipt, NULL));
    assert_int_equal(helpdesk_client_pending(client), 1);
    assert_int_equal(acknowledged.count, 0);
    for (int i = 0; i < PATIENCE && helpdesk_client_pending(client) > 0; i++) {
        assert_true(helpdesk_client_poll(client, 100, NULL));
    }
    assert_int_equal(acknowledged.count, 1);
    assert_memory_equal(&acknowledged.receipt, &receipt, sizeof receipt);
    assert_string_equal(receipt.ticket_id, "T-1");
    assert_true(uuid_valid(receipt.correlation_id) && uuid_valid(receipt.event_id));
    for (int i = 0; i < PATIENCE && peer->seen == NULL; i++) {
        turn(peer);
    }
    assert_non_null(peer->seen);
    assert_string_equal(peer->key, "acme/T-1");
    assert_non_null(strstr(peer->headers, receipt.correlation_id));
    assert_non_null(strstr(peer->headers, "tenant=acme\nkind=ticket\nstate=accepted\n"));
    assert_string_equal(peer->seen->correlation_id, receipt.correlation_id);
    assert_string_equal(peer->seen->event_id, receipt.event_id);
    assert_string_equal(peer->seen->ticket.metadata, "{\"a\": 1.0}");
    assert_int_equal(peer->seen->ticket.priority, MSG_PRIORITY_LOW);
    assert_int_equal(peer->seen->ticket.messages[0].role, MSG_ROLE_AGENT);
    assert_int_equal(peer->seen->plan_count, 0);
    helpdesk_client_free(client);
    peer_free(peer);
}

static void test_sent_again(void **state)
{
    struct helpdesk_ticket ticket = {.subject = "s", .description = "d", .customer_external_id = "c"};
    struct helpdesk_client *client = client_new();
    struct helpdesk_receipt first, second;

    (void)state;
    assert_true(helpdesk_publish(client, &ticket, NULL, NULL, &first, NULL));
    ticket.ticket_id = first.ticket_id;
    ticket.correlation_id = first.correlation_id;
    ticket.event_id = first.event_id;
    assert_true(helpdesk_publish(client, &ticket, NULL, NULL, &second, NULL));
    assert_memory_equal(&first, &second, sizeof first);
    for (int i = 0; i < PATIENCE && helpdesk_client_pending(client) > 0; i++) {
        assert_true(helpdesk_client_poll(client, 100, NULL));
    }
    assert_int_equal(helpdesk_client_pending(client), 0);
    helpdesk_client_free(client);
}

static void test_invalid_tickets(void **state)
{
    static const struct helpdesk_message silent = {.text = NULL};
    static const struct {
        struct helpdesk_ticket ticket;
        const char *field;
    } cases[] = {
        {{.description = "d", .customer_external_id = "c"}, "subject"},
        {{.subject = " \n", .description = "d", .customer_external_id = "c"}, "subject"},
        {{.subject = "s", .customer_external_id = "c"}, "description"},
        {{.subject = "s", .description = "d"}, "customer_external_id"},
        {{.subject = "s", .description = "d", .customer_external_id = "c", .ticket_id = "a/b"}, "ticket_id"},
        {{.subject = "s", .description = "d", .customer_external_id = "c", .priority = "urgent"}, "priority"},
        {{.subject = "s", .description = "d", .customer_external_id = "c", .metadata = "[]"}, "metadata"},
        {{.subject = "s", .description = "d", .customer_external_id = "c", .event_id = "7"}, "event_id"},
        {{.subject = "s",
             .description = "d",
             .customer_external_id = "c",
             .messages = &silent,
             .message_count = 1},
            "messages[0].text"},
        {{.subject = "\xff", .description = "d", .customer_external_id = "c"}, "subject"},
    };
    struct helpdesk_client *client = client_new();

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct helpdesk_error err = {0};
        assert_false(helpdesk_publish(client, &cases[i].ticket, NULL, NULL, NULL, &err));
        assert_int_equal(err.disposition, HELPDESK_REJECT);
        assert_non_null(strstr(err.text, cases[i].field));
    }
    assert_int_equal(helpdesk_client_pending(client), 0);
    helpdesk_client_free(client);
}

struct answers {
    int calls;
    int refuse; /* so many calls return HELPDESK_RETRY first */
    char ids[200];
};

static enum helpdesk_disposition answered(void *arg, const struct helpdesk_answer *answer)
{
    struct answers *answers = arg;

    answers->calls++;
    if (answers->calls <= answers->refuse) {
        return HELPDESK_RETRY;
    }
    size_t used = strlen(answers->ids);
    snprintf(answers->ids + used, sizeof answers->ids - used, "%s ", answer->ticket_id);
    assert_string_equal(answer->state, "completed_with_flags");
    assert_string_equal(answer->classification->priority, "high");
    assert_string_equal(answer->primary_draft->text, "Dear customer");
    assert_string_equal(answer->primary_draft->citations[0], "kb-1");
    assert_string_equal(answer->primary_draft->flags[0], "overpromise");
    assert_null(answer->alternative_draft);
    assert_string_equal(answer->sources[0].citation_uri, "https://kb.example/1");
    cJSON *json = json_parse(helpdesk_answer_json(answer), strlen(helpdesk_answer_json(answer)), NULL);
    assert_string_equal(json_str(json, "tenant"), "acme");
    cJSON_Delete(json);
    return HELPDESK_OK;
}

static void consume_until(struct answers *answers, const char *ids)
{
    struct helpdesk_client *client = client_new();
    struct helpdesk_error err = {0};

    assert_true(helpdesk_consume(client, "answers", answered, answers, NULL));
    assert_false(helpdesk_consume(client, "answers", answered, answers, &err));
    assert_string_equal(err.code, "already_consuming");
    for (int i = 0; i < PATIENCE && strcmp(answers->ids, ids) != 0; i++) {
        assert_true(helpdesk_client_poll(client, 100, NULL));
    }
    assert_string_equal(answers->ids, ids);
    assert_true(helpdesk_client_partitions(client) > 0);
    helpdesk_client_free(client);
}

static void test_answers(void **state)
{
    struct answers first = {.refuse = 1}, second = {0};
    struct peer *peer = peer_new(NULL);

    (void)state;
    peer_answer(peer, "A-1", "acme", MSG_KIND_TICKET);
    peer_answer(peer, "A-2", "acme", MSG_KIND_QUESTION);
    peer_answer(peer, "A-3", "other", MSG_KIND_TICKET);
    peer_send(peer, "junk", 4);
    peer_answer(peer, "A-4", "acme", MSG_KIND_TICKET);
    consume_until(&first, "A-1 A-4 ");
    assert_int_equal(first.calls, 3);
    /* What was taken is committed: another member of the group starts behind it. */
    peer_answer(peer, "A-5", "acme", MSG_KIND_TICKET);
    consume_until(&second, "A-5 ");
    peer_free(peer);
}

static enum helpdesk_disposition ends(void *arg, const struct helpdesk_answer *answer)
{
    (void)arg;
    (void)answer;
    return HELPDESK_FATAL;
}

static void test_callback_ends_the_client(void **state)
{
    struct helpdesk_client *client = client_new();
    struct helpdesk_error err = {0};
    struct peer *peer = peer_new(NULL);
    bool ok = true;

    (void)state;
    peer_answer(peer, "B-1", "acme", MSG_KIND_TICKET);
    assert_true(helpdesk_consume(client, "ends", ends, NULL, NULL));
    for (int i = 0; i < PATIENCE && ok; i++) {
        ok = helpdesk_client_poll(client, 100, &err);
    }
    assert_false(ok);
    assert_string_equal(err.code, "callback_failed");
    assert_int_equal(err.disposition, HELPDESK_FATAL);
    helpdesk_client_free(client);
    peer_free(peer);
}

static void test_bad_options(void **state)
{
    struct helpdesk_error err = {0};

    (void)state;
    unsetenv("HELPDESK_KAFKA_BROKERS");
    unsetenv("KAFKA_BOOTSTRAP_SERVERS");
    assert_null(helpdesk_client_new(NULL, &err)); /* no brokers anywhere */
    assert_int_equal(err.disposition, HELPDESK_FATAL);
    assert_true(strlen(err.text) > 0);
    assert_null(helpdesk_client_new(NULL, NULL));
    helpdesk_client_free(NULL);
}

static int start(void **state)
{
    struct buf problems;

    (void)state;
    buf_init(&problems, 4096);
    conf = conf_load(NULL, &problems);
    buf_fini(&problems);
    if (conf == NULL) {
        return -1;
    }
    conf_set(conf, "kafka.embedded", "true", NULL);
    conf_set(conf, "kafka.prefix", "t.", NULL);
    conf_set(conf, "kafka.partitions", "1", NULL);
    broker = broker_new(conf, address, sizeof address, NULL);
    conf_set(conf, "kafka.brokers", address, NULL);
    return broker != NULL ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    broker_free(broker);
    conf_free(conf);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_publish),
        cmocka_unit_test(test_sent_again),
        cmocka_unit_test(test_invalid_tickets),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_callback_ends_the_client),
        cmocka_unit_test(test_bad_options),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
