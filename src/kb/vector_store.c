/* Statements of those who make vectors. */
#include "kb/vector_store.h"

#include <inttypes.h>

/* A statement under way; in the caller's arena. */
struct call {
    struct arena *arena;
    kb_vector_claimed *claimed;
    kb_vector_listed *listed;
    kb_vector_written *written;
    void *arg;
};

static struct call *call_new(struct arena *arena, void *arg)
{
    struct call *call = ARENA_NEW(arena, struct call);
    *call = (struct call){.arena = arena, .arg = arg};
    return call;
}

static const char *number(struct arena *arena, int64_t value)
{
    return arena_printf(arena, "%" PRId64, value);
}

static void on_claimed(void *arg, const struct db_result *result, const struct error *err)
{
    struct call *call = arg;
    if (err || db_rows(result) == 0) {
        call->claimed(call->arg, NULL, err);
        return;
    }
    const struct kb_vector_claim claim = {.tenant = arena_strdup(call->arena, db_value(result, 0, 0)),
        .revision = db_int(result, 0, 1),
        .model = arena_strdup(call->arena, db_value(result, 0, 2))};
    call->claimed(call->arg, &claim, NULL);
}

void kb_vectors_claim(const struct kb_vector_worker *worker, struct arena *arena, const char *model,
    kb_vector_claimed *done, void *arg)
{
    const struct db_query query = {
        .sql = "SELECT tenant, revision, model FROM kb_vectors_claim($1, $2, $3::bigint * interval '1 ms')",
        .param_count = 3,
        .params = {worker->holder, model, number(arena, worker->lease_ms)}};
    struct call *call = call_new(arena, arg);
    call->claimed = done;
    db_query(worker->db, &query, on_claimed, call);
}

static void on_listed(void *arg, const struct db_result *result, const struct error *err)
{
    struct call *call = arg;
    size_t count = result ? (size_t)db_rows(result) : 0;
    struct kb_vector_text *texts = arena_array(call->arena, count + 1, sizeof(*texts));
    for (size_t i = 0; i < count; i++) {
        texts[i].hash = arena_strdup(call->arena, db_value(result, (int)i, 0));
        texts[i].text = arena_strdup(call->arena, db_value(result, (int)i, 1));
    }
    call->listed(call->arg, texts, count, count > 0 ? db_int(result, 0, 2) : 0, err);
}

void kb_vectors_missing(struct db *db, struct arena *arena, const char *tenant, const char *model, size_t max,
    kb_vector_listed *done, void *arg)
{
    const struct db_query query = {
        .sql = "SELECT encode(m.text_hash, 'hex'), t.body, m.missing FROM ("
               "SELECT p.text_hash, count(*) OVER () AS missing FROM kb_passages p WHERE p.tenant = $1 "
               "AND NOT EXISTS (SELECT 1 FROM kb_vectors v "
               "WHERE (v.tenant, v.model, v.text_hash) = ($1, $2, p.text_hash) "
               "AND (v.vector IS NOT NULL OR v.made_at > now() - interval '1 hour')) "
               "GROUP BY p.text_hash LIMIT $3::int) m CROSS JOIN LATERAL ("
               "SELECT kb_embedded_text(d.title, p.heading_path, p.text) AS body "
               "FROM kb_passages p JOIN kb_documents d USING (tenant, source, object_key) "
               "WHERE p.tenant = $1 AND p.text_hash = m.text_hash LIMIT 1) t",
        .param_count = 3,
        .params = {tenant, model, number(arena, (int64_t)max)}};
    struct call *call = call_new(arena, arg);
    call->listed = done;
    db_query(db, &query, on_listed, call);
}

static void on_written(void *arg, const struct db_result *result, const struct error *err)
{
    struct call *call = arg;
    call->written(call->arg, result && db_rows(result) == 1 && db_bool(result, 0, 0), err);
}

static void write(
    struct db *db, struct arena *arena, const struct db_query *query, kb_vector_written *done, void *arg)
{
    struct call *call = call_new(arena, arg);
    call->written = done;
    db_query(db, query, on_written, call);
}

void kb_vectors_put(const struct kb_vector_worker *worker, struct arena *arena, const char *tenant,
    const char *model, const struct kb_vector_made *made, size_t count, kb_vector_written *done, void *arg)
{
    const char **hashes = arena_array(arena, count, sizeof(*hashes));
    const char **vectors = arena_array(arena, count, sizeof(*vectors));
    const char **whys = arena_array(arena, count, sizeof(*whys));
    for (size_t i = 0; i < count; i++) {
        hashes[i] = made[i].hash;
        vectors[i] = made[i].vector;
        whys[i] = made[i].why;
    }
    const struct db_query query = {.sql = "SELECT kb_vectors_put($1, $2, $3::bigint * interval '1 ms', $4, "
                                          "$5::text[], $6::text[], $7::text[])",
        .param_count = 7,
        .params = {tenant, worker->holder, number(arena, worker->lease_ms), model,
            db_text_array(arena, hashes, count), db_text_array(arena, vectors, count),
            db_text_array(arena, whys, count)}};
    write(worker->db, arena, &query, done, arg);
}

void kb_vectors_done(const struct kb_vector_worker *worker, struct arena *arena, const char *tenant,
    const char *model, int64_t revision, kb_vector_written *done, void *arg)
{
    const struct db_query query = {.sql = "SELECT kb_vectors_done($1, $2, $3, $4::bigint)",
        .param_count = 4,
        .params = {tenant, worker->holder, model, number(arena, revision)}};
    write(worker->db, arena, &query, done, arg);
}

/* A change may be seen only some time after the moment it names. */
void kb_vectors_prune(struct db *db, struct arena *arena, kb_vector_written *done, void *arg)
{
    const struct db_query query = {
        .sql = "WITH due AS MATERIALIZED (SELECT b.tenant FROM kb_vector_bases b "
               "WHERE b.pruned_at < now() - interval '1 minute' AND b.lease_until <= now() "
               "AND ((SELECT h.changed_at FROM kb_history h WHERE h.tenant = b.tenant "
               "ORDER BY h.revision DESC LIMIT 1) > b.pruned_at - interval '1 minute' "
               "OR EXISTS (SELECT 1 FROM kb_vectors v WHERE v.tenant = b.tenant "
               "AND v.unneeded_since < now() - interval '1 day')) "
               "ORDER BY b.pruned_at LIMIT 1 FOR UPDATE OF b SKIP LOCKED) "
               "SELECT true, kb_vectors_prune(tenant, true) FROM due"};
    write(db, arena, &query, done, arg);
}

void kb_vectors_later(const struct kb_vector_worker *worker, struct arena *arena, const char *tenant,
    int64_t wait_ms, kb_vector_written *done, void *arg)
{
    const struct db_query query = {
        .sql = "UPDATE kb_vector_bases SET lease_until = '-infinity', "
               "retry_at = now() + $3::bigint * interval '1 ms' WHERE tenant = $1 AND holder = $2 "
               "RETURNING true",
        .param_count = 3,
        .params = {tenant, worker->holder, number(arena, wait_ms)}};
    write(worker->db, arena, &query, done, arg);
}
