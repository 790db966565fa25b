/* Calls a schema registry, and reads what it answers. */
#include "bus/registry_call.h"

#include <ctype.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/json.h"
#include "http/client.h"

#define TIMEOUT_MS 5000
#define AUTH_MAX 8192
#define PATH_MAX_BYTES 1024
#define BODY_MAX ((size_t)1024 * 1024)
#define MEDIA_TYPE "application/vnd.schemaregistry.v1+json"

/* ---- where it is ---- */

/* "user:password" is basic; a token of RFC 6750 holds no colon. */
static char *auth_line(const char *auth)
{
    size_t len = strlen(auth);
    size_t size = 64 + 2 * len;
    char *line = xmalloc(size);

    if (strchr(auth, ':') == NULL) {
        snprintf(line, size, "Authorization: Bearer %s", auth);
        return line;
    }
    int head = snprintf(line, size, "Authorization: Basic ");
    EVP_EncodeBlock((unsigned char *)line + head, (const unsigned char *)auth, (int)len);
    return line;
}

static bool is_address(const char *url)
{
    size_t scheme = strncmp(url, "http://", 7) == 0 ? 7 : strncmp(url, "https://", 8) == 0 ? 8 : 0;
    return scheme > 0 && url[scheme] != '\0' && url[scheme] != '/' && url[scheme] != ':' &&
           strpbrk(url, " ?#@\"\\") == NULL && strlen(url) < PATH_MAX_BYTES;
}

bool registry_check_settings(const struct conf *conf, struct error *err)
{
    const bool confluent = strcmp(conf_text(conf, CONF_SCHEMAS_FRAMING), "confluent") == 0;
    const struct {
        enum conf_id id;
        bool set;
    } need_it[] = {
        {CONF_SCHEMAS_FRAMING, confluent},
        {CONF_SCHEMAS_REGISTER, conf_bool(conf, CONF_SCHEMAS_REGISTER)},
        {CONF_SCHEMAS_REGISTRY_AUTH, conf_text(conf, CONF_SCHEMAS_REGISTRY_AUTH)[0] != '\0'},
    };

    for (size_t i = 0; i < sizeof need_it / sizeof need_it[0]; i++) {
        if (need_it[i].set && conf_text(conf, CONF_SCHEMAS_REGISTRY)[0] == '\0') {
            return error_set(err, ERROR_FATAL, "setting_conflict",
                "%s is set, but not %s, the registry's address: set it, or leave out the other",
                conf_name(need_it[i].id), conf_name(CONF_SCHEMAS_REGISTRY));
        }
    }
    if (conf_bool(conf, CONF_SCHEMAS_REGISTER) && !confluent) {
        return error_set(err, ERROR_FATAL, "setting_conflict",
            "%s is true, but %s is not confluent: only Confluent's framing needs ids of a registry",
            conf_name(CONF_SCHEMAS_REGISTER), conf_name(CONF_SCHEMAS_FRAMING));
    }
    return true;
}

bool registry_server_init(struct registry_server *server, const struct conf *conf, struct error *err)
{
    const char *url = conf_text(conf, CONF_SCHEMAS_REGISTRY);
    const char *auth = conf_text(conf, CONF_SCHEMAS_REGISTRY_AUTH);

    *server = (struct registry_server){.url = xstrdup(url)};
    if (!is_address(url)) {
        return error_set(err, ERROR_FATAL, "setting_invalid",
            "%s must be an http or https address such as http://registry:8081, without a query and without "
            "credentials (those go to %s)",
            conf_name(CONF_SCHEMAS_REGISTRY), conf_name(CONF_SCHEMAS_REGISTRY_AUTH));
    }
    if (strlen(auth) > AUTH_MAX || auth[0] == ':') {
        return error_set(err, ERROR_FATAL, "setting_invalid",
            "%s must be user:password, or a bearer token without a colon, of at most %d bytes",
            conf_name(CONF_SCHEMAS_REGISTRY_AUTH), AUTH_MAX);
    }
    for (size_t len = strlen(server->url); server->url[len - 1] == '/'; len--) {
        server->url[len - 1] = '\0';
    }
    server->auth = auth[0] != '\0' ? auth_line(auth) : NULL;
    return true;
}

void registry_server_fini(struct registry_server *server)
{
    if (server->auth != NULL) {
        explicit_bzero(server->auth, strlen(server->auth));
    }
    free(server->auth);
    free(server->url);
    *server = (struct registry_server){.url = NULL};
}

/* ---- reading answers ---- */

static bool not_its_own(struct error *err, int status, const char *why)
{
    return error_set(err, ERROR_RETRY, "registry_unavailable",
        "the schema registry answered %d%s%s: is schemas.registry the address of its API?", status,
        why[0] != '\0' ? ", " : "", why);
}

bool registry_answer_read(
    struct registry_answer *answer, int status, const char *text, size_t len, struct error *err)
{
    *answer = (struct registry_answer){.status = status};
    if (status == 401 || status == 403) {
        return error_set(err, ERROR_RETRY, "registry_unavailable",
            "the schema registry refuses us (%d): see schemas.registry-auth", status);
    }
    cJSON *body = json_parse(text, len, NULL);
    if (status == 200 && cJSON_IsObject(body)) {
        answer->body = body;
        return true;
    }
    const char *message = json_str(body, "message");
    snprintf(answer->message, sizeof answer->message, "%s", message != NULL ? message : "");
    double code = json_num(body, "error_code", 0);
    cJSON_Delete(body);
    /* A page that is not found comes without the registry's code: it says nothing of the schema. */
    if (status < 400 || status >= 500 || status == 408 || status == 429 || !(code >= 400 && code <= 99999)) {
        return not_its_own(err, status, answer->message);
    }
    answer->code = (int)code;
    return true;
}

void registry_answer_fini(struct registry_answer *answer)
{
    cJSON_Delete(answer->body);
    answer->body = NULL;
}

bool registry_answer_schema(const struct registry_answer *answer, struct buf *schema, struct error *err)
{
    const char *text = json_str(answer->body, "schema");
    const char *kind = json_str(answer->body, "schemaType");
    const cJSON *references = cJSON_GetObjectItemCaseSensitive(answer->body, "references");

    if (text == NULL) {
        return not_its_own(err, answer->status, "without a schema");
    }
    if (kind != NULL && strcmp(kind, "AVRO") != 0) {
        return error_set(err, ERROR_REJECT, "schema_invalid", "the schema is not Avro but %.40s", kind);
    }
    if (cJSON_GetArraySize(references) > 0) {
        return error_set(err, ERROR_REJECT, "schema_invalid",
            "the schema refers to others in the registry, which is not supported: register it in one piece");
    }
    buf_puts(schema, text);
    return !schema->failed ||
           error_set(err, ERROR_REJECT, "schema_invalid", "the schema is larger than %zu bytes", schema->max);
}

bool registry_answer_id(const struct registry_answer *answer, int64_t *id, struct error *err)
{
    double number = json_num(answer->body, "id", -1);

    if (!(number >= 0 && number <= INT32_MAX) || number != (double)(int64_t)number) {
        return not_its_own(err, answer->status, "without an id");
    }
    *id = (int64_t)number;
    return true;
}

bool registry_answer_compatible(
    const struct registry_answer *answer, bool *compatible, char why[240], struct error *err)
{
    const cJSON *verdict = cJSON_GetObjectItemCaseSensitive(answer->body, "is_compatible");
    const cJSON *messages = cJSON_GetObjectItemCaseSensitive(answer->body, "messages");
    const char *reason = json_str(answer->body, "reason"); /* Apicurio's name */

    if (!cJSON_IsBool(verdict)) {
        return not_its_own(err, answer->status, "without is_compatible");
    }
    *compatible = cJSON_IsTrue(verdict);
    if (reason == NULL) {
        reason = cJSON_GetStringValue(cJSON_GetArrayItem(messages, 0));
    }
    snprintf(why, 240, "%s",
        *compatible      ? ""
        : reason != NULL ? reason
                         : "the registry gives no further reason");
    return true;
}

/* ---- calls ---- */

/* `schema` NULL: a GET. */
static bool call(const struct registry_server *server, const char *path, const char *schema,
    struct registry_answer *answer, struct error *err)
{
    const char *headers[] = {
        "Accept: " MEDIA_TYPE ", application/json;q=0.9", "Content-Type: " MEDIA_TYPE, server->auth, NULL};
    struct http_fetch_result result;
    struct error why = {0};
    struct buf url;
    struct buf body;

    buf_init(&url, 2 * PATH_MAX_BYTES);
    buf_init(&body, BODY_MAX);
    buf_printf(&url, "%s%s", server->url, path);
    if (schema != NULL) {
        buf_puts(&body, "{\"schema\":");
        json_put_string(&body, schema);
        buf_puts(&body, "}");
    }
    const struct http_fetch_request request = {.method = schema != NULL ? "POST" : "GET",
        .url = buf_text(&url),
        .headers = headers,
        .body = schema != NULL ? buf_text(&body) : NULL,
        .body_len = body.len,
        .timeout_ms = TIMEOUT_MS};
    bool ok = http_fetch(&request, &result, &why);
    if (ok) {
        ok = registry_answer_read(answer, result.status, buf_text(&result.body), result.body.len, err);
    } else if (strcmp(why.code, "too_large") == 0) {
        error_set(err, ERROR_REJECT, "schema_invalid", "the schema registry: %s", why.text);
    } else {
        error_set(err, ERROR_RETRY, "registry_unavailable", "the schema registry at %.100s: %s", server->url,
            why.text);
    }
    http_fetch_result_fini(&result);
    buf_fini(&body);
    buf_fini(&url);
    return ok;
}

/* Whether the answer says that a subject, a version or a schema is not there. */
static bool is_missing(const struct registry_answer *answer)
{
    return answer->status == 404 && answer->code >= 40400 && answer->code < 40500;
}

/* The path of a call about a subject; names of topics need no more than this. */
static void put_path(struct buf *path, const char *before, const char *subject, const char *after)
{
    buf_init(path, PATH_MAX_BYTES);
    buf_puts(path, before);
    for (const char *c = subject; *c != '\0'; c++) {
        if (isalnum((unsigned char)*c) || strchr("-._~", *c) != NULL) {
            buf_putc(path, *c);
        } else {
            buf_printf(path, "%%%02X", (unsigned char)*c);
        }
    }
    buf_puts(path, after);
}

static bool call_subject(const struct registry_server *server, const char *before, const char *subject,
    const char *after, const char *schema, struct registry_answer *answer, struct error *err)
{
    struct buf path;

    put_path(&path, before, subject, after);
    bool ok = call(server, buf_text(&path), schema, answer, err);
    buf_fini(&path);
    return ok;
}

bool registry_fetch_schema(
    const struct registry_server *server, uint32_t id, struct buf *schema, struct error *err)
{
    struct registry_answer answer;
    char path[64];

    snprintf(path, sizeof path, "/schemas/ids/%" PRIu32, id);
    if (!call(server, path, NULL, &answer, err)) {
        return false;
    }
    bool ok = false;
    if (answer.status == 200) {
        ok = registry_answer_schema(&answer, schema, err);
    } else if (is_missing(&answer)) {
        error_set(
            err, ERROR_REJECT, "schema_unknown", "the schema registry has no schema of id %" PRIu32, id);
    } else {
        error_set(err, ERROR_REJECT, "schema_unknown", "the schema registry refuses id %" PRIu32 " (%d): %s",
            id, answer.code, answer.message);
    }
    registry_answer_fini(&answer);
    return ok;
}

/* `normalize`: a schema registered by others with its attributes in another order is still ours. */
bool registry_find_schema(const struct registry_server *server, const char *subject, const char *schema,
    int64_t *id, struct error *err)
{
    struct registry_answer answer;

    if (!call_subject(server, "/subjects/", subject, "?normalize=true", schema, &answer, err)) {
        return false;
    }
    bool ok = true;
    *id = -1;
    if (answer.status == 200) {
        ok = registry_answer_id(&answer, id, err);
    } else if (!is_missing(&answer)) {
        ok = error_set(err, ERROR_FATAL, "schema_refused", "%s: the registry cannot look our schema up: %s",
            subject, answer.message);
    }
    registry_answer_fini(&answer);
    return ok;
}

static bool incompatible(struct error *err, const char *subject, const char *why)
{
    return error_set(err, ERROR_FATAL, "schema_incompatible",
        "%s: our schema is not compatible with what is registered: %s", subject, why);
}

bool registry_try_schema(
    const struct registry_server *server, const char *subject, const char *schema, struct error *err)
{
    struct registry_answer answer;
    bool compatible = true;
    bool ok = true;
    char why[240];

    if (!call_subject(server, "/compatibility/subjects/", subject, "/versions/latest?verbose=true", schema,
            &answer, err)) {
        return false;
    }
    if (answer.status == 200) {
        ok = registry_answer_compatible(&answer, &compatible, why, err) &&
             (compatible || incompatible(err, subject, why));
    } else if (!is_missing(&answer)) { /* a new subject has nothing to be compatible with */
        ok = error_set(err, ERROR_FATAL, "schema_refused", "%s: the registry cannot check our schema: %s",
            subject, answer.message);
    }
    registry_answer_fini(&answer);
    return ok;
}

bool registry_add_schema(const struct registry_server *server, const char *subject, const char *schema,
    int64_t *id, struct error *err)
{
    struct registry_answer answer;
    bool ok = false;

    if (!call_subject(server, "/subjects/", subject, "/versions?normalize=true", schema, &answer, err)) {
        return false;
    }
    if (answer.status == 200) {
        ok = registry_answer_id(&answer, id, err);
    } else if (answer.status == 409) {
        incompatible(err, subject, answer.message);
    } else {
        error_set(err, ERROR_FATAL, "schema_refused", "%s: the registry does not take our schema: %s",
            subject, answer.message);
    }
    registry_answer_fini(&answer);
    return ok;
}
