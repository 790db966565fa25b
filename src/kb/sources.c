/* Reads which sources there are, strictly. */
#include "kb/sources.h"

#include <stdio.h>
#include <string.h>
#include "aws/endpoint.h"
#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"
#include "blob/glob.h"
#include "model/language.h"

#define NAME_MAX_BYTES 64
#define TENANT_MAX_BYTES 64
#define PLACE_MAX_BYTES 2048

/* Where in the file we are, for messages. */
struct reader {
    const struct conf *conf;
    struct arena *arena;
    struct error *err;
    int index; /* of the source */
};

static bool wrong(struct reader *reader, const char *member, const char *right)
{
    return error_set(reader->err, ERROR_FATAL, "kb_sources", "%s: sources[%d].%.60s %s",
        conf_name(CONF_KB_SOURCES), reader->index, member, right);
}

/* ---- single members ---- */

static bool one_line(const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c < 0x20 || *c == 0x7f) {
            return false;
        }
    }
    return true;
}

/* A text of at most `max` bytes; without it `fallback`, NULL: it must be there. */
static bool read_text(struct reader *reader, const cJSON *source, const char *member, size_t max,
    const char *fallback, const char **out)
{
    const cJSON *json = cJSON_GetObjectItemCaseSensitive(source, member);
    const char *text = json ? cJSON_GetStringValue(json) : fallback;
    if (!text || strlen(text) > max || !one_line(text) || (json && utf8_blank(text))) {
        char right[120];
        (void)snprintf(right, sizeof(right), "must be one line of text, not blank, of at most %zu bytes%s",
            max, fallback ? "" : "; it may not be left out");
        return wrong(reader, member, right);
    }
    *out = arena_strdup(reader->arena, text);
    return true;
}

static bool read_flag(struct reader *reader, const cJSON *source, const char *member, bool *out)
{
    const cJSON *json = cJSON_GetObjectItemCaseSensitive(source, member);
    *out = cJSON_IsTrue(json);
    return !json || cJSON_IsBool(json) || wrong(reader, member, "must be true or false");
}

static bool read_globs(
    struct reader *reader, const cJSON *source, const char *member, const char *const **out, size_t *count)
{
    static const char right[] =
        "must be an array of up to 100 patterns, such as \"guides/**/*.md\", of 1 to 256 bytes each";
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(source, member), *entry;
    int size = cJSON_GetArraySize(list);
    if (list && (!cJSON_IsArray(list) || size > KB_SOURCE_MAX_GLOBS)) {
        return wrong(reader, member, right);
    }
    const char **globs = arena_array(reader->arena, (size_t)size + 1, sizeof(*globs));
    cJSON_ArrayForEach(entry, list)
    {
        const char *glob = cJSON_GetStringValue(entry);
        if (!glob || !*glob || strlen(glob) > GLOB_MAX) {
            return wrong(reader, member, right);
        }
        globs[(*count)++] = arena_strdup(reader->arena, glob);
    }
    *out = globs;
    return true;
}

/* What all passages are shown with already, in the same place. */
static bool metadata_name_taken(const char *name)
{
    return !strcmp(name, "title") || !strcmp(name, "citation_uri") || !strcmp(name, "locale");
}

static bool read_metadata(struct reader *reader, const cJSON *source, const char **out)
{
    const cJSON *json = cJSON_GetObjectItemCaseSensitive(source, "metadata"), *entry;
    bool ok = !json || cJSON_IsObject(json);
    cJSON_ArrayForEach(entry, json)
    {
        ok = ok && cJSON_IsString(entry) && *entry->string && !metadata_name_taken(entry->string);
    }
    struct buf text;
    buf_init(&text, KB_SOURCE_MAX_METADATA);
    if (ok && json) {
        json_put_and_delete(&text, cJSON_Duplicate(json, true));
        ok = !text.failed;
    }
    *out = arena_strdup(reader->arena, text.len > 0 ? buf_text(&text) : "{}");
    buf_fini(&text);
    return ok || wrong(reader, "metadata",
                     "must be an object of texts, of at most 1024 bytes in all, none of them called title, "
                     "citation_uri or locale");
}

/* ---- what they may be ---- */

static bool name_valid(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t len = strlen(name);
    return len > 0 && len <= NAME_MAX_BYTES && strspn(name, allowed) == len;
}

static bool check_s3(struct reader *reader, const struct blob_place *place)
{
    static const char capitals[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    if (strncmp(place->place, BLOB_S3_SCHEME, strlen(BLOB_S3_SCHEME)) != 0) {
        return !*place->endpoint || wrong(reader, "endpoint", "is for places in S3 only");
    }
    if (*place->region && !aws_region_valid(place->region)) {
        return wrong(reader, "region", "must be a region, such as eu-central-1");
    }
    size_t len = strlen(place->storage_class);
    return (len > 0 && len < 64 && strspn(place->storage_class, capitals) == len) ||
           wrong(reader, "storage_class", "must be a storage class of S3, such as INTELLIGENT_TIERING");
}

static bool check(struct reader *reader, const struct kb_source *source)
{
    if (!name_valid(source->place.name)) {
        return wrong(reader, "name", "must be 1 to 64 letters, digits, '.', '_' or '-'");
    }
    if (strchr(source->tenant, '/')) {
        return wrong(reader, "tenant", "must be 1 to 64 bytes, not blank, without '/'");
    }
    if (*source->locale && !language_tag_valid(source->locale)) {
        return wrong(reader, "locale", "must be a language by its BCP 47 tag, such as en or de-AT");
    }
    return check_s3(reader, &source->place);
}

static bool check_members(struct reader *reader, const cJSON *source)
{
    static const char *const known[] = {"note", "name", "place", "endpoint", "region", "path_style", "tenant",
        "locale", "include", "exclude", "public_url", "storage_class", "metadata", NULL};
    const cJSON *entry;
    if (!cJSON_IsObject(source)) {
        return wrong(reader, "", "must be an object");
    }
    cJSON_ArrayForEach(entry, source)
    {
        size_t i = 0;
        for (; known[i] && strcmp(known[i], entry->string) != 0; i++) {
        }
        if (!known[i]) {
            return wrong(reader, entry->string,
                "is not known; there are name, place, endpoint, region, path_style, tenant, locale, "
                "include, exclude, public_url, storage_class, metadata and note");
        }
    }
    return true;
}

static bool read_source(struct reader *reader, const cJSON *json, struct kb_source *out)
{
    struct blob_place *place = &out->place;
    const char *tenant = conf_text(reader->conf, CONF_TENANT);
    const char *storage_class = conf_text(reader->conf, CONF_KB_STORAGE_CLASS);
    return check_members(reader, json) &&
           read_text(reader, json, "name", NAME_MAX_BYTES, NULL, &place->name) &&
           read_text(reader, json, "place", PLACE_MAX_BYTES, NULL, &place->place) &&
           read_text(reader, json, "endpoint", PLACE_MAX_BYTES, "", &place->endpoint) &&
           read_text(reader, json, "region", NAME_MAX_BYTES, "", &place->region) &&
           read_flag(reader, json, "path_style", &place->path_style) &&
           read_text(reader, json, "storage_class", NAME_MAX_BYTES, storage_class, &place->storage_class) &&
           read_text(reader, json, "tenant", TENANT_MAX_BYTES, tenant, &out->tenant) &&
           read_text(reader, json, "locale", NAME_MAX_BYTES, "", &out->locale) &&
           read_text(reader, json, "public_url", PLACE_MAX_BYTES, "", &out->public_url) &&
           read_metadata(reader, json, &out->metadata) &&
           read_globs(reader, json, "include", &place->include, &place->include_count) &&
           read_globs(reader, json, "exclude", &place->exclude, &place->exclude_count) && check(reader, out);
}

/* ---- the file ---- */

static bool read_sources(struct reader *reader, const cJSON *list, struct kb_sources *out)
{
    const cJSON *entry;
    int size = cJSON_GetArraySize(list);
    if (!cJSON_IsArray(list) || size == 0 || size > KB_SOURCES_MAX) {
        return error_set(reader->err, ERROR_FATAL, "kb_sources", "%s: must be an array of 1 to %d sources",
            conf_name(CONF_KB_SOURCES), KB_SOURCES_MAX);
    }
    out->items = arena_array(reader->arena, (size_t)size, sizeof(*out->items));
    cJSON_ArrayForEach(entry, list)
    {
        struct kb_source *source = &out->items[out->count];
        if (!read_source(reader, entry, source)) {
            return false;
        }
        for (size_t i = 0; i < out->count; i++) {
            if (!strcmp(out->items[i].place.name, source->place.name)) {
                return wrong(reader, "name", "is the name of another source");
            }
        }
        out->count++;
        reader->index++;
    }
    return true;
}

static struct kb_sources *sources_new(void)
{
    struct arena *arena = arena_new(0);
    struct kb_sources *sources = ARENA_NEW(arena, struct kb_sources);
    sources->arena = arena;
    return sources;
}

struct kb_sources *kb_sources_parse(const char *json, size_t len, const struct conf *conf, struct error *err)
{
    struct error problem = {0};
    cJSON *root = json_parse(json, len, &problem);
    if (!root) {
        error_set(err, ERROR_FATAL, "kb_sources", "%s: %s", conf_name(CONF_KB_SOURCES), problem.text);
        return NULL;
    }
    struct kb_sources *sources = sources_new();
    struct reader reader = {.conf = conf, .arena = sources->arena, .err = err};
    bool ok = read_sources(&reader, root, sources);
    cJSON_Delete(root);
    if (!ok) {
        kb_sources_free(sources);
        return NULL;
    }
    return sources;
}

static struct kb_sources *load_file(const char *path, const struct conf *conf, struct error *err)
{
    struct buf text;
    buf_init(&text, KB_SOURCES_MAX_FILE);
    const char *why = file_read(path, &text);
    struct kb_sources *sources = NULL;
    if (why) {
        error_set(err, ERROR_FATAL, "kb_sources", "%s: %s: %s", conf_name(CONF_KB_SOURCES), path, why);
    } else {
        sources = kb_sources_parse(buf_text(&text), text.len, conf, err);
    }
    buf_fini(&text);
    return sources;
}

struct kb_sources *kb_sources_load(const struct conf *conf, struct error *err)
{
    const char *file = conf_text(conf, CONF_KB_SOURCES), *place = conf_text(conf, CONF_KB_SOURCE);
    if (*file && *place) {
        error_set(err, ERROR_FATAL, "kb_sources", "%s and %s are both set: one of them names the sources",
            conf_name(CONF_KB_SOURCES), conf_name(CONF_KB_SOURCE));
        return NULL;
    }
    if (*file) {
        return load_file(file, conf, err);
    }
    struct kb_sources *sources = sources_new();
    sources->items = ARENA_NEW(sources->arena, struct kb_source);
    sources->count = *place ? 1 : 0;
    sources->items[0] = (struct kb_source){
        .place = {.name = arena_strdup(sources->arena, conf_text(conf, CONF_KB_NAME)),
            .place = arena_strdup(sources->arena, place),
            .endpoint = arena_strdup(sources->arena, conf_text(conf, CONF_KB_ENDPOINT)),
            .region = arena_strdup(sources->arena, conf_text(conf, CONF_KB_REGION)),
            .storage_class = arena_strdup(sources->arena, conf_text(conf, CONF_KB_STORAGE_CLASS)),
            .path_style = conf_bool(conf, CONF_KB_PATH_STYLE)},
        .tenant = arena_strdup(sources->arena, conf_text(conf, CONF_TENANT)),
        .locale = "",
        .metadata = "{}",
        .public_url = arena_strdup(sources->arena, conf_text(conf, CONF_KB_PUBLIC_URL)),
    };
    return sources;
}

void kb_sources_free(struct kb_sources *sources)
{
    if (sources) {
        arena_free(sources->arena);
    }
}

const struct kb_source *kb_sources_find(
    const struct kb_sources *sources, const char *tenant, const char *name)
{
    const struct kb_source *found = NULL;
    for (size_t i = 0; i < sources->count; i++) {
        const struct kb_source *source = &sources->items[i];
        if (strcmp(source->tenant, tenant) != 0) {
            continue;
        }
        if (*name && !strcmp(source->place.name, name)) {
            return source;
        }
        if (!*name && found) {
            return NULL;
        }
        if (!*name) {
            found = source;
        }
    }
    return found;
}
