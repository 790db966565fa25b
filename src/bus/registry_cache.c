/* Keeps on disk what a registry told. */
#include "bus/registry_cache.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/crash.h"
#include "base/error.h"
#include "base/log.h"
#include "base/parse.h"
#include "msg/registry.h"

#define FILE_MAX ((size_t)512 * 1024) /* the codec bounds a schema further */
#define FILE_NAME_SIZE 300

static bool make_folder(const char *path)
{
    return mkdir(path, 0755) == 0 || errno == EEXIST;
}

void registry_cache_init(struct registry_cache *cache, const struct conf *conf)
{
    const char *url = conf_text(conf, CONF_SCHEMAS_REGISTRY);
    const char *run_dir = conf_text(conf, CONF_RUN_DIR);
    char schemas[REGISTRY_CACHE_PATH];

    *cache = (struct registry_cache){.folder = ""};
    if (!conf_is_set(conf, CONF_RUN_DIR)) {
        log_info("schemas of the registry are kept in memory only: run.dir is not set");
        return;
    }
    int len = snprintf(schemas, sizeof schemas, "%s/schemas", run_dir);
    size_t used = (size_t)snprintf(cache->folder, sizeof cache->folder, "%s/", schemas);
    bool fits = len < (int)sizeof schemas && used + strlen(url) < sizeof cache->folder;
    for (; fits && *url != '\0'; url++) { /* an id means something else at another registry */
        cache->folder[used++] = isalnum((unsigned char)*url) || strchr(".-", *url) != NULL ? *url : '_';
        cache->folder[used] = '\0';
    }
    if (!fits || !make_folder(run_dir) || !make_folder(schemas) || !make_folder(cache->folder)) {
        log_warn("schemas of the registry are kept in memory only", LOG_STR("folder", cache->folder),
            LOG_STR("error", fits ? strerror(errno) : "run.dir is too long"));
        cache->folder[0] = '\0';
    }
}

/* ---- files ---- */

static bool write_all(int fd, const char *text)
{
    size_t len = strlen(text);
    size_t sent = 0;

    while (sent < len) {
        ssize_t wrote = write(fd, text + sent, len - sent);
        if (wrote < 0) {
            return false;
        }
        sent += (size_t)wrote;
    }
    return fsync(fd) == 0;
}

/* Written beside its place and moved there: a reader or a crash never meets half of it. */
static void put_file(const struct registry_cache *cache, const char *name, const char *text)
{
    char path[REGISTRY_CACHE_PATH + FILE_NAME_SIZE];
    char fresh[sizeof path + 16];

    if (cache->folder[0] == '\0') {
        return;
    }
    snprintf(path, sizeof path, "%s/%s", cache->folder, name);
    snprintf(fresh, sizeof fresh, "%s.XXXXXX", path);
    int fd = mkostemp(fresh, O_CLOEXEC);
    bool ok = fd >= 0 && write_all(fd, text) && fchmod(fd, 0644) == 0;
    if (fd >= 0) {
        ok = close(fd) == 0 && ok;
    }
    crash_point("registry.keep");
    if (!ok || rename(fresh, path) != 0) {
        log_warn(
            "a schema of the registry is not kept", LOG_STR("file", path), LOG_STR("error", strerror(errno)));
        if (fd >= 0) {
            unlink(fresh);
        }
    }
}

/* The file's bytes in `text`; false when it is away or larger. */
static bool get_file(const struct registry_cache *cache, const char *name, struct buf *text)
{
    char path[REGISTRY_CACHE_PATH + FILE_NAME_SIZE];
    char bytes[16384];
    ssize_t got;

    snprintf(path, sizeof path, "%s/%s", cache->folder, name);
    int fd = cache->folder[0] != '\0' ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    if (fd < 0) {
        return false;
    }
    while ((got = read(fd, bytes, sizeof bytes)) > 0) {
        buf_append(text, bytes, (size_t)got);
    }
    close(fd);
    return got == 0 && !text->failed;
}

/* ---- schemas by id ---- */

/* The id that a file is called by: "7.avsc". */
static bool name_id(const char *name, uint32_t *id)
{
    char digits[16];
    const char *dot = strchr(name, '.');
    int64_t number;

    if (dot == NULL || strcmp(dot, ".avsc") != 0 || (size_t)(dot - name) >= sizeof digits) {
        return false;
    }
    snprintf(digits, sizeof digits, "%.*s", (int)(dot - name), name);
    if (!parse_int64(digits, &number) || number < 0 || number > INT32_MAX) {
        return false;
    }
    *id = (uint32_t)number;
    return true;
}

static void load_schema(const struct registry_cache *cache, const char *name, uint32_t id)
{
    struct error err = {0};
    struct buf text;

    buf_init(&text, FILE_MAX);
    if (!get_file(cache, name, &text)) {
        error_set(&err, ERROR_REJECT, "schema_invalid", "not readable, or larger than %zu bytes", FILE_MAX);
    }
    if (err.disposition != ERROR_NONE || !msg_learn_id(id, buf_text(&text), text.len, &err)) {
        log_warn("a schema that was kept is left out", LOG_STR("file", name), LOG_STR("error", err.text));
    }
    buf_fini(&text);
}

void registry_cache_load(const struct registry_cache *cache)
{
    DIR *folder = cache->folder[0] != '\0' ? opendir(cache->folder) : NULL;
    const struct dirent *entry;
    uint32_t id;

    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (name_id(entry->d_name, &id)) {
            load_schema(cache, entry->d_name, id);
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
}

void registry_cache_keep_schema(const struct registry_cache *cache, uint32_t id, const char *json)
{
    char name[FILE_NAME_SIZE];

    snprintf(name, sizeof name, "%" PRIu32 ".avsc", id);
    put_file(cache, name, json);
}

/* ---- ids by subject ---- */

/* "<id> <fingerprint>" */
void registry_cache_keep_id(
    const struct registry_cache *cache, const char *subject, uint64_t fingerprint, uint32_t id)
{
    char name[FILE_NAME_SIZE];
    char line[64];

    snprintf(name, sizeof name, "%.255s.id", subject);
    snprintf(line, sizeof line, "%" PRIu32 " %016" PRIx64 "\n", id, fingerprint);
    put_file(cache, name, line);
}

bool registry_cache_find_id(
    const struct registry_cache *cache, const char *subject, uint64_t fingerprint, uint32_t *id)
{
    char name[FILE_NAME_SIZE];
    char wanted[32];
    struct buf text;
    int64_t number = -1;

    snprintf(name, sizeof name, "%.255s.id", subject);
    snprintf(wanted, sizeof wanted, "%016" PRIx64 "\n", fingerprint);
    buf_init(&text, 64);
    bool found = get_file(cache, name, &text) && text.len > 0;
    char *space = found ? strchr(text.data, ' ') : NULL;
    found = space != NULL && strcmp(space + 1, wanted) == 0;
    if (found) {
        *space = '\0';
        found = parse_int64(text.data, &number) && number >= 0 && number <= INT32_MAX;
    }
    buf_fini(&text);
    if (found) {
        *id = (uint32_t)number;
    }
    return found;
}
