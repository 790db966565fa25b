/* Cleans accepted answers and stores them with their full-text index. */
#include <string.h>

#include "base/utf8.h"
#include "db/db_table.h"
#include "guard/redact.h"
#include "model/phrases.h"
#include "stages/resolution.h"

#define SUBJECT_MAX 500
#define PROBLEM_MAX 4000
#define ANSWER_MAX 8000
#define LETTER_MAX 32000 /* of an answer with its greeting and signature */

/* Before the cut: half a number would not be found. */
static const char *redact(struct arena *arena, const char *text, const char *name, size_t max)
{
    const char *redacted = redact_name(arena, redact_text(arena, text), name);
    return arena_strndup(arena, redacted, utf8_clip(redacted, max));
}

bool resolution_clean(struct arena *arena, const struct voices *voices, struct resolution *resolution)
{
    resolution->subject = redact(arena, resolution->subject, resolution->customer, SUBJECT_MAX);
    resolution->problem = redact(arena, resolution->problem, resolution->customer, PROBLEM_MAX);
    const char *bare = voices_unframe(arena, voices, resolution->tenant, resolution->answer);
    const char *body = phrases_body(arena, redact(arena, bare, NULL, LETTER_MAX));
    resolution->answer = redact(arena, body, resolution->customer, ANSWER_MAX);
    return !utf8_blank(resolution->answer);
}

void resolution_store(
    struct arena *arena, const struct resolution *items, size_t count, struct db_query *query)
{
    struct db_table table;
    db_table_init(&table, arena, 8);
    for (size_t i = 0; i < count; i++) {
        const char **row = db_table_row(&table);
        row[0] = items[i].tenant;
        row[1] = items[i].ticket_id;
        row[2] = items[i].subject;
        row[3] = items[i].problem;
        row[4] = items[i].answer;
        row[5] = items[i].category != NULL ? items[i].category : "";
        row[6] = items[i].locale != NULL ? items[i].locale : "";
        row[7] = db_time_cell(arena, items[i].accepted_at);
    }
    *query = (struct db_query){
        .sql =
            "INSERT INTO resolutions AS r (tenant, ticket_id, subject, problem, answer, category, locale, "
            "accepted_at, config, tsv) "
            "SELECT DISTINCT ON (x.tenant, x.ticket_id) x.*, locale_config(x.locale), "
            "setweight(to_tsvector(locale_config(x.locale), x.subject), 'A') || "
            "setweight(to_tsvector(locale_config(x.locale), x.problem), 'B') || "
            "setweight(to_tsvector(locale_config(x.locale), x.answer), 'C') "
            "FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], "
            "$8::timestamptz[]) AS x(tenant, ticket_id, subject, problem, answer, category, locale, "
            "accepted_at) "
            "WHERE NOT EXISTS (SELECT 1 FROM feedback f WHERE f.tenant = x.tenant AND f.ticket_id = "
            "x.ticket_id AND f.outcome IN ('rejected', 'escalated') AND f.received_at > x.accepted_at) "
            "ORDER BY x.tenant, x.ticket_id, x.accepted_at DESC "
            "ON CONFLICT (tenant, ticket_id) DO UPDATE SET subject = excluded.subject, problem = "
            "excluded.problem, "
            "answer = excluded.answer, category = excluded.category, locale = excluded.locale, "
            "accepted_at = excluded.accepted_at, config = excluded.config, tsv = excluded.tsv "
            "WHERE excluded.accepted_at >= r.accepted_at"};
    db_table_params(&table, query);
}
