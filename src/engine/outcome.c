/* What becomes of a job: the one place that maps an outcome and an error's disposition to an action. */
#include "engine/outcome.h"

#include <inttypes.h>
#include <string.h>
#include "base/clock.h"
#include "engine/letter.h"

#define ERROR_PREFIX LETTER_PREFIX
#define ERROR_HEADERS 8
#define OUTAGE_SUFFIX "_unavailable"

bool outcome_outage(enum engine_outcome outcome, const struct error *err)
{
    if (outcome != ENGINE_FAILED || !err || err->disposition != ERROR_RETRY) {
        return false;
    }
    size_t len = strlen(err->code);
    size_t suffix = strlen(OUTAGE_SUFFIX);
    return len > suffix && strcmp(err->code + len - suffix, OUTAGE_SUFFIX) == 0;
}

enum outcome_action outcome_action(
    enum engine_outcome outcome, const struct error *err, int attempt, const struct retry_policy *policy)
{
    if (outcome == ENGINE_DONE) {
        return ACTION_COMMIT;
    }
    if (outcome == ENGINE_SKIP) {
        return ACTION_SKIP;
    }
    switch (err->disposition) {
    case ERROR_RETRY:
        return attempt <= policy->retries || outcome_outage(outcome, err) ? ACTION_RETRY : ACTION_DEAD_LETTER;
    case ERROR_REJECT:
        return ACTION_DEAD_LETTER;
    default: /* a failure that does not say what it is, is a bug */
        return ACTION_STOP;
    }
}

const char *outcome_action_name(enum outcome_action action)
{
    static const char *const names[] = {"done", "skip", "retry", "dead", "stop"};
    return names[action];
}

static void add_header(struct bus_header *headers, size_t *count, const char *name, const char *value)
{
    headers[(*count)++] = (struct bus_header){.name = name, .value = value, .len = strlen(value)};
}

struct bus_record outcome_dead_letter(struct arena *arena, const char *stage, const struct bus_record *record,
    const struct error *err, int attempts)
{
    struct bus_header *headers = arena_array(arena, record->header_count + ERROR_HEADERS, sizeof(*headers));
    size_t count = 0;
    for (size_t i = 0; i < record->header_count; i++) {
        if (strncmp(record->headers[i].name, ERROR_PREFIX, strlen(ERROR_PREFIX)) != 0) {
            headers[count++] = record->headers[i];
        }
    }
    add_header(headers, &count, ERROR_PREFIX "stage", stage);
    add_header(headers, &count, ERROR_PREFIX "class", arena_strdup(arena, err->code));
    add_header(headers, &count, ERROR_PREFIX "message", arena_strdup(arena, err->text));
    add_header(headers, &count, ERROR_PREFIX "attempts", arena_printf(arena, "%d", attempts));
    add_header(headers, &count, ERROR_PREFIX "topic", arena_strdup(arena, record->topic));
    add_header(headers, &count, ERROR_PREFIX "partition", arena_printf(arena, "%" PRId32, record->partition));
    add_header(headers, &count, ERROR_PREFIX "offset", arena_printf(arena, "%" PRId64, record->offset));
    char now[CLOCK_RFC3339_SIZE];
    clock_format(clock_wall_ms(), now);
    add_header(headers, &count, ERROR_PREFIX "at", arena_strdup(arena, now));
    struct bus_record letter = *record;
    letter.topic = arena_printf(arena, "%s.dead", stage);
    letter.partition = -1;
    letter.headers = headers;
    letter.header_count = count;
    if (letter.timestamp < 0) {
        letter.timestamp = 0; /* a record without one */
    }
    return letter;
}
