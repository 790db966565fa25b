/* Builds the log's statements. All of them are idempotent: what comes twice changes nothing, what comes late
 * never turns a run or a ticket back. Rows are written in the order of their keys, so that two loggers do not
 * deadlock. */
#include <string.h>

#include "base/utf8.h"
#include "db/db_table.h"
#include "stages/logger_write.h"

static const char interactions_sql[] = "INSERT INTO interactions (tenant, event_id, received_at, "
                                       "correlation_id, ticket_id, kind, state, at, payload) "
                                       "SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], "
                                       "$4::text[], $5::text[], $6::text[], $7::text[], "
                                       "$8::timestamptz[], $9::jsonb[]) ON CONFLICT DO NOTHING";

/* Of the newest run only; within a run only forward: what an agent has corrected stands. A new run of a
 * ticket opens it again. */
static const char tickets_sql[] =
    "INSERT INTO tickets AS t (tenant, ticket_id, external_ticket_id, customer_external_id, subject, "
    "description, "
    "channel, locale, metadata, state, category, priority, department, sentiment, correlation_id, "
    "created_at, "
    "received_at) "
    "SELECT DISTINCT ON (x.tenant, x.ticket_id) * "
    "FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], "
    "$8::text[], "
    "$9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], "
    "$16::timestamptz[], "
    "$17::timestamptz[]) AS x(tenant, ticket_id, external_ticket_id, customer_external_id, subject, "
    "description, "
    "channel, locale, metadata, state, category, priority, department, sentiment, correlation_id, "
    "created_at, "
    "received_at) "
    "ORDER BY x.tenant, x.ticket_id, x.received_at DESC, x.correlation_id, state_rank(x.state) DESC "
    "ON CONFLICT (tenant, ticket_id) DO UPDATE SET external_ticket_id = excluded.external_ticket_id, "
    "customer_external_id = excluded.customer_external_id, subject = excluded.subject, "
    "description = excluded.description, channel = excluded.channel, locale = excluded.locale, "
    "metadata = excluded.metadata, state = excluded.state, "
    "status = CASE WHEN t.correlation_id = excluded.correlation_id THEN t.status ELSE 'open' END, "
    "category = CASE WHEN t.correlation_id = excluded.correlation_id AND (excluded.category IS NULL "
    "OR t.corrected_run = t.correlation_id AND 'category' = ANY(t.corrected)) THEN t.category ELSE "
    "excluded.category END, "
    "priority = CASE WHEN t.correlation_id = excluded.correlation_id AND (excluded.priority IS NULL "
    "OR t.corrected_run = t.correlation_id AND 'priority' = ANY(t.corrected)) THEN t.priority ELSE "
    "excluded.priority END, "
    "department = CASE WHEN t.correlation_id = excluded.correlation_id AND (excluded.department IS NULL "
    "OR t.corrected_run = t.correlation_id AND 'department' = ANY(t.corrected)) THEN t.department ELSE "
    "excluded.department END, "
    "sentiment = CASE WHEN t.correlation_id = excluded.correlation_id AND (excluded.sentiment IS NULL "
    "OR t.corrected_run = t.correlation_id AND 'sentiment' = ANY(t.corrected)) THEN t.sentiment ELSE "
    "excluded.sentiment END, "
    "correlation_id = excluded.correlation_id, created_at = "
    "excluded.created_at, received_at = "
    "excluded.received_at, "
    "updated_at = now() "
    "WHERE CASE WHEN t.correlation_id = excluded.correlation_id "
    "THEN state_rank(excluded.state) > state_rank(t.state) ELSE "
    "excluded.received_at >= t.received_at END";

/* A run belongs to the ticket that it was first seen with: nobody takes it over by its id. */
static const char runs_sql[] =
    "INSERT INTO runs AS r (tenant, correlation_id, ticket_id, event_id, kind, state, received_at, "
    "finished_at, result, "
    "published_at) "
    "SELECT DISTINCT ON (x.tenant, x.correlation_id) x.*, now() "
    "FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], "
    "$8::timestamptz[], $9::jsonb[]) "
    "AS x(tenant, correlation_id, ticket_id, event_id, kind, state, received_at, finished_at, result) "
    "ORDER BY x.tenant, x.correlation_id, state_rank(x.state) DESC "
    "ON CONFLICT (tenant, correlation_id) DO UPDATE SET published_at = coalesce(r.published_at, "
    "excluded.published_at), "
    "state = CASE WHEN state_rank(excluded.state) > state_rank(r.state) THEN excluded.state ELSE r.state "
    "END, "
    "finished_at = CASE WHEN state_rank(excluded.state) > state_rank(r.state) THEN excluded.finished_at ELSE "
    "r.finished_at END, "
    "result = CASE WHEN state_rank(excluded.state) > state_rank(r.state) THEN excluded.result ELSE r.result "
    "END "
    "WHERE r.ticket_id = excluded.ticket_id "
    "AND (r.published_at IS NULL OR state_rank(excluded.state) > state_rank(r.state))";

static const char contacts_sql[] =
    "UPDATE customers c SET last_contact = x.at "
    "FROM (SELECT tenant, external_id, least(max(at), now()) AS at "
    "FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS u(tenant, external_id, at) GROUP BY 1, 2) x "
    "WHERE c.tenant = x.tenant AND c.external_id = x.external_id AND (c.last_contact IS NULL OR "
    "c.last_contact < x.at)";

/* Only feedback that is new changes its ticket: the last word on each field counts. */
static const char feedback_sql[] =
    "WITH new AS (INSERT INTO feedback (tenant, feedback_id, ticket_id, received_at, rating, draft, outcome, "
    "ticket_status, corrected_category, corrected_priority, corrected_department, corrected_sentiment, csat, "
    "final_text, "
    "comment, agent) "
    "SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::int[], $6::text[], "
    "$7::text[], "
    "$8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::int[], $14::text[], $15::text[], "
    "$16::text[]) "
    "ON CONFLICT DO NOTHING RETURNING *), "
    "last AS (SELECT tenant, ticket_id, "
    "(array_agg(ticket_status ORDER BY received_at DESC) FILTER (WHERE ticket_status IS NOT NULL))[1] AS "
    "status, "
    "(array_agg(corrected_category ORDER BY received_at DESC) FILTER (WHERE corrected_category IS NOT "
    "NULL))[1] AS category, "
    "(array_agg(corrected_priority ORDER BY received_at DESC) FILTER (WHERE corrected_priority IS NOT "
    "NULL))[1] AS priority, "
    "(array_agg(corrected_department ORDER BY received_at DESC) FILTER (WHERE corrected_department IS NOT "
    "NULL))[1] "
    "AS department, "
    "(array_agg(corrected_sentiment ORDER BY received_at DESC) FILTER (WHERE corrected_sentiment IS NOT "
    "NULL))[1] "
    "AS sentiment FROM new GROUP BY tenant, ticket_id) "
    "UPDATE tickets t SET status = coalesce(last.status, t.status), category = coalesce(last.category, "
    "t.category), "
    "priority = coalesce(last.priority, t.priority), department = coalesce(last.department, t.department), "
    "sentiment = coalesce(last.sentiment, t.sentiment), "
    "corrected_run = t.correlation_id, corrected = ARRAY(SELECT c FROM unnest(t.corrected) c "
    "WHERE t.corrected_run = t.correlation_id UNION "
    "SELECT name FROM (VALUES ('category', last.category), "
    "('priority', last.priority), ('department', last.department), ('sentiment', last.sentiment)) "
    "AS f(name, value) WHERE value IS NOT NULL), updated_at = now() "
    "FROM last WHERE t.tenant = last.tenant AND t.ticket_id = last.ticket_id "
    "AND coalesce(last.status, last.category, last.priority, last.department, last.sentiment) IS NOT NULL";

/* Whoever rejects or escalates an answer after it was accepted takes it back. */
static const char withdrawn_sql[] =
    "DELETE FROM resolutions r USING unnest($1::text[], $2::text[], $3::timestamptz[]) AS x(tenant, "
    "ticket_id, at) "
    "WHERE r.tenant = x.tenant AND r.ticket_id = x.ticket_id AND r.accepted_at < x.at";

static const char known_sql[] =
    "SELECT x.place, t.subject, t.description, t.category, t.locale, r.result IS NOT NULL, "
    "r.result #>> '{generation,primary_draft,text}', r.result #>> '{generation,alternative_draft,text}', "
    "c.name "
    "FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS x(tenant, ticket_id, place) "
    "JOIN tickets t ON t.tenant = x.tenant AND t.ticket_id = x.ticket_id "
    "LEFT JOIN runs r ON r.tenant = t.tenant AND r.correlation_id = t.correlation_id "
    "LEFT JOIN customers c ON c.tenant = t.tenant AND c.external_id = t.customer_external_id";

static bool is_ticket(const struct logger_row *row)
{
    return row->event != NULL && row->event->kind == MSG_KIND_TICKET;
}

static bool is_contact(const struct logger_row *row)
{
    return is_ticket(row) && strcmp(row->kind, "submitted") == 0;
}

static bool is_any(const struct logger_row *row)
{
    (void)row;
    return true;
}

static bool is_run(const struct logger_row *row)
{
    return row->event != NULL;
}

static bool is_feedback(const struct logger_row *row)
{
    return row->feedback != NULL;
}

static bool is_withdrawal(const struct logger_row *row)
{
    return row->feedback != NULL && row->feedback->has_outcome &&
           (row->feedback->outcome == MSG_OUTCOME_REJECTED ||
               row->feedback->outcome == MSG_OUTCOME_ESCALATED);
}

static void put_interaction(struct arena *arena, const struct logger_row *row, const char **cells)
{
    cells[0] = row->tenant;
    cells[1] = row->event_id;
    cells[2] = db_time_cell(arena, row->received_at);
    cells[3] = row->correlation_id;
    cells[4] = row->ticket_id;
    cells[5] = row->kind;
    cells[6] = row->state;
    cells[7] = db_time_cell(arena, row->at);
    cells[8] = row->payload;
}

static void put_ticket(struct arena *arena, const struct logger_row *row, const char **cells)
{
    const struct msg_ticket *ticket = &row->event->ticket;
    const struct msg_classification *classification = row->event->classification;
    cells[0] = row->tenant;
    cells[1] = row->ticket_id;
    cells[2] = ticket->external_ticket_id;
    cells[3] = ticket->customer_external_id;
    cells[4] = ticket->subject;
    cells[5] = ticket->description;
    cells[6] = ticket->channel;
    cells[7] = ticket->locale != NULL ? ticket->locale : "";
    cells[8] = ticket->metadata;
    cells[9] = row->state;
    cells[11] = ticket->has_priority ? msg_priority_name(ticket->priority) : NULL;
    if (classification != NULL) {
        cells[10] = classification->category;
        cells[11] = msg_priority_name(classification->priority);
        cells[12] = classification->department;
        cells[13] = msg_sentiment_name(classification->sentiment);
    }
    cells[14] = row->correlation_id;
    cells[15] = db_time_cell(arena, ticket->created_at);
    cells[16] = db_time_cell(arena, row->received_at);
}

static void put_run(struct arena *arena, const struct logger_row *row, const char **cells)
{
    cells[0] = row->tenant;
    cells[1] = row->correlation_id;
    cells[2] = row->ticket_id;
    cells[3] = row->event->event_id;
    cells[4] = msg_kind_name(row->event->kind);
    cells[5] = row->state;
    cells[6] = db_time_cell(arena, row->received_at);
    cells[7] = row->result != NULL ? db_time_cell(arena, row->at) : NULL;
    cells[8] = row->result;
}

static void put_contact(struct arena *arena, const struct logger_row *row, const char **cells)
{
    cells[0] = row->tenant;
    cells[1] = row->event->ticket.customer_external_id;
    cells[2] = db_time_cell(arena, row->received_at);
}

static void put_feedback(struct arena *arena, const struct logger_row *row, const char **cells)
{
    const struct msg_feedback *feedback = row->feedback;
    cells[0] = row->tenant;
    cells[1] = feedback->feedback_id;
    cells[2] = row->ticket_id;
    cells[3] = db_time_cell(arena, row->received_at);
    cells[4] = feedback->has_rating ? arena_printf(arena, "%d", (int)feedback->rating) : NULL;
    cells[5] = feedback->has_draft ? msg_draft_choice_name(feedback->draft) : NULL;
    cells[6] = feedback->has_outcome ? msg_outcome_name(feedback->outcome) : NULL;
    cells[7] = feedback->has_ticket_status ? msg_ticket_status_name(feedback->ticket_status) : NULL;
    cells[8] = feedback->corrected_category;
    cells[9] = feedback->corrected_priority;
    cells[10] = feedback->corrected_department;
    cells[11] = feedback->corrected_sentiment;
    cells[12] = feedback->has_csat ? arena_printf(arena, "%d", (int)feedback->csat) : NULL;
    cells[13] = feedback->final_text;
    cells[14] = feedback->comment;
    cells[15] = feedback->agent;
}

static void put_withdrawal(struct arena *arena, const struct logger_row *row, const char **cells)
{
    cells[0] = row->tenant;
    cells[1] = row->ticket_id;
    cells[2] = db_time_cell(arena, row->received_at);
}

/* The tables, which rows go into each, and how. */
static const struct statement {
    const char *sql;
    size_t columns;
    bool (*wants)(const struct logger_row *row);
    void (*put)(struct arena *arena, const struct logger_row *row, const char **cells);
} statements[] = {
    {interactions_sql, 9, is_any, put_interaction},
    {tickets_sql, 17, is_ticket, put_ticket},
    {runs_sql, 9, is_run, put_run},
    {contacts_sql, 3, is_contact, put_contact},
    {feedback_sql, 16, is_feedback, put_feedback},
    {withdrawn_sql, 3, is_withdrawal, put_withdrawal},
};

size_t logger_write_queries(struct arena *arena, const struct logger_row *const *rows, size_t count,
    const struct resolution *resolutions, size_t resolution_count,
    struct db_query queries[LOGGER_MAX_QUERIES])
{
    size_t made = 0;
    for (size_t s = 0; s < sizeof(statements) / sizeof(statements[0]); s++) {
        struct db_table table;
        db_table_init(&table, arena, statements[s].columns);
        for (size_t i = 0; i < count; i++) {
            if (statements[s].wants(rows[i])) {
                statements[s].put(arena, rows[i], db_table_row(&table));
            }
        }
        if (table.rows > 0) {
            queries[made] = (struct db_query){.sql = statements[s].sql};
            db_table_params(&table, &queries[made++]);
        }
    }
    if (resolution_count > 0) {
        resolution_store(arena, resolutions, resolution_count, &queries[made++]);
    }
    return made;
}

void logger_known_query(
    struct arena *arena, const struct logger_row *const *rows, size_t count, struct db_query *query)
{
    struct db_table table;
    db_table_init(&table, arena, 2);
    for (size_t i = 0; i < count; i++) {
        const char **cells = db_table_row(&table);
        cells[0] = rows[i]->tenant;
        cells[1] = rows[i]->ticket_id;
    }
    *query = (struct db_query){.sql = known_sql};
    db_table_params(&table, query);
}

void logger_known_read(
    struct arena *arena, const struct db_result *result, struct logger_known *known, size_t count)
{
    memset(known, 0, count * sizeof(*known));
    for (int row = 0; row < db_rows(result); row++) {
        size_t place = (size_t)db_int(result, row, 0) - 1;
        if (place < count) {
            known[place] = (struct logger_known){.ticket = true,
                .answered = db_bool(result, row, 5),
                .subject = arena_strdup(arena, db_value(result, row, 1)),
                .problem = arena_strdup(arena, db_value(result, row, 2)),
                .category = arena_strdup(arena, db_value(result, row, 3)),
                .locale = arena_strdup(arena, db_value(result, row, 4)),
                .customer = arena_strdup(arena, db_value(result, row, 8)),
                .drafts = {arena_strdup(arena, db_value(result, row, 6)),
                    arena_strdup(arena, db_value(result, row, 7))}};
        }
    }
}

static bool is_accepted(const struct msg_feedback *feedback)
{
    return feedback->has_outcome &&
           (feedback->outcome == MSG_OUTCOME_ACCEPTED || feedback->outcome == MSG_OUTCOME_EDITED);
}

static bool has_final_text(const struct msg_feedback *feedback)
{
    return feedback->final_text != NULL && !utf8_blank(feedback->final_text);
}

bool logger_feedback_must_wait(const struct msg_feedback *feedback, const struct logger_known *known)
{
    bool corrects = feedback->corrected_category != NULL || feedback->corrected_priority != NULL ||
                    feedback->corrected_department != NULL || feedback->corrected_sentiment != NULL;
    if (!known->ticket) {
        return feedback->has_ticket_status || corrects || is_accepted(feedback);
    }
    return !known->answered && is_accepted(feedback) && !has_final_text(feedback);
}

bool logger_feedback_resolution(struct arena *arena, const struct voices *voices,
    const struct msg_feedback *feedback, const struct logger_known *known, struct resolution *resolution)
{
    if (!known->ticket || !is_accepted(feedback)) {
        return false;
    }
    const char *answer = feedback->final_text;
    if (!has_final_text(feedback)) {
        /* An edited draft was sent in words that nobody told: they cannot be cited. */
        bool as_drafted = feedback->outcome == MSG_OUTCOME_ACCEPTED;
        answer = as_drafted ? known->drafts[feedback->has_draft ? feedback->draft : MSG_DRAFT_CHOICE_PRIMARY]
                            : NULL;
    }
    if (answer == NULL || utf8_blank(answer)) {
        return false;
    }
    *resolution = (struct resolution){.tenant = feedback->tenant,
        .ticket_id = feedback->ticket_id,
        .subject = known->subject,
        .problem = known->problem,
        .answer = answer,
        .category = feedback->corrected_category != NULL ? feedback->corrected_category : known->category,
        .locale = known->locale,
        .customer = known->customer,
        .accepted_at = feedback->received_at};
    return resolution_clean(arena, voices, resolution);
}
