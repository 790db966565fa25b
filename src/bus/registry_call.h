/* One call to a schema registry and the reading of its answer: Confluent's REST API ("Schema Registry API
 * Reference"), which Karapace, Apicurio and Redpanda offer too. Private to src/bus. */
#ifndef HELPDESK_BUS_REGISTRY_CALL_H
#define HELPDESK_BUS_REGISTRY_CALL_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/error.h"
#include "conf/conf.h"

/* Where it is; from the settings schemas.registry and schemas.registry-auth. */
struct registry_server {
    char *url;  /* without a slash at its end */
    char *auth; /* the header line, or NULL; a secret */
};

/* Whether the settings of the registry go together. False: ERROR_FATAL "setting_conflict". */
bool registry_check_settings(const struct conf *conf, struct error *err);

/* False: ERROR_FATAL "setting_invalid". Ended with registry_server_fini in either case. */
bool registry_server_init(struct registry_server *server, const struct conf *conf, struct error *err);
void registry_server_fini(struct registry_server *server);

/* ---- calls ----
 *
 * Any thread; they block, 5 s at most. All fail with ERROR_RETRY "registry_unavailable" when no answer of a
 * registry's own came (away, 5xx, 401, a page that is not its). */

/* The schema's text of an id, appended to `schema`. ERROR_REJECT "schema_unknown": the registry has no such
 * id; "schema_invalid": not Avro, with references, or too large. */
bool registry_fetch_schema(
    const struct registry_server *server, uint32_t id, struct buf *schema, struct error *err);
/* The id that `schema` has under `subject`; -1: it is not there. */
bool registry_find_schema(const struct registry_server *server, const char *subject, const char *schema,
    int64_t *id, struct error *err);
/* Whether the registry would take it. ERROR_FATAL "schema_incompatible" with the registry's reason. */
bool registry_try_schema(
    const struct registry_server *server, const char *subject, const char *schema, struct error *err);
/* Registers it. ERROR_FATAL "schema_incompatible", or "schema_refused" for another reason of the registry. */
bool registry_add_schema(const struct registry_server *server, const char *subject, const char *schema,
    int64_t *id, struct error *err);

/* ---- reading answers; bytes of any kind ---- */

struct registry_answer {
    int status;        /* of HTTP */
    int code;          /* the registry's error_code (40403: no such schema), 0 for none */
    char message[240]; /* what it says of an error, "" for none */
    cJSON *body;       /* with status 200 */
};

/* False, and nothing to be freed: ERROR_RETRY "registry_unavailable" for what is not a registry's answer. */
bool registry_answer_read(
    struct registry_answer *answer, int status, const char *text, size_t len, struct error *err);
void registry_answer_fini(struct registry_answer *answer);
/* Of an answer with status 200. ERROR_REJECT "schema_invalid" as registry_fetch_schema, or ERROR_RETRY. */
bool registry_answer_schema(const struct registry_answer *answer, struct buf *schema, struct error *err);
bool registry_answer_id(const struct registry_answer *answer, int64_t *id, struct error *err);
/* `why` is "" when it is compatible. */
bool registry_answer_compatible(
    const struct registry_answer *answer, bool *compatible, char why[240], struct error *err);

#endif
