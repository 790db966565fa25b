/* Answers of AWS's servers: JSON by base/json, XML by libxml2 without document types and without network. */
#include "aws/answer.h"

#include <libxml/parser.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/json.h"

#define KEY_MAX 256
#define TOKEN_MAX 16384

/* ---- credentials ---- */

static bool is_usable(const char *text, size_t most)
{
    size_t len = 0;
    for (; text[len] && len <= most; len++) {
        if (text[len] <= ' ' || text[len] > '~') {
            return false;
        }
    }
    return len > 0 && len <= most;
}

bool aws_found_check(const struct aws_found *found, struct error *err)
{
    const struct {
        const char *name, *value;
        size_t most;
        bool needed;
    } fields[] = {
        {"access key id", found->access_key_id, KEY_MAX, true},
        {"secret access key", found->secret_access_key, KEY_MAX, true},
        {"session token", found->session_token, TOKEN_MAX, false},
    };
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (!fields[i].value && fields[i].needed) {
            return error_set(err, ERROR_RETRY, "aws_answer", "there is no %s", fields[i].name);
        }
        if (fields[i].value && !is_usable(fields[i].value, fields[i].most)) {
            return error_set(err, ERROR_RETRY, "aws_answer",
                "the %s is not 1 to %zu printable characters without blanks", fields[i].name, fields[i].most);
        }
    }
    if (found->expires_ms != 0 && found->expires_ms <= clock_wall_ms()) {
        char when[CLOCK_RFC3339_SIZE];
        clock_format(found->expires_ms, when);
        return error_set(err, ERROR_RETRY, "aws_answer", "the credentials expired at %s", when);
    }
    return true;
}

/* `value` is what the answer has as `name`, NULL when it has none. */
static bool take_expiration(const char *name, const char *value, struct aws_found *out, struct error *err)
{
    if (value && clock_parse(value, &out->expires_ms) && out->expires_ms > 0) {
        return true;
    }
    return error_set(err, ERROR_RETRY, "aws_answer", "its %s is %s", name,
        value ? "not a date and time (RFC 3339)" : "missing");
}

/* ---- JSON ---- */

static cJSON *parse_object(const char *body, size_t len, struct error *err)
{
    struct error why = {0};
    cJSON *object = json_parse(body, len, &why);
    if (!object) {
        error_set(err, ERROR_RETRY, "aws_answer", "it is not JSON: %s", why.text);
    } else if (!cJSON_IsObject(object)) {
        error_set(err, ERROR_RETRY, "aws_answer", "it is not a JSON object");
        cJSON_Delete(object);
        object = NULL;
    }
    return object;
}

/* The member as text in the arena; NULL with `err` when it is absent or no text. */
static const char *take_member(struct arena *arena, const cJSON *object, const char *name, struct error *err)
{
    const char *value = json_str(object, name);
    if (!value) {
        error_set(err, ERROR_RETRY, "aws_answer", "its %s is %s", name,
            cJSON_GetObjectItemCaseSensitive(object, name) ? "not a string" : "missing");
    }
    return arena_strdup(arena, value);
}

bool aws_answer_json(
    struct arena *arena, const char *body, size_t len, struct aws_found *out, struct error *err)
{
    cJSON *object = parse_object(body, len, err);
    if (!object) {
        return false;
    }
    *out = (struct aws_found){0};
    bool ok = (out->access_key_id = take_member(arena, object, "AccessKeyId", err)) &&
              (out->secret_access_key = take_member(arena, object, "SecretAccessKey", err)) &&
              (out->session_token = take_member(arena, object, "Token", err)) &&
              take_expiration("Expiration", json_str(object, "Expiration"), out, err);
    cJSON_Delete(object);
    return ok && aws_found_check(out, err);
}

bool aws_answer_secret(
    struct arena *arena, const char *body, size_t len, const char **text, struct error *err)
{
    cJSON *object = parse_object(body, len, err);
    if (!object) {
        return false;
    }
    *text = take_member(arena, object, "SecretString", err);
    cJSON_Delete(object);
    return *text;
}

/* ---- what an error is called ---- */

/* A name as "com.amazonaws#ThrottlingException:http://..." has it: behind '#', before ':'. */
static void take_code(const char *value, char out[AWS_CODE_SIZE])
{
    size_t len = 0;
    const char *hash = value ? strchr(value, '#') : NULL;
    for (const char *at = hash ? hash + 1 : value; at && *at && len < AWS_CODE_SIZE - 1; at++) {
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", *at)) {
            break;
        }
        out[len++] = *at;
    }
    out[len] = '\0';
}

void aws_answer_code_json(const char *body, size_t len, char out[AWS_CODE_SIZE])
{
    cJSON *object = parse_object(body, len, NULL);
    const char *type = json_str(object, "__type");
    take_code(type ? type : json_str(object, "code"), out);
    cJSON_Delete(object);
}

bool aws_code_passes(const char *code)
{
    static const char *const passing[] = {"Throttling", "ThrottlingException", "ThrottledException",
        "RequestThrottled", "TooManyRequestsException", "InternalFailure", "InternalServiceError",
        "InternalServiceErrorException", "ServiceUnavailable", "IDPCommunicationError"};
    for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
        if (strcmp(code, passing[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- XML ---- */

/* No document type: entities are declared there, and no answer of AWS has one. */
static xmlDoc *parse_xml(const char *body, size_t len, struct error *err)
{
    xmlDoc *doc = NULL;
    if (len > 0 && len <= AWS_ANSWER_MAX && !memmem(body, len, "<!DOCTYPE", 9)) {
        doc = xmlReadMemory(body, (int)len, NULL, "UTF-8",
            XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOCDATA);
    }
    if (!doc) {
        error_set(err, ERROR_RETRY, "aws_answer", "it is not XML");
    }
    return doc;
}

static const xmlNode *child_of(const xmlNode *node, const char *name)
{
    const xmlNode *at = node ? node->children : NULL;
    while (at && (at->type != XML_ELEMENT_NODE || strcmp((const char *)at->name, name) != 0)) {
        at = at->next;
    }
    return at;
}

/* An element's text, in the arena; NULL with `err` when it is missing. */
static const char *take_element(struct arena *arena, const xmlNode *node, const char *name, struct error *err)
{
    const xmlNode *child = child_of(node, name);
    if (!child) {
        error_set(err, ERROR_RETRY, "aws_answer", "its %s is missing", name);
        return NULL;
    }
    xmlChar *content = xmlNodeGetContent(child);
    const char *text = arena_strdup(arena, content ? (const char *)content : "");
    xmlFree(content);
    return text;
}

bool aws_answer_sts(
    struct arena *arena, const char *body, size_t len, struct aws_found *out, struct error *err)
{
    xmlDoc *doc = parse_xml(body, len, err);
    if (!doc) {
        return false;
    }
    const xmlNode *result = child_of(xmlDocGetRootElement(doc), "AssumeRoleWithWebIdentityResult");
    const xmlNode *credentials = child_of(result, "Credentials");
    *out = (struct aws_found){0};
    bool ok = (out->access_key_id = take_element(arena, credentials, "AccessKeyId", err)) &&
              (out->secret_access_key = take_element(arena, credentials, "SecretAccessKey", err)) &&
              (out->session_token = take_element(arena, credentials, "SessionToken", err));
    const char *expiration = ok ? take_element(arena, credentials, "Expiration", err) : NULL;
    ok = expiration && take_expiration("Expiration", expiration, out, err);
    xmlFreeDoc(doc);
    return ok && aws_found_check(out, err);
}

void aws_answer_code_xml(const char *body, size_t len, char out[AWS_CODE_SIZE])
{
    xmlDoc *doc = parse_xml(body, len, NULL);
    struct arena *arena = arena_new(0);
    const xmlNode *error = doc ? child_of(xmlDocGetRootElement(doc), "Error") : NULL;
    take_code(take_element(arena, error, "Code", NULL), out);
    arena_free(arena);
    xmlFreeDoc(doc);
}
