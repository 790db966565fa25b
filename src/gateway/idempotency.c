/* Idempotency-Key: the same key with the same body asks for the same thing again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "gateway/hash.h"
#include "gateway/internal.h"

struct key_claim {
    char body_hash[HASH_HEX_SIZE];
    idempotency_done *done;
    void *arg;
};

static void key_claimed(void *arg, const struct db_result *result, const struct error *err)
{
    struct key_claim *claim = arg;
    bool same = err == NULL && strcmp(db_value(result, 0, 0), claim->body_hash) == 0;
    claim->done(claim->arg, same ? db_value(result, 0, 1) : NULL, err);
    free(claim);
}

void idempotency_claim(struct gateway *gateway, const char *route, const char *key, const char *body,
    size_t len, const char *thing_id, idempotency_done *done, void *arg)
{
    struct key_claim *claim = xcalloc(1, sizeof *claim);
    claim->done = done;
    claim->arg = arg;
    hash_hex(body, len, claim->body_hash);
    char kept[32];
    snprintf(kept, sizeof kept, "%lld ms", (long long)conf_int(gateway->conf, CONF_GATEWAY_IDEMPOTENCY_FOR));
    struct db_query query = {
        .sql = "INSERT INTO idempotency_keys AS k (tenant, route, key, body_hash, thing_id) VALUES ($1, $2, "
               "$3, $4, $5) "
               "ON CONFLICT (tenant, route, key) DO UPDATE SET "
               "body_hash = CASE WHEN k.created_at < now() - $6::interval THEN excluded.body_hash ELSE "
               "k.body_hash END, "
               "thing_id = CASE WHEN k.created_at < now() - $6::interval THEN excluded.thing_id ELSE "
               "k.thing_id END, "
               "created_at = CASE WHEN k.created_at < now() - $6::interval THEN now() ELSE k.created_at END "
               "RETURNING body_hash, thing_id",
        .param_count = 6,
        .params = {gateway->tenant, route, key, claim->body_hash, thing_id, kept},
    };
    gateway_query(gateway, &query, key_claimed, claim);
}

void request_fail_key(struct http_request *request)
{
    http_respond_problem(
        request, 422, "This Idempotency-Key was used with another body. Send a new key with a new body.");
}
