/* The tickets of an export: columns under the names that other systems use, labels in ours. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "cmd/evaluate.h"
#include "cmd/import_file.h"

#define SUBJECT_BYTES 80 /* of a description that stands in for a subject */
#define RECORD_ARENA ((size_t)64 << 20)

const char *const evaluate_label_names[EVALUATE_LABELS] = {"category", "priority", "department", "sentiment"};

enum field {
    CATEGORY,
    PRIORITY,
    DEPARTMENT,
    SENTIMENT,
    ID,
    SUBJECT,
    BODY,
    LOCALE,
    CUSTOMER,
    CREATED,
    FIELDS
};

static const struct {
    enum field field;
    const char *name;
} columns[] = {{SUBJECT, "subject"}, {SUBJECT, "title"}, {SUBJECT, "summary"}, {BODY, "description"},
    {BODY, "body"}, {BODY, "text"}, {BODY, "message"}, {BODY, "question"}, {CATEGORY, "category"},
    {CATEGORY, "label"}, {CATEGORY, "intent"}, {PRIORITY, "priority"}, {DEPARTMENT, "department"},
    {DEPARTMENT, "team"}, {DEPARTMENT, "queue"}, {SENTIMENT, "sentiment"}, {LOCALE, "locale"},
    {LOCALE, "language"}, {CUSTOMER, "customer"}, {CUSTOMER, "customer_id"},
    {CUSTOMER, "customer_external_id"}, {CUSTOMER, "requester"}, {CREATED, "created_at"},
    {CREATED, "created"}, {CREATED, "date"}, {ID, "ticket_id"}, {ID, "id"}, {ID, "external_ticket_id"}};

static void add_note(struct evaluate *evaluate, const char *note)
{
    if (evaluate->note_count < EVALUATE_MAX_NOTES) {
        evaluate->notes[evaluate->note_count++] = note;
    } else if (evaluate->note_count == EVALUATE_MAX_NOTES) {
        evaluate->notes[evaluate->note_count++] = "further notes are left out";
    }
}

static void bad_row(struct evaluate *evaluate, size_t line, const char *why)
{
    evaluate->bad_rows++;
    add_note(evaluate, arena_printf(evaluate->arena, "line %zu is left out: %s", line, why));
}

static enum field field_of(const char *name)
{
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        if (strcasecmp(columns[i].name, name) == 0) {
            return columns[i].field;
        }
    }
    return FIELDS;
}

/* Says which columns mean nothing, and which mean what another already does. */
static void take_header(struct evaluate *evaluate, const struct import_record *record)
{
    bool seen[FIELDS] = {0};
    for (size_t i = 0; i < record->count; i++) {
        enum field field = field_of(record->names[i]);
        if (field == FIELDS || seen[field]) {
            add_note(evaluate, arena_printf(evaluate->arena, "column %.100s is ignored: %s", record->names[i],
                                   field == FIELDS ? "it is not known" : "an earlier one means the same"));
        } else {
            seen[field] = true;
        }
    }
    for (size_t i = 0; i < EVALUATE_LABELS; i++) {
        evaluate->labelled[i] = seen[i];
    }
}

static void take_fields(const struct import_record *record, const char *fields[FIELDS])
{
    for (size_t i = 0; i < record->count; i++) {
        enum field field = field_of(record->names[i]);
        if (field != FIELDS && fields[field] == NULL && record->values[i] != NULL &&
            !utf8_blank(record->values[i])) {
            fields[field] = record->values[i];
        }
    }
}

/* 2026-11-22T10:00:00Z, 2026-11-22 10:00:00 or 2026-11-22; without an offset in UTC. */
static bool parse_time(struct arena *arena, const char *text, int64_t *at)
{
    char *iso = arena_strdup(arena, text);
    if (strlen(iso) > 10 && iso[10] == ' ') {
        iso[10] = 'T';
    }
    return clock_parse(iso, at) || clock_parse(arena_printf(arena, "%sZ", iso), at) ||
           clock_parse(arena_printf(arena, "%sT00:00:00Z", iso), at);
}

static const char *fold_label(struct evaluate *evaluate, const char *text)
{
    return utf8_fold(evaluate->arena, utf8_trim(evaluate->arena, text));
}

/* A priority or sentiment in our words; a label that is none is told and not compared. */
static void take_choice(struct evaluate *evaluate, struct evaluate_ticket *ticket, enum evaluate_label which)
{
    const char *label = ticket->labels[which];
    enum msg_priority priority;
    enum msg_sentiment sentiment;
    bool is_priority = which == EVALUATE_PRIORITY;
    if (label == NULL) {
        return;
    }
    if (is_priority && (strcmp(label, "urgent") == 0 || strcmp(label, "normal") == 0)) {
        ticket->labels[which] = strcmp(label, "urgent") == 0 ? "critical" : "medium";
    } else if (is_priority ? !msg_priority_parse(label, &priority)
                           : !msg_sentiment_parse(label, &sentiment)) {
        add_note(
            evaluate, arena_printf(evaluate->arena, "line %zu: %s %.60s is not compared: it is none of %s",
                          ticket->line, evaluate_label_names[which], label,
                          is_priority ? "critical, high, medium, low" : "positive, neutral, negative"));
        ticket->labels[which] = NULL;
    }
}

static void take_text(
    struct evaluate *evaluate, struct evaluate_ticket *ticket, const char *subject, const char *body)
{
    struct arena *arena = evaluate->arena;
    ticket->description = arena_strdup(arena, body != NULL ? body : subject);
    ticket->subject = subject != NULL ? arena_strdup(arena, subject)
                                      : arena_strndup(arena, body, utf8_clip(body, SUBJECT_BYTES));
}

static void take_record(struct evaluate *evaluate, const struct import_record *record)
{
    const char *fields[FIELDS] = {NULL};
    take_fields(record, fields);
    if (fields[SUBJECT] == NULL && fields[BODY] == NULL) {
        bad_row(evaluate, record->line, "it has neither a subject nor a description");
        return;
    }
    struct evaluate_ticket *ticket = &evaluate->tickets[evaluate->ticket_count++];
    *ticket = (struct evaluate_ticket){.line = record->line,
        .id = fields[ID] != NULL ? arena_strdup(evaluate->arena, fields[ID]) : "",
        .customer = fields[CUSTOMER] != NULL ? arena_strdup(evaluate->arena, fields[CUSTOMER]) : "evaluate",
        .locale = arena_strdup(evaluate->arena, fields[LOCALE])};
    take_text(evaluate, ticket, fields[SUBJECT], fields[BODY]);
    for (size_t i = 0; i < EVALUATE_LABELS; i++) {
        ticket->labels[i] = fields[i] != NULL ? fold_label(evaluate, fields[i]) : NULL;
    }
    take_choice(evaluate, ticket, EVALUATE_PRIORITY);
    take_choice(evaluate, ticket, EVALUATE_SENTIMENT);
    if (fields[CREATED] != NULL) {
        ticket->has_created_at = parse_time(evaluate->arena, fields[CREATED], &ticket->created_at);
        if (!ticket->has_created_at) {
            add_note(
                evaluate, arena_printf(evaluate->arena,
                              "line %zu: its date is not used: write 2026-11-22T10:00:00Z", record->line));
        }
    }
}

static bool make_room(struct evaluate *evaluate)
{
    if (evaluate->ticket_count == evaluate->room) {
        size_t room = evaluate->room == 0 ? 64 : 2 * evaluate->room;
        struct evaluate_ticket *tickets = arena_array(evaluate->arena, room, sizeof(*tickets));
        if (evaluate->ticket_count > 0) {
            memcpy(tickets, evaluate->tickets, evaluate->ticket_count * sizeof(*tickets));
        }
        evaluate->tickets = tickets;
        evaluate->room = room;
    }
    return evaluate->ticket_count < evaluate->limit;
}

static void read_all(struct evaluate *evaluate, struct import_file *file)
{
    bool first = true;
    enum import_read read = IMPORT_BAD;
    while (read != IMPORT_END && make_room(evaluate)) {
        struct arena *arena = arena_new(RECORD_ARENA);
        struct import_record record;
        struct error why;
        read = import_file_read(file, arena, &record, &why);
        if (read == IMPORT_BAD) {
            bad_row(evaluate, record.line, why.text);
        } else if (read == IMPORT_RECORD) {
            if (first) {
                take_header(evaluate, &record);
            }
            first = false;
            take_record(evaluate, &record);
        }
        arena_free(arena);
    }
    if (read != IMPORT_END) {
        add_note(
            evaluate, arena_printf(evaluate->arena, "only the first %zu tickets are taken", evaluate->limit));
    }
}

bool evaluate_tickets_read(struct evaluate *evaluate, struct error *err)
{
    struct import_file *file = import_file_open(evaluate->file, err);
    if (file == NULL) {
        return false;
    }
    evaluate->notes = arena_array(evaluate->arena, EVALUATE_MAX_NOTES + 1, sizeof(*evaluate->notes));
    read_all(evaluate, file);
    import_file_close(file);
    return evaluate->ticket_count > 0 ||
           error_set(err, ERROR_REJECT, "no_tickets",
               "%s holds no ticket with a subject or a description: %s", evaluate->file,
               evaluate->note_count > 0 ? evaluate->notes[evaluate->note_count - 1] : "it is empty");
}
