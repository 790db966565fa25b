/* libhelpdesk: publish tickets to helpdesk and consume its answers, straight over Kafka.
 *
 * A program makes a client, publishes and consumes with it, and calls helpdesk_client_poll in a loop: every
 * callback runs inside that call, on the thread that makes it. A client belongs to one thread; several
 * clients may live on several threads. All text is UTF-8, all times are milliseconds since the epoch, in UTC.
 *
 * Ownership: what a program hands in is copied before the call returns; what a callback is handed is borrowed
 * until the callback returns. The structs that a program fills start as all zeroes: `struct helpdesk_ticket
 * ticket = {0};`.
 *
 * The library logs warnings as JSON lines on standard error, without texts and ids of customers, and makes
 * the process ignore SIGPIPE. Settings of the helpdesk program apply too (`helpdesk --help`): the
 * environment, and the file that HELPDESK_CONFIG names; helpdesk_options win over both. */
#ifndef HELPDESK_HELPDESK_H
#define HELPDESK_HELPDESK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- errors ---- */

/* What the one who hears of an error does about it. */
enum helpdesk_disposition {
    HELPDESK_OK,     /* no error */
    HELPDESK_RETRY,  /* weather: the same may succeed later */
    HELPDESK_REJECT, /* this input can never succeed */
    HELPDESK_FATAL,  /* this client cannot go on */
};

struct helpdesk_error {
    enum helpdesk_disposition disposition;
    char code[40];          /* stable: "ticket_invalid", "record_too_large", "broker_unavailable" ... */
    char text[400];         /* one sentence for a person; names the field; holds no customer's text */
    int64_t retry_after_ms; /* with HELPDESK_RETRY: not before that; 0 when unknown */
};

/* ---- a client ---- */

struct helpdesk_client;

struct helpdesk_options {
    const char *brokers; /* "host:port,..."; NULL: setting kafka.brokers */
    const char *prefix;  /* of topics and groups; NULL: setting kafka.prefix, by default "helpdesk." */
    const char *tenant;  /* whose tickets and answers; NULL: setting tenant, by default "default" */
    bool embedded;       /* the broker is that of `helpdesk up` or `helpdesk broker` */
};

/* Starts a client; it looks for an absent broker until one is there. `options` may be NULL. NULL:
 * HELPDESK_FATAL in `err`, which may be NULL here and everywhere. */
struct helpdesk_client *helpdesk_client_new(
    const struct helpdesk_options *options, struct helpdesk_error *err);

/* Does what there is to do and calls the callbacks that are due. Returns as soon as callbacks have been
 * called, at the latest after `timeout_ms`; 0: without waiting. Not from a callback. False: HELPDESK_FATAL in
 * `err`, the client can only be freed. */
bool helpdesk_client_poll(struct helpdesk_client *client, int timeout_ms, struct helpdesk_error *err);

/* Commits what was consumed, leaves the group and ends the client; takes up to ten seconds. Callbacks of
 * tickets that are not acknowledged yet are called with HELPDESK_RETRY: whether those tickets arrived is
 * unknown. Poll until helpdesk_client_pending is 0 first. NULL is fine. Not from a callback. */
void helpdesk_client_free(struct helpdesk_client *client);

/* ---- publishing tickets ---- */

struct helpdesk_message {
    bool from_agent; /* else from the customer */
    const char *text;
    int64_t at; /* 0: unknown */
};

struct helpdesk_ticket {
    const char *subject;              /* required, not blank */
    const char *description;          /* required, not blank */
    const char *customer_external_id; /* required, not blank */
    const char *ticket_id;            /* 1-128 characters, no '/', no control characters; NULL: minted */
    const char *external_ticket_id;   /* or NULL */
    const char *channel;              /* a short token; NULL: "email" */
    const char *priority;             /* "critical", "high", "medium" or "low": a hint; NULL: none */
    const char *locale;               /* BCP 47: "de-DE"; NULL: detected from the text */
    const char *metadata;             /* a JSON object, kept byte for byte; NULL: "{}" */
    int64_t created_at;               /* 0: now */
    const struct helpdesk_message *messages; /* the conversation so far, oldest first */
    size_t message_count;
    bool auto_generated; /* made by a machine: logged, never drafted */
    bool use_stronger_model;
    const char *correlation_id; /* both from the receipt of an earlier try: the same ticket sent again is */
    const char *event_id;       /* processed as the same event. NULL: minted. UUIDs. */
};

#define HELPDESK_ID_SIZE 37         /* a UUID as text */
#define HELPDESK_TICKET_ID_SIZE 513 /* 128 characters of UTF-8 */

struct helpdesk_receipt {
    char ticket_id[HELPDESK_TICKET_ID_SIZE];
    char correlation_id[HELPDESK_ID_SIZE]; /* the answer carries it */
    char event_id[HELPDESK_ID_SIZE];
};

/* Called once for every ticket that helpdesk_publish took: `err` is NULL when all replicas have it.
 * HELPDESK_RETRY: it may or may not have arrived; publish it again with the receipt's ids. */
typedef void helpdesk_published(
    void *arg, const struct helpdesk_receipt *receipt, const struct helpdesk_error *err);

/* Publishes a ticket. True: taken, `published` (or NULL) will be called by a later poll, and `receipt` (or
 * NULL) holds its ids. False: nothing was sent: HELPDESK_REJECT "ticket_invalid", "ticket_too_large" or
 * "record_too_large" naming the field. */
bool helpdesk_publish(struct helpdesk_client *client, const struct helpdesk_ticket *ticket,
    helpdesk_published *published, void *arg, struct helpdesk_receipt *receipt, struct helpdesk_error *err);

/* Tickets taken and not yet acknowledged. */
size_t helpdesk_client_pending(const struct helpdesk_client *client);

/* ---- consuming answers ---- */

struct helpdesk_draft {
    const char *text;
    double confidence;            /* 0..1 */
    bool ready;                   /* may be sent without a person looking at it */
    const char *const *citations; /* source_id of sources, in order of first use */
    size_t citation_count;
    const char *const *flags; /* "pii_detected", "overpromise" ... */
    size_t flag_count;
    const char *const *not_ready_because;
    size_t not_ready_count;
};

struct helpdesk_source {
    const char *source_id;
    const char *type;  /* "kb", "order", "ticket" or "rule" */
    const char *title; /* may be "" */
    const char *excerpt;
    const char *citation_uri; /* may be "" */
    double score;             /* relevance 0..1 */
};

struct helpdesk_classification {
    const char *category;
    const char *priority; /* "critical", "high", "medium" or "low" */
    const char *department;
    const char *sentiment; /* "positive", "neutral" or "negative" */
    double confidence;     /* 0..1 */
};

struct helpdesk_answer {
    const char *tenant;
    const char *ticket_id;
    const char *external_ticket_id; /* or NULL */
    const char *customer_external_id;
    const char *subject;
    const char *locale;         /* of the drafts; or NULL */
    const char *correlation_id; /* the receipt's */
    const char *event_id;
    int64_t received_at;
    const char *state;           /* "completed", "completed_with_flags", "escalated_low_confidence",
                                    "fallback_guardrail_failure",           "degraded" or "failed" */
    const char *failure_code;    /* of "failed", else NULL */
    const char *failure_message; /* of "failed", for a user; else NULL */
    const struct helpdesk_classification *classification; /* or NULL */
    const struct helpdesk_source *sources;                /* what the drafts rest on */
    size_t source_count;
    const struct helpdesk_draft *primary_draft;     /* or NULL: nothing was drafted */
    const struct helpdesk_draft *alternative_draft; /* or NULL */
    const char *const *next_steps;
    size_t next_step_count;
};

/* Called for each answer of the tenant, in order for each ticket. An answer may come again after a crash or a
 * move of its partition: tell it by event_id. What is returned decides: HELPDESK_OK: done; it is committed
 * soon after. HELPDESK_RETRY: it comes again, after a second at first, half a minute at last; those behind it
 * in its partition wait. HELPDESK_REJECT: it is left out, with a warning in the log. HELPDESK_FATAL: the
 * client ends, nothing of it is committed. */
typedef enum helpdesk_disposition helpdesk_answered(void *arg, const struct helpdesk_answer *answer);

/* Consumes answers as a member of `group`: its members share the answers, and each group gets all of them. A
 * new group starts with the oldest answer that is kept. Answers of questions (the HTTP API's /classify,
 * /context and /respond) are not among them, what cannot be decoded is left out with a warning. Once per
 * client. */
bool helpdesk_consume(struct helpdesk_client *client, const char *group, helpdesk_answered *answered,
    void *arg, struct helpdesk_error *err);

/* Partitions of answers that this member holds; 0 until the group has settled. */
size_t helpdesk_client_partitions(const struct helpdesk_client *client);

/* The whole answer as one JSON object: every field of schemas/avro/ticket_event.avsc, provenance included.
 * Inside the callback only; borrowed until it returns. */
const char *helpdesk_answer_json(const struct helpdesk_answer *answer);

#ifdef __cplusplus
}
#endif

#endif
