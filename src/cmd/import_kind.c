/* The tables of importable records, and the check of one record against its table. */
#include <string.h>

#include "base/clock.h"
#include "base/parse.h"
#include "base/utf8.h"
#include "cmd/import_kind.h"
#include "db/db_table.h"

#define ID_MAX 256
#define HUGE_SUM 1e15

static const struct import_column customer_columns[] = {
    {.name = "external_id", .type = IMPORT_ID, .required = true, .text = "the customer's id in your systems"},
    {.name = "customer_id", .type = IMPORT_ID, .fallback = "=external_id", .text = "shown in answers"},
    {.name = "name", .type = IMPORT_TEXT, .required = true, .text = "full name"},
    {.name = "email", .type = IMPORT_TEXT, .required = true, .text = "e-mail address"},
    {.name = "company", .type = IMPORT_TEXT, .text = "employer"},
    {.name = "tier",
        .type = IMPORT_CHOICE,
        .fallback = "standard",
        .choices = "standard|premium|enterprise",
        .text = "contract"},
    {.name = "lifetime_value",
        .type = IMPORT_NUMBER,
        .fallback = "0",
        .min = -HUGE_SUM,
        .max = HUGE_SUM,
        .text = "money earned"},
    {.name = "avg_sentiment",
        .type = IMPORT_NUMBER,
        .fallback = "0",
        .min = -1,
        .max = 1,
        .text = "-1 angry .. 1 happy"},
    {.name = "last_contact", .type = IMPORT_TIME, .text = "the later of this and what is known is kept"},
    {.name = NULL},
};

static const struct import_column order_columns[] = {
    {.name = "order_id", .type = IMPORT_ID, .required = true, .text = "unique among your orders"},
    {.name = "customer_external_id",
        .type = IMPORT_ID,
        .required = true,
        .text = "external_id of the customer"},
    {.name = "status", .type = IMPORT_TEXT, .required = true, .text = "in your words, such as shipped"},
    {.name = "total",
        .type = IMPORT_NUMBER,
        .required = true,
        .min = -HUGE_SUM,
        .max = HUGE_SUM,
        .text = "sum to pay"},
    {.name = "currency", .type = IMPORT_ID, .fallback = "USD", .text = "ISO 4217"},
    {.name = "ordered_at", .type = IMPORT_TIME, .required = true, .text = "when"},
    {.name = "summary", .type = IMPORT_TEXT, .fallback = "", .text = "what was ordered, in one line"},
    {.name = NULL},
};

static const struct import_column ticket_columns[] = {
    {.name = "ticket_id", .type = IMPORT_ID, .required = true, .text = "unique among your tickets"},
    {.name = "external_ticket_id", .type = IMPORT_ID, .text = "its id in another system"},
    {.name = "customer_external_id",
        .type = IMPORT_ID,
        .required = true,
        .text = "external_id of the customer"},
    {.name = "subject", .type = IMPORT_TEXT, .required = true, .text = "first line"},
    {.name = "description", .type = IMPORT_TEXT, .required = true, .text = "what the customer wrote"},
    {.name = "channel", .type = IMPORT_ID, .fallback = "email", .text = "email, chat, phone, web ..."},
    {.name = "locale", .type = IMPORT_ID, .fallback = "", .text = "language as BCP 47, such as en-US"},
    {.name = "category", .type = IMPORT_ID, .text = "as in the taxonomy"},
    {.name = "priority", .type = IMPORT_CHOICE, .choices = "critical|high|medium|low", .text = "urgency"},
    {.name = "department", .type = IMPORT_ID, .text = "who answered"},
    {.name = "sentiment",
        .type = IMPORT_CHOICE,
        .choices = "positive|neutral|negative",
        .text = "of the customer"},
    {.name = "status",
        .type = IMPORT_CHOICE,
        .fallback = "closed",
        .choices = "open|pending|resolved|closed",
        .text = "now"},
    {.name = "created_at", .type = IMPORT_TIME, .required = true, .text = "when it came in"},
    {.name = "answer",
        .type = IMPORT_TEXT,
        .text = "the accepted answer: redacted, it may be cited for similar tickets"},
    {.name = "accepted_at", .type = IMPORT_TIME, .fallback = "=created_at", .text = "when that was"},
    {.name = NULL},
};

/* Of two rows with one key the later one in the file counts. */
const struct import_kind import_kinds[] = {
    {.name = "customers",
        .columns = customer_columns,
        .sql = "INSERT INTO customers AS c (tenant, external_id, customer_id, name, email, company, tier, "
               "lifetime_value, "
               "avg_sentiment, last_contact) "
               "SELECT DISTINCT ON (external_id) $1, external_id, customer_id, name, email, company, tier, "
               "lifetime_value, "
               "avg_sentiment, last_contact "
               "FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], "
               "$8::float8[], "
               "$9::float8[], $10::timestamptz[]) WITH ORDINALITY "
               "AS x(external_id, customer_id, name, email, company, tier, lifetime_value, avg_sentiment, "
               "last_contact, n) "
               "ORDER BY external_id, n DESC "
               "ON CONFLICT (tenant, external_id) DO UPDATE SET customer_id = excluded.customer_id, name = "
               "excluded.name, "
               "email = excluded.email, company = excluded.company, tier = excluded.tier, "
               "lifetime_value = excluded.lifetime_value, avg_sentiment = excluded.avg_sentiment, "
               "last_contact = greatest(c.last_contact, excluded.last_contact), updated_at = now()"},
    {.name = "orders",
        .columns = order_columns,
        .sql = "INSERT INTO orders (tenant, order_id, customer_external_id, status, total, currency, "
               "ordered_at, summary) "
               "SELECT DISTINCT ON (order_id) $1, order_id, customer_external_id, status, total, currency, "
               "ordered_at, "
               "summary "
               "FROM unnest($2::text[], $3::text[], $4::text[], $5::float8[], $6::text[], $7::timestamptz[], "
               "$8::text[]) "
               "WITH ORDINALITY AS x(order_id, customer_external_id, status, total, currency, ordered_at, "
               "summary, n) "
               "ORDER BY order_id, n DESC "
               "ON CONFLICT (tenant, order_id) DO UPDATE SET customer_external_id = "
               "excluded.customer_external_id, "
               "status = excluded.status, total = excluded.total, currency = excluded.currency, "
               "ordered_at = excluded.ordered_at, summary = excluded.summary"},
    /* A ticket that came through the pipeline is its own, newer truth. */
    {.name = "tickets",
        .columns = ticket_columns,
        .solved = true,
        .sql =
            "INSERT INTO tickets AS t (tenant, ticket_id, external_ticket_id, customer_external_id, subject, "
            "description, channel, locale, category, priority, department, sentiment, status, created_at, "
            "received_at, "
            "state) "
            "SELECT DISTINCT ON (ticket_id) $1, ticket_id, external_ticket_id, customer_external_id, "
            "subject, "
            "description, channel, locale, category, priority, department, sentiment, status, created_at, "
            "created_at, "
            "'completed' "
            "FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], "
            "$9::text[], "
            "$10::text[], $11::text[], $12::text[], $13::text[], $14::timestamptz[], $15::text[], "
            "$16::timestamptz[]) "
            "WITH ORDINALITY AS x(ticket_id, external_ticket_id, customer_external_id, subject, description, "
            "channel, "
            "locale, category, priority, department, sentiment, status, created_at, answer, accepted_at, n) "
            "ORDER BY ticket_id, n DESC "
            "ON CONFLICT (tenant, ticket_id) DO UPDATE SET external_ticket_id = excluded.external_ticket_id, "
            "customer_external_id = excluded.customer_external_id, subject = excluded.subject, "
            "description = excluded.description, channel = excluded.channel, locale = excluded.locale, "
            "category = excluded.category, priority = excluded.priority, department = excluded.department, "
            "sentiment = excluded.sentiment, status = excluded.status, created_at = excluded.created_at, "
            "received_at = excluded.received_at, updated_at = now() WHERE t.correlation_id IS NULL"},
    {.name = NULL},
};

size_t import_kind_columns(const struct import_kind *kind)
{
    size_t count = 0;
    while (kind->columns[count].name != NULL) {
        count++;
    }
    return count;
}

static bool bad_field(struct error *err, const struct import_column *column, const char *rule)
{
    return error_set(err, ERROR_REJECT, "bad_field", "%s %s", column->name, rule);
}

static bool has_control(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7F) {
            return true;
        }
    }
    return false;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t len = strlen(text);
    for (const char *at = choices; *at != '\0';) {
        size_t span = strcspn(at, "|");
        if (span == len && strncmp(at, text, len) == 0) {
            return true;
        }
        at += span + (at[span] == '|');
    }
    return false;
}

static bool check_number(
    struct arena *arena, const struct import_column *column, const char **cell, struct error *err)
{
    double value;
    if (parse_double(*cell, &value) && value >= column->min && value <= column->max) {
        return true;
    }
    return column->max < HUGE_SUM
               ? bad_field(err, column,
                     arena_printf(arena, "must be a number from %g to %g", column->min, column->max))
               : bad_field(err, column, "must be a number");
}

static bool check_cell(
    struct arena *arena, const struct import_column *column, const char **cell, struct error *err)
{
    int64_t at;
    switch (column->type) {
    case IMPORT_ID:
        return (strlen(*cell) <= ID_MAX && !has_control(*cell)) ||
               bad_field(err, column, "must be at most 256 bytes without control characters");
    case IMPORT_TEXT:
        return true;
    case IMPORT_NUMBER:
        return check_number(arena, column, cell, err);
    case IMPORT_TIME:
        if (!clock_parse(*cell, &at)) {
            return bad_field(err, column, "must be a time as 2026-11-22T10:00:00Z");
        }
        *cell = db_time_cell(arena, at);
        return true;
    case IMPORT_CHOICE:
        return is_choice(column->choices, *cell) ||
               bad_field(err, column, arena_printf(arena, "must be one of %s", column->choices));
    }
    return false;
}

static const char *find_value(const struct import_record *record, const char *name)
{
    for (size_t i = 0; i < record->count; i++) {
        if (strcmp(record->names[i], name) == 0) {
            return record->values[i];
        }
    }
    return NULL;
}

bool import_kind_read(const struct import_kind *kind, struct arena *arena, const struct import_record *record,
    const char **cells, struct error *err)
{
    for (size_t i = 0; kind->columns[i].name != NULL; i++) {
        const struct import_column *column = &kind->columns[i];
        cells[i] = find_value(record, column->name);
        if (cells[i] != NULL && !utf8_blank(cells[i])) {
            if (!check_cell(arena, column, &cells[i], err)) {
                return false;
            }
            continue;
        }
        if (column->required) {
            return bad_field(err, column, "is missing or empty");
        }
        bool copied = column->fallback != NULL && column->fallback[0] == '=';
        cells[i] = copied ? import_kind_cell(kind, cells, column->fallback + 1) : column->fallback;
    }
    return true;
}

const char *import_kind_cell(const struct import_kind *kind, const char *const *cells, const char *name)
{
    size_t i = 0;
    while (strcmp(kind->columns[i].name, name) != 0) {
        i++;
    }
    return cells[i];
}

static void help_column(const struct import_column *column, struct buf *out)
{
    static const char *const types[] = {"id", "text", "number", "time", ""};
    buf_printf(out, "  %-22s %s%s%s", column->name, types[column->type],
        column->choices != NULL ? column->choices : "", column->required ? ", required" : "");
    if (column->fallback != NULL && column->fallback[0] == '=') {
        buf_printf(out, ", default: %s", column->fallback + 1);
    } else if (column->fallback != NULL && column->fallback[0] != '\0') {
        buf_printf(out, ", default: %s", column->fallback);
    }
    buf_printf(out, "; %s\n", column->text);
}

void import_kind_help(struct buf *out)
{
    for (const struct import_kind *kind = import_kinds; kind->name != NULL; kind++) {
        buf_printf(out, "%s:\n", kind->name);
        for (const struct import_column *column = kind->columns; column->name != NULL; column++) {
            help_column(column, out);
        }
    }
}
