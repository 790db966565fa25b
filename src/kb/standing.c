/* One statement looks all passages up by their places, all answers by their tickets, and compares the words.
 */
#include "kb/standing.h"

#include <string.h>

#define TICKET "ticket/" /* before the id of a past ticket */

struct asking {
    struct arena *arena;
    size_t count;
    kb_stood *done;
    void *arg;
};

/* Where passages may be, as columns: an id does not tell where the source's name ends and the key begins. */
struct places {
    const char **numbers, **sources, **keys, **ordinals, **excerpts;
    size_t count;
};

static size_t most_places(const struct kb_found *found, size_t count)
{
    size_t most = 1;
    for (size_t i = 0; i < count; i++) {
        most += strlen(found[i].source_id);
    }
    return most;
}

static void add_places(
    struct arena *arena, struct places *places, const struct kb_found *found, size_t number)
{
    const char *id = found->source_id, *hash = strrchr(id, '#');
    size_t digits = hash ? strspn(hash + 1, "0123456789") : 0;
    if (digits == 0 || digits > 9 || hash[1 + digits]) { /* no passage of ours */
        return;
    }
    for (const char *slash = strchr(id, '/'); slash && slash < hash; slash = strchr(slash + 1, '/')) {
        size_t at = places->count++;
        places->numbers[at] = arena_printf(arena, "%zu", number);
        places->sources[at] = arena_strndup(arena, id, (size_t)(slash - id));
        places->keys[at] = arena_strndup(arena, slash + 1, (size_t)(hash - slash - 1));
        places->ordinals[at] = hash + 1;
        places->excerpts[at] = found->excerpt;
    }
}

/* Answers, as columns. */
struct past {
    const char **numbers, **tickets, **excerpts;
    size_t count;
};

static void add_answer(struct arena *arena, struct past *past, const struct kb_found *found, size_t number)
{
    if (strncmp(found->source_id, TICKET, strlen(TICKET)) == 0) {
        size_t at = past->count++;
        past->numbers[at] = arena_printf(arena, "%zu", number);
        past->tickets[at] = found->source_id + strlen(TICKET);
        past->excerpts[at] = found->excerpt;
    }
}

static void on_stood(void *arg, const struct db_result *result, const struct error *err)
{
    struct asking *asking = arg;
    if (err) {
        asking->done(asking->arg, NULL, 0, err);
        return;
    }
    int64_t revision = 0;
    bool *stands = arena_array(asking->arena, asking->count + 1, sizeof(*stands));
    for (size_t i = 0; i < asking->count; i++) {
        stands[i] = false;
    }
    for (int row = 0; row < db_rows(result); row++) {
        int64_t number = db_value(result, row, 1) ? db_int(result, row, 1) : -1;
        revision = db_int(result, row, 0);
        if (number >= 0 && (size_t)number < asking->count) {
            stands[number] = true;
        }
    }
    asking->done(asking->arg, stands, revision, NULL);
}

void kb_standing(struct db *db, struct arena *arena, const char *tenant, const struct kb_found *found,
    size_t count, kb_stood *done, void *arg)
{
    size_t most = most_places(found, count);
    struct places places = {.numbers = arena_array(arena, most, sizeof(char *)),
        .sources = arena_array(arena, most, sizeof(char *)),
        .keys = arena_array(arena, most, sizeof(char *)),
        .ordinals = arena_array(arena, most, sizeof(char *)),
        .excerpts = arena_array(arena, most, sizeof(char *))};
    struct asking *asking = ARENA_NEW(arena, struct asking);
    *asking = (struct asking){.arena = arena, .count = count, .done = done, .arg = arg};
    struct past past = {.numbers = arena_array(arena, count + 1, sizeof(char *)),
        .tickets = arena_array(arena, count + 1, sizeof(char *)),
        .excerpts = arena_array(arena, count + 1, sizeof(char *))};
    for (size_t i = 0; i < count; i++) {
        if (found[i].answer) {
            add_answer(arena, &past, &found[i], i);
        } else {
            add_places(arena, &places, &found[i], i);
        }
    }
    struct db_query query = {
        .sql =
            "SELECT coalesce(r.revision, 0), f.number FROM (SELECT 1) one "
            "LEFT JOIN kb_revisions r ON r.tenant = $1 LEFT JOIN ("
            "SELECT a.number FROM unnest($2::int[], $3::text[], $4::text[], $5::int[], $6::text[]) "
            "a (number, source, object_key, ordinal, excerpt) "
            "JOIN kb_passages p ON (p.tenant, p.source, p.object_key, p.ordinal) "
            "= ($1, a.source, a.object_key, a.ordinal) "
            "JOIN kb_documents d ON (d.tenant, d.source, d.object_key) = ($1, a.source, a.object_key) "
            "AND (d.expires_at IS NULL OR d.expires_at > now()) "
            "WHERE strpos(p.text, a.excerpt) > 0 UNION ALL "
            "SELECT a.number FROM unnest($7::int[], $8::text[], $9::text[]) a (number, ticket_id, excerpt) "
            "JOIN resolutions s ON (s.tenant, s.ticket_id) = ($1, a.ticket_id) "
            "WHERE strpos(s.answer, a.excerpt) > 0) f ON true",
        .param_count = 9,
        .params = {tenant, db_text_array(arena, places.numbers, places.count),
            db_text_array(arena, places.sources, places.count),
            db_text_array(arena, places.keys, places.count),
            db_text_array(arena, places.ordinals, places.count),
            db_text_array(arena, places.excerpts, places.count),
            db_text_array(arena, past.numbers, past.count), db_text_array(arena, past.tickets, past.count),
            db_text_array(arena, past.excerpts, past.count)},
    };
    db_query(db, &query, on_stood, asking);
}
