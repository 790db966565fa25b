/* Reading vectors of tenants, and searching them off the loop. */
#include "kb/vector_memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include "base/alloc.h"
#include "base/log.h"
#include "base/metrics.h"

#define LOOK_MS 1000
#define PAGE_ROWS 1000
#define TENANTS_MAX 1000
#define MODEL_SIZE 256
#define ARENA_MAX ((size_t)256 << 20) /* a page of vectors of 4096 numbers, as text and as bytes */

/* Vectors of one model; who holds them keeps them. */
struct vector_set {
    struct vector_index *index;
    char model[MODEL_SIZE];
    int refs;
};

struct tenant {
    LIST_ENTRY(tenant) link;
    struct vector_memory *memory;
    char *name;
    bool looked;                /* the database has been asked once */
    bool reading;               /* a page is under way */
    bool empty;                 /* the base has no passages */
    bool too_large;             /* said so in the log */
    struct vector_set *serving; /* searched; NULL: none yet */
    struct vector_set *next;    /* being read: of another model, or the first */
    int64_t version;            /* of `serving` */
    int64_t target;             /* that is being read */
    char from[2 * VECTOR_HASH_BYTES +
              1]; /* where the next page begins: after this hash of version `from_version` */
    int64_t from_version;
};

struct search {
    LIST_ENTRY(search) link;
    struct vector_memory *memory;
    struct vector_set *vectors;
    struct arena *arena;
    struct vector_codes query;
    struct vector_hit hits[VECTOR_NEAR_MAX];
    size_t count;
    struct vector_spread spread;
    vector_found *done;
    void *arg;
};

struct vector_memory {
    struct loop *loop;
    struct db *db;
    size_t max_bytes;
    LIST_HEAD(, tenant) tenants;
    LIST_HEAD(, search) searches;
    int tenant_count;
    struct loop_timer *timer;
    int under_way; /* statements */
    bool closing;
    struct metric *kept, *bytes;
};

/* A statement under way. */
struct reading {
    struct arena *arena;
    struct vector_memory *memory;
    struct tenant *tenant; /* NULL: a look at all */
};

/* ---- its life ---- */

static void on_timer(void *arg);

struct vector_memory *vector_memory_new(struct loop *loop, struct db *db, size_t max_bytes)
{
    struct vector_memory *memory = xcalloc(1, sizeof(*memory));
    memory->loop = loop;
    memory->db = db;
    memory->max_bytes = max_bytes;
    memory->timer = loop_timer_new(loop, on_timer, memory);
    memory->kept = metrics_gauge("helpdesk_vectors", "Vectors in memory", NULL);
    memory->bytes = metrics_gauge("helpdesk_vector_bytes", "Memory of vectors", NULL);
    return memory;
}

void vector_set_leave(struct vector_set *set)
{
    if (set && --set->refs == 0) {
        vector_index_free(set->index);
        free(set);
    }
}

static void memory_free(struct vector_memory *memory)
{
    struct tenant *tenant;
    while ((tenant = LIST_FIRST(&memory->tenants))) {
        LIST_REMOVE(tenant, link);
        vector_set_leave(tenant->serving);
        vector_set_leave(tenant->next);
        free(tenant->name);
        free(tenant);
    }
    free(memory);
}

static void search_end(struct search *search, const struct vector_near *near)
{
    vector_found *done = search->done;
    void *arg = search->arg;
    LIST_REMOVE(search, link);
    vector_set_leave(search->vectors);
    free(search);
    done(arg, near);
}

void vector_memory_close(struct vector_memory *memory)
{
    if (!memory) {
        return;
    }
    if (!LIST_EMPTY(&memory->searches)) {
        loop_end_offload(memory->loop); /* threads may be at them */
    }
    for (struct search *search = LIST_FIRST(&memory->searches), *next; search; search = next) {
        next = LIST_NEXT(search, link);
        search_end(search, NULL);
    }
    loop_timer_free(memory->timer);
    memory->closing = true;
    if (memory->under_way == 0) {
        memory_free(memory);
    }
}

/* A statement has come back. False: it closes. */
static bool came_back(struct reading *reading)
{
    struct vector_memory *memory = reading->memory;
    memory->under_way--;
    if (!memory->closing) {
        return true;
    }
    if (memory->under_way == 0) {
        memory_free(memory);
    }
    arena_free(reading->arena);
    return false;
}

static struct reading *reading_new(struct vector_memory *memory, struct tenant *tenant)
{
    struct arena *arena = arena_new(ARENA_MAX);
    struct reading *reading = ARENA_NEW(arena, struct reading);
    *reading = (struct reading){.arena = arena, .memory = memory, .tenant = tenant};
    memory->under_way++;
    return reading;
}

/* Until a vector is read there is no index. */
static size_t count_of(const struct vector_set *vectors)
{
    return vectors && vectors->index ? vector_index_count(vectors->index) : 0;
}

static size_t bytes_of(const struct vector_set *vectors)
{
    return vectors && vectors->index ? vector_index_bytes(vectors->index) : 0;
}

static void show(struct vector_memory *memory)
{
    const struct tenant *tenant;
    size_t kept = 0, bytes = 0;
    LIST_FOREACH(tenant, &memory->tenants, link)
    {
        kept += count_of(tenant->serving);
        bytes += bytes_of(tenant->serving) + bytes_of(tenant->next);
    }
    metric_set(memory->kept, (double)kept);
    metric_set(memory->bytes, (double)bytes);
}

/* ---- a page ---- */

static void read_page(struct tenant *tenant);

static void forget(struct tenant *tenant)
{
    vector_set_leave(tenant->serving);
    vector_set_leave(tenant->next);
    tenant->serving = tenant->next = NULL;
    tenant->version = 0;
}

/* The failure that can be seen: it is searched by words, answers are degraded, and a log line says why. */
static void give_up(struct tenant *tenant)
{
    if (!tenant->too_large) {
        log_error("a tenant's vectors do not fit into retriever.vector-bytes: it is searched by words alone",
            LOG_STR("tenant", tenant->name), LOG_INT("bytes", tenant->memory->max_bytes));
    }
    tenant->too_large = true;
    forget(tenant);
}

static void take_row(struct reading *reading, const struct db_result *result, int row)
{
    struct tenant *tenant = reading->tenant;
    struct vector_set *into = tenant->next ? tenant->next : tenant->serving;
    const char *hex = db_value(result, row, 1), *vector = db_value(result, row, 2);
    uint8_t hash[VECTOR_HASH_BYTES];
    struct vector_codes codes;
    tenant->from_version = db_int(result, row, 0);
    snprintf(tenant->from, sizeof(tenant->from), "%s", hex);
    if (!hex_bytes(hex, hash, sizeof(hash))) {
        return;
    }
    if (!vector) {
        if (into->index) {
            vector_index_remove(into->index, hash);
        }
        return;
    }
    if (vector_from_hex(reading->arena, vector, &codes)) {
        into->index = into->index ? into->index : vector_index_new(codes.dimension);
        vector_index_put(into->index, hash, &codes);
    }
}

static void on_page(void *arg, const struct db_result *result, const struct error *err)
{
    struct reading *reading = arg;
    struct tenant *tenant = reading->tenant;
    if (!came_back(reading)) {
        return;
    }
    int rows = result ? db_rows(result) : 0;
    for (int row = 0; row < rows; row++) {
        take_row(reading, result, row);
    }
    arena_free(reading->arena);
    show(tenant->memory);
    if (metric_value(tenant->memory->bytes) > (double)tenant->memory->max_bytes) {
        give_up(tenant);
        tenant->reading = false;
    } else if (err) {
        tenant->reading = false; /* the next look begins again */
    } else if (rows == PAGE_ROWS) {
        read_page(tenant);
    } else {
        tenant->reading = false;
        tenant->version = tenant->target;
        if (tenant->next) {
            vector_set_leave(tenant->serving);
            tenant->serving = tenant->next;
            tenant->next = NULL;
        }
    }
    show(tenant->memory);
}

/* What is not needed comes without its vector; at a first reading not at all. */
static void read_page(struct tenant *tenant)
{
    struct reading *reading = reading_new(tenant->memory, tenant);
    const struct vector_set *into = tenant->next ? tenant->next : tenant->serving;
    const struct db_query query = {
        .sql = "SELECT version, encode(text_hash, 'hex'), "
               "CASE WHEN unneeded_since IS NULL THEN encode(vector, 'hex') END FROM kb_vectors "
               "WHERE tenant = $1 AND model = $2 AND version <= $3::bigint "
               "AND (version, text_hash) > ($4::bigint, decode($5, 'hex')) "
               "AND ($6::boolean OR (unneeded_since IS NULL AND vector IS NOT NULL)) "
               "ORDER BY version, text_hash LIMIT " DB_NUMBER(PAGE_ROWS),
        .param_count = 6,
        .params = {tenant->name, into->model, arena_printf(reading->arena, "%" PRId64, tenant->target),
            arena_printf(reading->arena, "%" PRId64, tenant->from_version), tenant->from,
            tenant->next ? "false" : "true"}};
    db_query(tenant->memory->db, &query, on_page, reading);
}

/* ---- the look ---- */

static void start_reading(struct tenant *tenant, const char *model, int64_t version)
{
    bool other = !tenant->serving || strcmp(tenant->serving->model, model) != 0;
    tenant->target = version;
    tenant->from[0] = '\0';
    if (other) {
        vector_set_leave(tenant->next);
        tenant->next = xcalloc(1, sizeof(*tenant->next));
        tenant->next->refs = 1;
        snprintf(tenant->next->model, sizeof(tenant->next->model), "%s", model);
        tenant->from_version = -1;
    } else if (version == tenant->version) {
        return;
    } else {
        tenant->from_version = tenant->version + 1;
    }
    tenant->reading = true;
    read_page(tenant);
}

static struct tenant *find_tenant(struct vector_memory *memory, const char *name)
{
    struct tenant *tenant;
    LIST_FOREACH(tenant, &memory->tenants, link)
    {
        if (strcmp(tenant->name, name) == 0) {
            return tenant;
        }
    }
    return NULL;
}

static void on_look(void *arg, const struct db_result *result, const struct error *err)
{
    struct reading *reading = arg;
    struct vector_memory *memory = reading->memory;
    if (!came_back(reading)) {
        return;
    }
    for (int row = 0; !err && row < db_rows(result); row++) {
        struct tenant *tenant = find_tenant(memory, db_value(result, row, 0));
        const char *serving = db_value(result, row, 1);
        tenant->looked = true;
        tenant->empty = !db_bool(result, row, 3);
        if (!tenant->reading && !tenant->too_large && serving && *serving) {
            start_reading(tenant, serving, db_int(result, row, 2));
        }
    }
    arena_free(reading->arena);
    loop_timer_arm(memory->timer, LOOK_MS);
}

static void on_timer(void *arg)
{
    struct vector_memory *memory = arg;
    struct reading *reading = reading_new(memory, NULL);
    const char **names = arena_array(reading->arena, (size_t)memory->tenant_count + 1, sizeof(*names));
    size_t count = 0;
    const struct tenant *tenant;
    LIST_FOREACH(tenant, &memory->tenants, link)
    {
        names[count++] = tenant->name;
    }
    const struct db_query query = {
        .sql = "SELECT t.name, b.serving, coalesce(b.version, 0), "
               "EXISTS (SELECT 1 FROM kb_passages p WHERE p.tenant = t.name) "
               "FROM unnest($1::text[]) t (name) LEFT JOIN kb_vector_bases b ON b.tenant = t.name",
        .param_count = 1,
        .params = {db_text_array(reading->arena, names, count)}};
    db_query(memory->db, &query, on_look, reading);
}

const char *vector_set_model(const struct vector_set *set)
{
    return set->model;
}

struct vector_set *vector_memory_hold(struct vector_memory *memory, const char *tenant_name, const char **why)
{
    struct tenant *tenant = find_tenant(memory, tenant_name);
    if (!tenant && memory->tenant_count < TENANTS_MAX) {
        tenant = xcalloc(1, sizeof(*tenant));
        tenant->memory = memory;
        tenant->name = xstrdup(tenant_name);
        LIST_INSERT_HEAD(&memory->tenants, tenant, link);
        if (memory->tenant_count++ == 0 || memory->under_way == 0) {
            loop_timer_arm(memory->timer, 0);
        }
    }
    *why = "";
    if (!tenant) {
        *why = "there are too many tenants for their vectors";
    } else if (tenant->serving && tenant->serving->index) {
        tenant->serving->refs++;
        return tenant->serving;
    } else if (tenant->too_large) {
        *why = "the vectors do not fit into retriever.vector-bytes";
    } else if (!tenant->looked || tenant->reading) {
        *why = "the vectors are being read";
    } else if (!tenant->empty && !tenant->serving) {
        *why = "the vectors are being made";
    }
    return NULL;
}

/* ---- searching ---- */

static void search_work(void *arg)
{
    struct search *search = arg;
    search->count = vector_index_search(
        search->vectors->index, &search->query, search->hits, VECTOR_NEAR_MAX, &search->spread);
}

static void search_finished(void *arg)
{
    struct search *search = arg;
    struct vector_near *near = ARENA_NEW(search->arena, struct vector_near);
    near->count = search->count;
    near->spread = search->spread;
    for (size_t i = 0; i < search->count; i++) {
        near->hashes[i] = hex_text(search->arena, search->hits[i].hash, VECTOR_HASH_BYTES);
        near->similarity[i] = search->hits[i].similarity;
    }
    search_end(search, near);
}

static void search_failed(void *arg)
{
    search_end(arg, NULL);
}

void vector_memory_find(struct vector_memory *memory, struct arena *arena, struct vector_set *set,
    const float *values, size_t dimension, vector_found *done, void *arg)
{
    struct search *search = xcalloc(1, sizeof(*search));
    *search = (struct search){.memory = memory, .arena = arena, .done = done, .arg = arg};
    LIST_INSERT_HEAD(&memory->searches, search, link);
    if (vector_index_dimension(set->index) != dimension) {
        loop_post(memory->loop, search_failed, search);
        return;
    }
    set->refs++;
    search->vectors = set;
    search->query = vector_encode(arena, values, dimension);
    loop_offload(memory->loop, search_work, search_finished, search);
}
