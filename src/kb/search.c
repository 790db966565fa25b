/* Asks PostgreSQL how telling a query's words are, then for the texts that hold them: by the passages that
 * the words in memory name, or by the words themselves. */
#include "kb/search.h"

#include <inttypes.h>
#include <string.h>
#include "base/clock.h"
#include "kb/rank.h"
#include "kb/word_memory.h"

#define GROUPS_MAX 12   /* corpora times text search configurations */
#define CANDIDATES "60" /* with the most weight of sought terms: all are too dear for the database */
#define OTHER_LANGUAGE DB_NUMBER(WORD_OTHER_LANGUAGE)
#define UNITED VECTOR_NEAR_MAX /* texts of words and of vectors that are compared */
#define TRIES_MAX 3            /* of passages that memory names, while the base changes */

struct search {
    struct db *db;
    struct word_memory *words; /* or NULL */
    struct arena *arena;
    const struct kb_query *query;
    kb_search_done *done;
    void *arg;
    struct rank_input rank;
    struct kb_terms groups[GROUPS_MAX];
    size_t group_count;
    int pending; /* find statements under way */
    struct error err;
    struct kb_search_result result;
    int tries; /* with the words in memory */
    struct word_hit *named;
    size_t named_count;
    int64_t named_at; /* revision */
};

/* The statement that finds texts of one corpus. */
struct find {
    struct search *search;
    enum rank_by by;
    enum kb_corpus corpus;
    const struct kb_terms **group_of; /* by number of the term, from 1 */
    size_t *index_of;
    size_t term_count;
};

static const char *const corpus_names[] = {"kb", "ticket"};

/* ---- scoring ---- */

/* The terms of a hit come back as "{3,17}": numbers over all groups, of which one has the hit's
 * configuration. */
static const struct kb_terms *matched_terms(const struct find *find, const char *array, uint64_t *matched)
{
    const struct kb_terms *group = NULL;
    *matched = 0;
    for (const char *at = array; at && *at; at++) {
        size_t number = 0;
        for (; *at >= '0' && *at <= '9' && number <= find->term_count; at++) {
            number = number * 10 + (size_t)(*at - '0');
        }
        if (number > 0 && number <= find->term_count) {
            group = find->group_of[number];
            *matched |= UINT64_C(1) << find->index_of[number];
        }
        if (!*at) {
            break;
        }
    }
    return group;
}

/* ---- finding ---- */

static void finish(struct search *search)
{
    if (search->err.disposition != ERROR_NONE) {
        search->done(search->arg, NULL, &search->err);
        return;
    }
    rank_texts(search->arena, &search->rank, &search->result);
    search->done(search->arg, &search->result, NULL);
}

static void end_find(struct search *search)
{
    if (--search->pending == 0) {
        finish(search);
    }
}

/* The first error is told. */
static void take_error(struct search *search, const struct error *err)
{
    if (err && search->err.disposition == ERROR_NONE) {
        search->err = *err;
    }
}

static const char *copy(struct search *search, const struct db_result *result, int row, int column)
{
    const char *value = db_value(result, row, column);
    return value ? arena_strdup(search->arena, value) : "";
}

static struct rank_text text_of(struct search *search, const struct db_result *result, int row)
{
    return (struct rank_text){.hit = {.source_id = copy(search, result, row, 0),
                                  .title = copy(search, result, row, 1),
                                  .uri = copy(search, result, row, 2),
                                  .locale = copy(search, result, row, 3),
                                  .text = copy(search, result, row, 4),
                                  .metadata = copy(search, result, row, 6)},
        .document = copy(search, result, row, 5),
        .density = db_number(result, row, 8)};
}

static void take_row(struct find *find, const struct db_result *result, int row)
{
    struct search *search = find->search;
    bool by_words = find->by == RANK_TICKET || !db_value(result, row, 10);
    struct rank_list *list = &search->rank.found[by_words ? (enum rank_by)find->corpus : RANK_NEAR];
    struct rank_text *text = &list->items[list->count++];
    *text = text_of(search, result, row);
    text->hit.corpus = find->corpus;
    text->terms = matched_terms(find, db_value(result, row, 7), &text->matched);
    if (find->by != RANK_TICKET) {
        search->result.revision = db_int(result, row, 9);
    }
    if (!by_words) {
        text->similarity = db_number(result, row, 10);
    }
}

static void on_found(void *arg, const struct db_result *result, const struct error *err)
{
    struct find *find = arg;
    struct search *search = find->search;
    take_error(search, err);
    int rows = result ? db_rows(result) : 0;
    size_t room = (size_t)rows + 1;
    search->rank.found[find->corpus].items = arena_array(search->arena, room, sizeof(struct rank_text));
    if (find->by == RANK_NEAR) {
        search->rank.found[RANK_NEAR].items = arena_array(search->arena, room, sizeof(struct rank_text));
    }
    for (int row = 0; row < rows; row++) {
        take_row(find, result, row);
    }
    end_find(search);
}

/* Terms come in as arrays; a weight is the term's share of what the best imaginable text would score.
 * `candidates` are the texts with the most weight of sought terms; their density is BM25, with words of
 * titles and headings counting more. What is the same for all texts is worked out once: terms as queries, and
 * what a text's length counts for in its corpus. Only the texts that are shown are read. Parameter 7 is the
 * ticket's locale, 8 how many. */
#define TERMS                                                                                                \
    "WITH terms AS MATERIALIZED (SELECT t.*, kb_term(t.lexeme) AS query, "                                   \
    "0.75::float8 * c.texts / greatest(c.words, 1) AS per_word "                                             \
    "FROM unnest($2::regconfig[], $3::text[], $4::float8[], $5::boolean[]) "                                 \
    "WITH ORDINALITY AS t (config, lexeme, weight, sought, n) "                                              \
    "JOIN kb_corpora c ON (c.tenant, c.corpus, c.config) = ($1, $6, t.config)), "
#define SCORED(key)                                                                                          \
    "scored AS (SELECT " key ", array_agg(t.n) AS matched, "                                                 \
    "sum(t.weight * f.tf * 3 / (f.tf + 2 * (0.25 + length(s.tsv) * t.per_word))) AS density "                \
    "FROM candidates s CROSS JOIN LATERAL unnest(s.tsv) u JOIN terms t ON t.lexeme = u.lexeme "              \
    "AND t.config = s.config CROSS JOIN LATERAL (SELECT cardinality(u.weights) "                             \
    "+ 4 * cardinality(array_positions(u.weights, 'A')) "                                                    \
    "+ 2 * cardinality(array_positions(u.weights, 'B'))::float8 AS tf) f GROUP BY " key ") "
#define OF_LANGUAGE(locale)                                                                                  \
    "CASE WHEN split_part(translate(lower(" locale                                                           \
    "), '_', '-'), '-', 1) = split_part(translate(lower($7), '_', '-'), '-', 1) THEN 1::float8 "             \
    "ELSE " OTHER_LANGUAGE "::float8 END"
/* `judged`: the tables that `locale` is of. */
#define FIND(candidates, key, judged, locale, columns, tables, more)                                         \
    TERMS "candidates AS MATERIALIZED (" candidates " ORDER BY weight DESC LIMIT " CANDIDATES                \
          "), " SCORED(key) ", best AS (SELECT s.*, s.density * " OF_LANGUAGE(                               \
              locale) " AS worth FROM scored s " judged " ORDER BY worth DESC, " key                         \
                      " LIMIT $8::int) SELECT " columns ", s.matched, s.worth AS density" more               \
                      " FROM best s " tables " ORDER BY density DESC, 1"

#define KB_KEY "s.source, s.object_key, s.ordinal"
#define KB_COLUMNS                                                                                           \
    "p.source || '/' || p.object_key || '#' || p.ordinal, "                                                  \
    "d.title || CASE WHEN p.heading_path <> '' THEN ' > ' || p.heading_path ELSE '' END, "                   \
    "d.uri || CASE WHEN p.anchor <> '' THEN '#' || p.anchor ELSE '' END, d.locale, p.text, p.object_key, "   \
    "coalesce(o.metadata, '{}')"
#define KB_JUDGED                                                                                            \
    "JOIN kb_documents d ON (d.tenant, d.source, d.object_key) = ($1, s.source, s.object_key) "              \
    "AND (d.expires_at IS NULL OR d.expires_at > now()) "
#define KB_TABLES                                                                                            \
    KB_JUDGED                                                                                                \
    "JOIN kb_passages p ON (p.tenant, p.source, p.object_key, p.ordinal) = ($1, s.source, s.object_key, "    \
    "s.ordinal) "                                                                                            \
    "LEFT JOIN kb_scans o ON (o.tenant, o.source) = ($1, s.source)"
#define REVISION ", (SELECT revision FROM kb_revisions WHERE tenant = $1) AS revision"
#define FIND_KB                                                                                              \
    FIND("SELECT p.source, p.object_key, p.ordinal, p.config, p.tsv, sum(t.weight) AS weight "               \
         "FROM terms t JOIN kb_passages p ON p.tsv @@ t.query AND p.config = t.config "                      \
         "WHERE p.tenant = $1 AND t.sought GROUP BY p.tenant, p.source, p.object_key, p.ordinal",            \
        KB_KEY, KB_JUDGED, "d.locale", KB_COLUMNS, KB_TABLES, REVISION ", NULL::float8 AS similarity")
/* What vectors found may be of passages that are no more, or of several that say the same. */
#define FIND_NEAR                                                                                            \
    TERMS                                                                                                    \
    "candidates AS MATERIALIZED (SELECT p.source, p.object_key, p.ordinal, p.config, p.tsv, n.similarity "   \
    "FROM unnest($9::text[], $10::float8[]) n (hash, similarity) "                                           \
    "JOIN kb_passages p ON p.tenant = $1 AND p.text_hash = decode(n.hash, 'hex') "                           \
    "ORDER BY n.similarity DESC, p.source, p.object_key, p.ordinal LIMIT $8::int), " SCORED(                 \
        KB_KEY) "SELECT " KB_COLUMNS ", m.matched, coalesce(m.density, 0) * " OF_LANGUAGE("d.locale")        \
        REVISION ", s.similarity * " OF_LANGUAGE("d.locale") " FROM candidates s LEFT JOIN "                 \
                                                             "scored m USING (source, "                      \
                                                             "object_key, ordinal) " KB_TABLES

#define RESOLUTION "JOIN resolutions p ON (p.tenant, p.ticket_id) = ($1, s.ticket_id)"

/* All that is shown of the base comes from one statement, so of one revision, whose number it tells: a
 * document that is switched meanwhile is the old one or the new one in all of it. */
static const char *const find_sql[] = {
    [RANK_KB] = FIND_KB,
    [RANK_TICKET] = FIND("SELECT p.ticket_id, p.config, p.tsv, sum(t.weight) AS weight FROM terms t "
                         "JOIN resolutions p ON p.tsv @@ t.query AND p.config = t.config "
                         "WHERE p.tenant = $1 AND t.sought AND p.ticket_id <> $9 "
                         "GROUP BY p.tenant, p.ticket_id",
        "s.ticket_id", RESOLUTION, "p.locale",
        "'ticket/' || p.ticket_id, p.subject, 'ticket://' || p.ticket_id, p.locale, p.answer, p.ticket_id, "
        "'{}'",
        RESOLUTION, ""),
    [RANK_NEAR] = "(" FIND_KB ") UNION ALL (" FIND_NEAR ")",
};

static struct find *find_new(struct search *search, enum rank_by by)
{
    struct find *find = ARENA_NEW(search->arena, struct find);
    enum kb_corpus corpus = by == RANK_TICKET ? KB_CORPUS_TICKET : KB_CORPUS_KB;
    *find = (struct find){.search = search, .by = by, .corpus = corpus};
    size_t most = GROUPS_MAX * TERMS_MAX + 1;
    find->group_of = arena_array(search->arena, most, sizeof(*find->group_of));
    find->index_of = arena_array(search->arena, most, sizeof(*find->index_of));
    return find;
}

/* How many texts are found by words. */
static size_t most_of(const struct search *search, enum rank_by by)
{
    bool united = search->query->near && by != RANK_TICKET;
    return united ? UNITED : search->query->max_hits[by == RANK_TICKET ? KB_CORPUS_TICKET : KB_CORPUS_KB];
}

static void add_near(struct search *search, struct db_query *query)
{
    struct arena *arena = search->arena;
    const struct vector_near *near = search->query->near;
    const char **similarity = arena_array(arena, near->count + 1, sizeof(*similarity));
    for (size_t i = 0; i < near->count; i++) {
        similarity[i] = arena_printf(arena, "%.6f", near->similarity[i]);
    }
    query->params[query->param_count++] = db_text_array(arena, near->hashes, near->count);
    query->params[query->param_count++] = db_text_array(arena, similarity, near->count);
}

static void start_find(struct search *search, enum rank_by by)
{
    struct find *find = find_new(search, by);
    enum kb_corpus corpus = find->corpus;
    struct arena *arena = search->arena;
    const size_t most = GROUPS_MAX * TERMS_MAX;
    const char **configs = arena_array(arena, most, sizeof(*configs));
    const char **lexemes = arena_array(arena, most, sizeof(*lexemes));
    const char **weights = arena_array(arena, most, sizeof(*weights));
    const char **sought = arena_array(arena, most, sizeof(*sought));
    size_t count = 0;
    for (size_t g = 0; g < search->group_count; g++) {
        const struct kb_terms *terms = &search->groups[g];
        double best = kb_terms_best(terms);
        for (size_t i = 0; i < terms->count && !strcmp(terms->corpus, corpus_names[corpus]); i++) {
            if (terms->items[i].texts == 0) {
                continue;
            }
            configs[count] = terms->config;
            lexemes[count] = terms->items[i].lexeme;
            weights[count] = arena_printf(arena, "%.9f", best > 0 ? terms->items[i].weight / best : 0);
            sought[count++] = terms->items[i].sought ? "true" : "false";
            find->group_of[count] = terms;
            find->index_of[count] = i;
        }
    }
    find->term_count = count;
    if (count == 0 && by != RANK_NEAR) {
        return;
    }
    struct db_query query = {
        .sql = find_sql[by],
        .param_count = 8,
        .params = {search->query->tenant, db_text_array(arena, configs, count),
            db_text_array(arena, lexemes, count), db_text_array(arena, weights, count),
            db_text_array(arena, sought, count), corpus_names[corpus], search->query->locale,
            arena_printf(arena, "%zu", most_of(search, by))},
    };
    if (by == RANK_TICKET) {
        query.params[query.param_count++] = search->query->not_ticket;
    } else if (by == RANK_NEAR) {
        add_near(search, &query);
    }
    search->pending++;
    db_query(search->db, &query, on_found, find);
}

/* ---- finding by the words in memory ---- */

/* Passages by source, key and ordinal, of documents that have not changed since revision 5. */
static const char fetch_sql[] =
    "SELECT " KB_COLUMNS ", n.n, NULL, r.revision FROM (SELECT coalesce((SELECT revision FROM kb_revisions "
    "WHERE tenant = $1), 0) AS revision) r LEFT JOIN (unnest($2::text[], $3::text[], $4::int[]) WITH "
    "ORDINALITY "
    "AS n (source, object_key, ordinal, n) "
    "JOIN kb_documents d ON (d.tenant, d.source, d.object_key) = ($1, n.source, n.object_key) "
    "AND d.revision <= $5::bigint AND (d.expires_at IS NULL OR d.expires_at > now()) "
    "JOIN kb_passages p ON (p.tenant, p.source, p.object_key, p.ordinal) = ($1, n.source, n.object_key, "
    "n.ordinal) LEFT JOIN kb_scans o ON (o.tenant, o.source) = ($1, n.source)) ON true";

static void ask_memory(struct search *search, int64_t least);

/* By the words themselves. */
static void start_base(struct search *search)
{
    start_find(search, search->query->near ? RANK_NEAR : RANK_KB);
}

static struct rank_list *empty_list(struct search *search, enum rank_by by)
{
    struct rank_list *list = &search->rank.found[by];
    *list = (struct rank_list){
        .items = arena_array(search->arena, search->named_count + 1, sizeof(struct rank_text))};
    return list;
}

/* Returns how many were there. */
static size_t take_named(struct search *search, const struct db_result *result)
{
    struct rank_list *by_words = empty_list(search, RANK_KB), *by_vectors = empty_list(search, RANK_NEAR);
    for (int row = 0; row < db_rows(result); row++) {
        int64_t number = db_int(result, row, 7) - 1;
        if (number < 0 || (size_t)number >= search->named_count) {
            continue; /* the revision alone */
        }
        const struct word_hit *named = &search->named[number];
        struct rank_list *list = named->near ? by_vectors : by_words;
        struct rank_text *text = &list->items[list->count++];
        *text = text_of(search, result, row);
        text->hit.corpus = KB_CORPUS_KB;
        text->terms = named->terms;
        text->matched = named->matched;
        text->density = named->density;
        text->similarity = named->similarity;
    }
    search->result.revision = search->named_at;
    return by_words->count + by_vectors->count;
}

/* What has changed since memory was read is not among the rows: the newer state is looked through. */
static void on_fetched(void *arg, const struct db_result *result, const struct error *err)
{
    struct search *search = arg;
    if (err) {
        take_error(search, err);
        end_find(search);
        return;
    }
    size_t there = take_named(search, result);
    int64_t now = db_int(result, 0, 9);
    bool older = now < search->named_at;
    if (older) {
        word_memory_forget(search->words, search->query->tenant);
    }
    bool changed = now != search->named_at && there < search->named_count;
    if ((older || changed) && ++search->tries < TRIES_MAX) {
        search->result.revision = now; /* of what is found next, if it is nothing */
        ask_memory(search, now);
    }
    end_find(search);
}

static void fetch(struct search *search)
{
    struct arena *arena = search->arena;
    const char **sources = arena_array(arena, search->named_count, sizeof(*sources));
    const char **keys = arena_array(arena, search->named_count, sizeof(*keys));
    const char **ordinals = arena_array(arena, search->named_count, sizeof(*ordinals));
    for (size_t i = 0; i < search->named_count; i++) {
        sources[i] = search->named[i].source;
        keys[i] = search->named[i].key;
        ordinals[i] = arena_printf(arena, "%" PRIu32, search->named[i].ordinal);
    }
    const struct db_query query = {.sql = fetch_sql,
        .param_count = 5,
        .params = {search->query->tenant, db_text_array(arena, sources, search->named_count),
            db_text_array(arena, keys, search->named_count),
            db_text_array(arena, ordinals, search->named_count),
            arena_printf(arena, "%" PRId64, search->named_at)}};
    search->pending++;
    db_query(search->db, &query, on_fetched, search);
}

static void on_words(void *arg, struct word_index *index, int64_t revision)
{
    struct search *search = arg;
    search->rank.found[RANK_KB].count = search->rank.found[RANK_NEAR].count = 0; /* of the try before */
    if (!index) {
        start_base(search);
        end_find(search);
        return;
    }
    const struct word_query query = {.groups = search->groups,
        .group_count = search->group_count,
        .corpus = corpus_names[KB_CORPUS_KB],
        .locale = search->query->locale,
        .now_ms = clock_wall_ms(),
        .near = search->query->near};
    search->named_count =
        word_index_find(index, search->arena, &query, most_of(search, RANK_KB), &search->named);
    search->named_at = search->result.revision = revision;
    if (search->named_count > 0) {
        fetch(search);
    }
    end_find(search);
}

static void ask_memory(struct search *search, int64_t least)
{
    search->pending++;
    word_memory_reach(search->words, search->query->tenant, least, on_words, search);
}

/* ---- the terms ---- */

static struct kb_terms *group_for(
    struct search *search, const char *corpus, const char *config, int64_t texts)
{
    for (size_t i = 0; i < search->group_count; i++) {
        if (!strcmp(search->groups[i].corpus, corpus) && !strcmp(search->groups[i].config, config)) {
            return &search->groups[i];
        }
    }
    if (search->group_count == GROUPS_MAX) {
        return NULL;
    }
    struct kb_terms *group = &search->groups[search->group_count++];
    *group = (struct kb_terms){.corpus = arena_strdup(search->arena, corpus),
        .config = arena_strdup(search->arena, config),
        .texts = texts};
    return group;
}

static void on_terms(void *arg, const struct db_result *result, const struct error *err)
{
    struct search *search = arg;
    if (err) {
        search->done(search->arg, NULL, err);
        return;
    }
    for (int row = 0; row < db_rows(result); row++) {
        search->result.revision = db_int(result, row, 6);
        struct kb_terms *group = db_value(result, row, 0)
                                     ? group_for(search, db_value(result, row, 0), db_value(result, row, 1),
                                           db_int(result, row, 2))
                                     : NULL;
        int64_t unit = db_int(result, row, 3) - 1;
        if (group && unit >= 0 && unit < TERMS_UNITS) {
            kb_terms_add(
                search->arena, group, db_value(result, row, 4), (size_t)unit, db_int(result, row, 5));
        }
    }
    for (size_t i = 0; i < search->group_count; i++) {
        kb_terms_weigh(&search->groups[i], search->rank.units, search->rank.unit_count);
    }
    search->pending = 1; /* so that the first statement cannot be the last before the second is under way */
    if (search->words) {
        ask_memory(search, search->result.revision);
    } else {
        start_base(search);
    }
    start_find(search, RANK_TICKET);
    end_find(search);
}

void kb_search(struct db *db, struct word_memory *words, struct arena *arena, const struct kb_query *query,
    kb_search_done *done, void *arg)
{
    struct search *search = ARENA_NEW(arena, struct search);
    *search =
        (struct search){.db = db, .words = words, .arena = arena, .query = query, .done = done, .arg = arg};
    search->rank.query = query;
    search->rank.units = kb_units(arena, query->subject, query->body, &search->rank.unit_count);
    const char *texts[TERMS_UNITS];
    for (size_t i = 0; i < search->rank.unit_count; i++) {
        texts[i] = search->rank.units[i].text;
    }
    struct db_query statement = {
        .sql =
            "SELECT w.corpus, w.config, w.texts, w.unit, w.lexeme, w.found, coalesce(r.revision, 0) "
            "FROM (SELECT 1) one LEFT JOIN kb_revisions r ON r.tenant = $1 LEFT JOIN ("
            "SELECT c.corpus, c.config::text AS config, c.texts, q.unit, l.lexeme, coalesce((SELECT t.texts "
            "FROM kb_terms t WHERE (t.tenant, t.corpus, t.config, t.lexeme) "
            "= (c.tenant, c.corpus, c.config, l.lexeme)), 0) AS found "
            "FROM kb_corpora c CROSS JOIN unnest($2::text[]) WITH ORDINALITY AS q (text, unit) "
            "CROSS JOIN LATERAL unnest(to_tsvector(c.config, q.text)) l "
            "WHERE c.tenant = $1 AND c.texts > 0) w ON true",
        .param_count = 2,
        .params = {query->tenant, db_text_array(arena, texts, search->rank.unit_count)},
    };
    db_query(db, &statement, on_terms, search);
}
