/* Reading words of tenants by pages of documents: all of them at first, by their keys, then what has changed
 * since, by revision. */
#include "kb/word_memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include "base/alloc.h"
#include "base/log.h"
#include "base/metrics.h"

#define PAGE_DOCUMENTS 10 /* few: one may have thousands of passages */
#define TENANTS_MAX 1000

struct waiter {
    STAILQ_ENTRY(waiter) link;
    int64_t least;
    word_memory_ready *done;
    void *arg;
};

STAILQ_HEAD(waiters, waiter);

struct tenant {
    LIST_ENTRY(tenant) link;
    struct word_memory *memory;
    char *name;
    struct word_index *index; /* NULL: nothing is read yet */
    bool reading;             /* a statement is under way */
    bool walking;             /* not all documents have been read yet */
    bool whole;               /* it has the base as it was at `revision`: it can be searched */
    bool given_up;            /* for ever: said so in the log */
    int64_t revision;         /* changes up to this one have been read */
    char *last_source;        /* the document that was read last */
    char *last_key;
    struct waiters waiters;
};

struct word_memory {
    struct db *db;
    size_t max_bytes;
    LIST_HEAD(, tenant) tenants;
    int tenant_count;
    int under_way; /* statements */
    bool closing;
    struct metric *bytes, *searches[2]; /* in the database, in memory */
};

/* ---- its life ---- */

struct word_memory *word_memory_new(struct db *db, size_t max_bytes)
{
    struct word_memory *memory = xcalloc(1, sizeof(*memory));
    memory->db = db;
    memory->max_bytes = max_bytes;
    memory->bytes = metrics_gauge("helpdesk_word_bytes", "Memory of the knowledge base's words", NULL);
    for (int i = 0; i < 2; i++) {
        memory->searches[i] = metrics_counter("helpdesk_word_searches_total",
            "Searches of the knowledge base by words", i ? "in=\"memory\"" : "in=\"database\"");
    }
    return memory;
}

static void memory_free(struct word_memory *memory)
{
    struct tenant *tenant;
    while ((tenant = LIST_FIRST(&memory->tenants))) {
        LIST_REMOVE(tenant, link);
        word_index_free(tenant->index);
        free(tenant->last_source);
        free(tenant->last_key);
        free(tenant->name);
        free(tenant);
    }
    free(memory);
}

void word_memory_close(struct word_memory *memory)
{
    if (!memory) {
        return;
    }
    memory->closing = true;
    if (memory->under_way == 0) {
        memory_free(memory);
    }
}

/* Of all tenants; shows it. */
static size_t bytes_of(struct word_memory *memory)
{
    const struct tenant *tenant;
    size_t bytes = 0;
    LIST_FOREACH(tenant, &memory->tenants, link)
    {
        bytes += tenant->index ? word_index_bytes(tenant->index) : 0;
    }
    metric_set(memory->bytes, (double)bytes);
    return bytes;
}

/* Who asks next has it read from the start. */
static void forget(struct tenant *tenant)
{
    word_index_free(tenant->index);
    tenant->index = NULL;
    tenant->whole = false;
    tenant->revision = 0;
    (void)bytes_of(tenant->memory);
}

static void give_up(struct tenant *tenant, const char *why)
{
    log_warn("the database is searched for a tenant's words, which is slower: they cannot be kept in memory",
        LOG_STR("tenant", tenant->name), LOG_STR("why", why));
    tenant->given_up = true;
    forget(tenant);
}

/* ---- those who wait ---- */

static void tell(struct tenant *tenant, const struct waiter *waiter)
{
    bool there = tenant->whole && tenant->revision >= waiter->least;
    metric_add(tenant->memory->searches[there], 1);
    waiter->done(waiter->arg, there ? tenant->index : NULL, tenant->revision);
}

/* Whoever asks again inside waits for another statement. */
static void tell_all(struct tenant *tenant)
{
    struct waiters waiters = STAILQ_HEAD_INITIALIZER(waiters);
    STAILQ_CONCAT(&waiters, &tenant->waiters);
    struct waiter *waiter;
    while ((waiter = STAILQ_FIRST(&waiters))) {
        STAILQ_REMOVE_HEAD(&waiters, link);
        tell(tenant, waiter);
        free(waiter);
    }
}

/* ---- a page ---- */

/* A row is a passage of a document, or a document without one: it has none, or is no more. Which documents is
 * asked by itself, so that no more of the index of its order is read than a page. */
#define PAGE(documents)                                                                                      \
    "WITH page AS MATERIALIZED (" documents " FETCH FIRST " DB_NUMBER(                                       \
        PAGE_DOCUMENTS) " ROWS WITH TIES) "                                                                  \
                        "SELECT coalesce(r.revision, 0), coalesce(r.history_from, 0), "                      \
                        "(SELECT count(*) FROM page), (SELECT max(revision) FROM page), c.source, "          \
                        "c.object_key, d.source IS NULL, coalesce(d.locale, ''), "                           \
                        "coalesce((extract(epoch FROM d.expires_at) * 1000)::bigint, 0), p.ordinal, "        \
                        "p.config::text, p.tsv::text, encode(p.text_hash, 'hex') "                           \
                        "FROM (SELECT 1) one LEFT JOIN kb_revisions r ON r.tenant = $1 "                     \
                        "LEFT JOIN (SELECT DISTINCT source, object_key FROM page) c ON true "                \
                        "LEFT JOIN kb_documents d ON (d.tenant, d.source, d.object_key) "                    \
                        "= ($1, c.source, c.object_key) "                                                    \
                        "LEFT JOIN kb_passages p ON (p.tenant, p.source, p.object_key) "                     \
                        "= ($1, d.source, d.object_key) ORDER BY c.source, c.object_key, p.ordinal"

enum column {
    REVISION,
    HISTORY_FROM,
    IN_PAGE,
    NEWEST_IN_PAGE,
    SOURCE,
    OBJECT_KEY,
    IS_GONE,
    LOCALE,
    EXPIRES_MS,
    ORDINAL,
    CONFIG,
    TSVECTOR,
    TEXT_HASH
};

static const char all_sql[] = PAGE("SELECT source, object_key, revision FROM kb_documents WHERE tenant = $1 "
                                   "AND (source, object_key) > ($2, $3) ORDER BY source, object_key");
static const char changed_sql[] =
    PAGE("SELECT source, object_key, revision FROM kb_history WHERE tenant = $1 "
         "AND revision > $2::bigint ORDER BY revision");

static void on_page(void *arg, const struct db_result *result, const struct error *err);

static void read_page(struct tenant *tenant)
{
    struct arena *arena = arena_new(0);
    const char *revision = arena_printf(arena, "%" PRId64, tenant->revision);
    const struct db_query all = {.sql = all_sql,
                              .param_count = 3,
                              .params = {tenant->name, tenant->last_source, tenant->last_key}},
                          changed = {
                              .sql = changed_sql, .param_count = 2, .params = {tenant->name, revision}};
    tenant->reading = true;
    tenant->memory->under_way++;
    db_query(tenant->memory->db, tenant->walking ? &all : &changed, on_page, tenant);
    arena_free(arena);
}

static void set_last(struct tenant *tenant, const char *source, const char *key)
{
    free(tenant->last_source);
    free(tenant->last_key);
    tenant->last_source = xstrdup(source);
    tenant->last_key = xstrdup(key);
}

static void begin(struct tenant *tenant)
{
    tenant->walking = !tenant->index;
    set_last(tenant, "", "");
    read_page(tenant);
}

/* The document of a row is another than that of the row before. */
static void next_document(struct tenant *tenant, const struct db_result *result, int row)
{
    const struct word_document document = {.source = db_value(result, row, SOURCE),
        .key = db_value(result, row, OBJECT_KEY),
        .locale = db_value(result, row, LOCALE),
        .expires_ms = db_int(result, row, EXPIRES_MS)};
    set_last(tenant, document.source, document.key);
    if (db_bool(result, row, IS_GONE)) {
        word_index_remove(tenant->index, document.source, document.key);
    } else {
        word_index_put(tenant->index, &document);
    }
}

static bool is_next(const struct tenant *tenant, const struct db_result *result, int row)
{
    return strcmp(db_value(result, row, SOURCE), tenant->last_source) != 0 ||
           strcmp(db_value(result, row, OBJECT_KEY), tenant->last_key) != 0;
}

/* NULL, or why they cannot be kept. */
static const char *take_rows(struct tenant *tenant, const struct db_result *result)
{
    set_last(tenant, "", "");
    for (int row = 0; row < db_rows(result) && db_value(result, row, SOURCE); row++) {
        if (is_next(tenant, result, row)) {
            next_document(tenant, result, row);
        }
        const struct word_passage passage = {.ordinal = (uint32_t)db_int(result, row, ORDINAL),
            .config = db_value(result, row, CONFIG),
            .tsvector = db_value(result, row, TSVECTOR),
            .text_hash = db_value(result, row, TEXT_HASH)};
        if (passage.config && !word_index_add(tenant->index, &passage)) {
            return "a passage's words cannot be read";
        }
        if (word_index_bytes(tenant->index) > tenant->memory->max_bytes) {
            break;
        }
    }
    return bytes_of(tenant->memory) > tenant->memory->max_bytes ? "they do not fit into retriever.word-bytes"
                                                                : NULL;
}

/* The history that is kept begins later than what is there, or the database is an older one. */
static bool is_outdated(const struct tenant *tenant, const struct db_result *result)
{
    return db_int(result, 0, REVISION) < tenant->revision ||
           db_int(result, 0, HISTORY_FROM) > tenant->revision;
}

/* After the last page of documents come the changes since the first one; after the last page of changes it is
 * whole. */
static void go_on(struct tenant *tenant, const struct db_result *result)
{
    bool full = db_int(result, 0, IN_PAGE) >= PAGE_DOCUMENTS;
    if (!tenant->walking) {
        tenant->whole = !full;
        tenant->revision = db_int(result, 0, full ? NEWEST_IN_PAGE : REVISION);
    }
    tenant->walking = tenant->walking && full;
    if (!tenant->whole) {
        read_page(tenant);
    }
}

static void take_page(struct tenant *tenant, const struct db_result *result)
{
    if (!tenant->walking && is_outdated(tenant, result)) {
        forget(tenant);
        return;
    }
    if (!tenant->index) {
        tenant->index = word_index_new();
        tenant->revision = db_int(result, 0, REVISION);
    }
    const char *why = take_rows(tenant, result);
    if (why) {
        give_up(tenant, why);
    } else {
        go_on(tenant, result);
    }
}

static void on_page(void *arg, const struct db_result *result, const struct error *err)
{
    struct tenant *tenant = arg;
    struct word_memory *memory = tenant->memory;
    memory->under_way--;
    tenant->reading = false;
    if (memory->closing) {
        if (memory->under_way == 0) {
            memory_free(memory);
        }
        return;
    }
    if (result) {
        take_page(tenant, result);
    } else {
        log_warn("the words of a tenant's knowledge base cannot be read", LOG_STR("tenant", tenant->name),
            LOG_STR("error", err->text));
        if (!tenant->whole) {
            forget(tenant);
        }
    }
    tell_all(tenant);
}

/* ---- asking ---- */

static struct tenant *find_tenant(struct word_memory *memory, const char *name)
{
    struct tenant *tenant;
    LIST_FOREACH(tenant, &memory->tenants, link)
    {
        if (!strcmp(tenant->name, name)) {
            return tenant;
        }
    }
    return NULL;
}

static struct tenant *tenant_of(struct word_memory *memory, const char *name)
{
    struct tenant *tenant = find_tenant(memory, name);
    if (tenant || memory->tenant_count == TENANTS_MAX) {
        return tenant;
    }
    tenant = xcalloc(1, sizeof(*tenant));
    tenant->memory = memory;
    tenant->name = xstrdup(name);
    STAILQ_INIT(&tenant->waiters);
    LIST_INSERT_HEAD(&memory->tenants, tenant, link);
    memory->tenant_count++;
    return tenant;
}

void word_memory_reach(
    struct word_memory *memory, const char *tenant_name, int64_t least, word_memory_ready *done, void *arg)
{
    struct tenant *tenant = tenant_of(memory, tenant_name);
    if (!tenant || tenant->given_up) {
        metric_add(memory->searches[0], 1);
        done(arg, NULL, 0);
        return;
    }
    struct waiter waiter = {.least = least, .done = done, .arg = arg};
    bool there = tenant->whole && tenant->revision >= least;
    if (!there && !tenant->reading) {
        begin(tenant);
    }
    if (there || !tenant->whole) {
        tell(tenant, &waiter);
        return;
    }
    struct waiter *waits = xmalloc(sizeof(*waits));
    *waits = waiter;
    STAILQ_INSERT_TAIL(&tenant->waiters, waits, link);
}

void word_memory_forget(struct word_memory *memory, const char *tenant_name)
{
    struct tenant *tenant = find_tenant(memory, tenant_name);
    if (tenant && !tenant->reading) {
        forget(tenant);
    }
}
