/* Statements that change and read the documents of the knowledge base. */
#include "kb/store.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <string.h>

#define NEWEST_MARK "(SELECT last_value FROM kb_mark_numbers)"

/* A statement under way; in the caller's arena. */
struct call {
    struct arena *arena;
    kb_changed *changed;
    kb_listed *listed;
    kb_looked_up *looked_up;
    struct kb_since *since; /* of a change */
    void *arg;
};

static struct call *call_new(struct arena *arena, void *arg)
{
    struct call *call = ARENA_NEW(arena, struct call);
    call->arena = arena;
    call->arg = arg;
    return call;
}

static const char *number(struct arena *arena, int64_t value)
{
    return arena_printf(arena, "%" PRId64, value);
}

static void on_change(void *arg, const struct db_result *result, const struct error *err)
{
    struct call *call = arg;
    enum kb_change change = KB_UNCHANGED;
    if (result && db_rows(result) == 1) {
        const char *said = db_value(result, 0, 0);
        call->since->mark = db_int(result, 0, 1);
        if (said && !strcmp(said, "changed")) {
            change = KB_CHANGED;
        } else if (said && !strcmp(said, "conflict")) {
            change = KB_CONFLICT;
        }
    }
    call->changed(call->arg, change, err);
}

static void put_passages(struct arena *arena, const struct kb_document *document, struct db_query *query)
{
    size_t count = document ? document->passage_count : 0;
    const char **paths = arena_array(arena, count + 1, sizeof(*paths));
    const char **anchors = arena_array(arena, count + 1, sizeof(*anchors));
    const char **texts = arena_array(arena, count + 1, sizeof(*texts));
    for (size_t i = 0; i < count; i++) {
        paths[i] = document->passages[i].heading_path;
        anchors[i] = kb_fragment(arena, document->passages[i].anchor);
        texts[i] = document->passages[i].text;
    }
    query->params[query->param_count++] = db_text_array(arena, paths, count);
    query->params[query->param_count++] = db_text_array(arena, anchors, count);
    query->params[query->param_count++] = db_text_array(arena, texts, count);
}

static const char *base64(struct arena *arena, const void *bytes, size_t len)
{
    unsigned char *text = arena_alloc(arena, 4 * ((len + 2) / 3) + 1);
    EVP_EncodeBlock(text, bytes, (int)len); /* a document: far below INT_MAX */
    return (const char *)text;
}

static const char *state_of(const struct kb_document *document)
{
    return !document ? "failed" : *document->withdrawn ? "withdrawn" : "ready";
}

void kb_store_put(struct db *db, struct arena *arena, struct kb_put *put, kb_changed *done, void *arg)
{
    const struct kb_document *document = put->document;
    const char *locale = document ? document->locale : "";
    struct call *call = call_new(arena, arg);
    call->changed = done;
    call->since = &put->since;
    /* Of the parameters, which db_query copies: large documents are not held once more until the end. */
    struct arena *own = arena_new(KB_PARSE_ARENA);
    struct db_query query = {
        .sql =
            "SELECT CASE said WHEN 'put' THEN kb_marked(kb_put_document($1, $2, $3, $4::bigint, $5, $6, $7, "
            "$8, $9, $10::bigint, $11::bigint, $12, $13, $14::regconfig, $15::text[], $16::text[], "
            "$17::text[], $18::bigint, decode($19, 'base64')), '{unchanged}', $1, $2, $3) ELSE said "
            "END, " NEWEST_MARK
            " FROM kb_before_put($1, $2, $3, $20::bigint, $9, $8, $12, $19::text IS NOT NULL) AS b (said)",
        .param_count = 14,
        .params = {put->place.tenant, put->place.source, put->place.key, number(own, put->since.revision),
            document ? document->title : "", put->uri, locale, put->fingerprint, put->etag,
            number(own, put->size), number(own, put->modified_ms), state_of(document),
            document ? document->withdrawn : put->why, kb_text_config(locale)},
    };
    put_passages(own, document, &query);
    query.params[query.param_count++] =
        document && document->expires_ms ? number(own, document->expires_ms) : NULL;
    query.params[query.param_count++] = put->bytes ? base64(own, put->bytes, put->byte_count) : NULL;
    query.params[query.param_count++] = number(own, put->since.mark);
    db_query(db, &query, on_change, call);
    arena_free(own);
}

void kb_store_remove(struct db *db, struct arena *arena, const struct kb_place *place, struct kb_since *since,
    kb_changed *done, void *arg)
{
    struct db_query query = {
        .sql =
            "SELECT CASE WHEN kb_unmarked($1, $2, $3, $5::bigint) THEN kb_marked(kb_remove_document($1, $2, "
            "$3, $4::bigint), '{changed,unchanged}', $1, $2, $3) ELSE 'conflict' END, " NEWEST_MARK,
        .param_count = 5,
        .params = {place->tenant, place->source, place->key, number(arena, since->revision),
            number(arena, since->mark)},
    };
    struct call *call = call_new(arena, arg);
    call->changed = done;
    call->since = since;
    db_query(db, &query, on_change, call);
}

static void on_list(void *arg, const struct db_result *result, const struct error *err)
{
    struct call *call = arg;
    struct kb_known_list list = {0};
    int rows = result ? db_rows(result) : 0;
    list.items = arena_array(call->arena, (size_t)rows + 1, sizeof(*list.items));
    for (int row = 0; row < rows; row++) {
        list.mark = db_int(result, row, 3);
        if (db_value(result, row, 0)) {
            struct kb_known *known = &list.items[list.count++];
            known->key = arena_strdup(call->arena, db_value(result, row, 0));
            known->etag = arena_strdup(call->arena, db_value(result, row, 1));
            known->revision = db_int(result, row, 2);
        }
    }
    call->listed(call->arg, result ? &list : NULL, err);
}

void kb_store_list(struct db *db, struct arena *arena, const struct kb_place *place, size_t limit, bool keep,
    kb_listed *done, void *arg)
{
    struct db_query query = {
        .sql = "SELECT d.object_key, d.etag, d.revision, m.last_value FROM kb_mark_numbers m LEFT JOIN "
               "(SELECT object_key, CASE WHEN state = 'ready' AND (expires_at <= now() "
               "OR ($5::boolean AND content IS NULL)) THEN '' ELSE etag END AS etag, revision FROM "
               "kb_documents WHERE tenant = $1 AND source = $2 AND object_key COLLATE \"C\" > "
               "$3 ORDER BY object_key COLLATE \"C\" LIMIT $4::int) d ON true "
               "ORDER BY d.object_key COLLATE \"C\"",
        .param_count = 5,
        .params = {place->tenant, place->source, place->key, number(arena, (int64_t)limit),
            keep ? "true" : "false"},
    };
    struct call *call = call_new(arena, arg);
    call->listed = done;
    db_query(db, &query, on_list, call);
}

static void on_look_up(void *arg, const struct db_result *result, const struct error *err)
{
    struct call *call = arg;
    if (err) {
        call->looked_up(call->arg, NULL, err);
        return;
    }
    const struct kb_since since = {.revision = db_int(result, 0, 0), .mark = db_int(result, 0, 1)};
    call->looked_up(call->arg, &since, NULL);
}

void kb_store_look_up(
    struct db *db, struct arena *arena, const struct kb_place *place, kb_looked_up *done, void *arg)
{
    struct db_query query = {
        .sql = "SELECT (SELECT revision FROM kb_documents WHERE tenant = $1 AND source = $2 AND object_key = "
               "$3), "
               "last_value FROM kb_mark_numbers",
        .param_count = 3,
        .params = {place->tenant, place->source, place->key},
    };
    struct call *call = call_new(arena, arg);
    call->looked_up = done;
    db_query(db, &query, on_look_up, call);
}
