/* Reading words of tenants by pages of documents: all of them at first, then those that have changed. */
#include "kb/word_memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include "base/alloc.h"
#include "base/log.h"
#include "base/metrics.h"

#define PAGE_DOCUMENTS 50
#define QUOTED(number) #number
#define AS_TEXT(number) QUOTED(number)
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
    bool whole;               /* it has the base as it was at `revision` */
    bool reading;             /* a statement is under way */
    bool all;                 /* it reads all documents, else those that changed after `revision` */
    bool given_up;            /* for ever: said so in the log */
    int64_t revision;
    int64_t target;    /* which it has when the last page is read; -1: the first page tells */
    char *from_source; /* where the next page begins: after this document */
    char *from_key;
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
        free(tenant->from_source);
        free(tenant->from_key);
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

static void show(struct word_memory *memory)
{
    const struct tenant *tenant;
    size_t bytes = 0;
    LIST_FOREACH(tenant, &memory->tenants, link)
    {
        bytes += tenant->index ? word_index_bytes(tenant->index) : 0;
    }
    metric_set(memory->bytes, (double)bytes);
}

static void forget(struct tenant *tenant)
{
    word_index_free(tenant->index);
    tenant->index = NULL;
    tenant->whole = false;
    tenant->revision = 0;
    show(tenant->memory);
}

static void give_up(struct tenant *tenant, const char *why)
{
    log_warn("the database is searched for a tenant's words, which is slower: they cannot be kept in memory",
        LOG_STR("tenant", tenant->name), LOG_STR("why", why));
    tenant->given_up = true;
    forget(tenant);
}

/* ---- those who wait ---- */

static void tell(struct tenant *tenant, const struct waiter *waiter, const struct error *err)
{
    bool there = tenant->whole && tenant->revision >= waiter->least;
    metric_add(tenant->memory->searches[there], 1);
    waiter->done(waiter->arg, there ? tenant->index : NULL, tenant->revision, there ? NULL : err);
}

/* Whoever asks again inside waits for another statement. */
static void tell_all(struct tenant *tenant, const struct error *err)
{
    struct waiters waiters = STAILQ_HEAD_INITIALIZER(waiters);
    STAILQ_CONCAT(&waiters, &tenant->waiters);
    struct waiter *waiter;
    while ((waiter = STAILQ_FIRST(&waiters))) {
        STAILQ_REMOVE_HEAD(&waiters, link);
        tell(tenant, waiter, err);
        free(waiter);
    }
}

/* ---- a page ---- */

/* A row is a passage of a document, or a document without one: it has none, or is no more. */
#define PAGE(documents)                                                                                      \
    "SELECT coalesce(r.revision, 0), coalesce(r.history_from, 0), c.source, c.object_key, "                  \
    "coalesce(d.locale, ''), coalesce((extract(epoch FROM d.expires_at) * 1000)::bigint, 0), p.ordinal, "    \
    "p.config::text, p.tsv::text, encode(p.text_hash, 'hex'), d.source IS NULL "                             \
    "FROM (SELECT 1) one LEFT JOIN kb_revisions r ON r.tenant = $1 "                                         \
    "LEFT JOIN (" documents " ORDER BY source, object_key LIMIT " AS_TEXT(                                   \
        PAGE_DOCUMENTS) ") c ON true "                                                                       \
                        "LEFT JOIN kb_documents d ON (d.tenant, d.source, d.object_key) = ($1, c.source, "   \
                        "c.object_key) "                                                                     \
                        "LEFT JOIN kb_passages p ON (p.tenant, p.source, p.object_key) = ($1, d.source, "    \
                        "d.object_key) "                                                                     \
                        "ORDER BY c.source, c.object_key, p.ordinal"

static const char all_sql[] = PAGE("SELECT source, object_key FROM kb_documents WHERE tenant = $1 "
                                   "AND (source, object_key) > ($2, $3)");
static const char changed_sql[] = PAGE("SELECT DISTINCT source, object_key FROM kb_history WHERE tenant = $1 "
                                       "AND (source, object_key) > ($2, $3) AND revision > $4::bigint");

static void on_page(void *arg, const struct db_result *result, const struct error *err);

static void read_page(struct tenant *tenant)
{
    struct arena *arena = arena_new(0);
    const struct db_query query = {.sql = tenant->all ? all_sql : changed_sql,
        .param_count = tenant->all ? 3 : 4,
        .params = {tenant->name, tenant->from_source, tenant->from_key,
            arena_printf(arena, "%" PRId64, tenant->revision)}};
    tenant->reading = true;
    tenant->memory->under_way++;
    db_query(tenant->memory->db, &query, on_page, tenant);
    arena_free(arena);
}

static void begin(struct tenant *tenant)
{
    tenant->all = !tenant->whole;
    tenant->target = -1;
    free(tenant->from_source);
    free(tenant->from_key);
    tenant->from_source = xstrdup("");
    tenant->from_key = xstrdup("");
    read_page(tenant);
}

/* The document of this row, if it is another than that of the row before. */
static bool next_document(struct tenant *tenant, const struct db_result *result, int row)
{
    const char *source = db_value(result, row, 2), *key = db_value(result, row, 3);
    if (!strcmp(source, tenant->from_source) && !strcmp(key, tenant->from_key)) {
        return false;
    }
    free(tenant->from_source);
    free(tenant->from_key);
    tenant->from_source = xstrdup(source);
    tenant->from_key = xstrdup(key);
    if (db_bool(result, row, 10)) {
        word_index_remove(tenant->index, source, key);
    } else {
        const struct word_document document = {.source = source,
            .key = key,
            .locale = db_value(result, row, 4),
            .expires_ms = db_int(result, row, 5)};
        word_index_put(tenant->index, &document);
    }
    return true;
}

/* Returns how many documents there were; -1: not what PostgreSQL writes. */
static int take_rows(struct tenant *tenant, const struct db_result *result)
{
    int documents = 0;
    for (int row = 0; row < db_rows(result); row++) {
        if (!db_value(result, row, 2)) {
            break; /* nothing but the revision */
        }
        documents += next_document(tenant, result, row);
        const struct word_passage passage = {.ordinal = (uint32_t)db_int(result, row, 6),
            .config = db_value(result, row, 7),
            .tsvector = db_value(result, row, 8),
            .text_hash = db_value(result, row, 9)};
        if (passage.config && !word_index_add(tenant->index, &passage)) {
            return -1;
        }
    }
    return documents;
}

/* What is there is of an older history than the one that is kept: it is read anew. */
static bool is_outdated(const struct tenant *tenant, const struct db_result *result)
{
    return db_int(result, 0, 0) < tenant->revision || db_int(result, 0, 1) > tenant->revision;
}

static void take_page(struct tenant *tenant, const struct db_result *result)
{
    struct word_memory *memory = tenant->memory;
    if (!tenant->all && is_outdated(tenant, result)) {
        forget(tenant);
        return;
    }
    tenant->index = tenant->index ? tenant->index : word_index_new();
    tenant->target = tenant->target < 0 ? db_int(result, 0, 0) : tenant->target;
    int documents = take_rows(tenant, result);
    show(memory);
    if (documents < 0) {
        give_up(tenant, "a passage's words cannot be read");
    } else if (metric_value(memory->bytes) > (double)memory->max_bytes) {
        give_up(tenant, "they do not fit into retriever.word-bytes");
    } else if (documents == PAGE_DOCUMENTS) {
        tenant->whole = false;
        read_page(tenant);
    } else {
        tenant->whole = true;
        tenant->revision = tenant->target;
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
    } else if (!tenant->whole) {
        forget(tenant); /* who asks next begins again */
    }
    tell_all(tenant, err);
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
        done(arg, NULL, 0, NULL);
        return;
    }
    struct waiter waiter = {.least = least, .done = done, .arg = arg};
    bool there = tenant->whole && tenant->revision >= least;
    if (!there && !tenant->reading) {
        begin(tenant);
    }
    if (there || !tenant->whole) {
        tell(tenant, &waiter, NULL);
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
