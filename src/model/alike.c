/* Lists of questions by group, and one of all by age. */
#include "model/alike.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include "base/alloc.h"
#include "model/alike_text.h"

#define LISTS 1024 /* a power of 2: a digest's first bytes are evenly spread */

struct alike_entry {
    TAILQ_ENTRY(alike_entry) in_list;
    TAILQ_ENTRY(alike_entry) by_age;
    struct cache_key group, answer;
    int64_t until_ms;
    size_t bytes;
    float scale;
    size_t dimension;
    int8_t *codes; /* with the text after them: one piece of memory with the entry */
    char *text;
};

TAILQ_HEAD(entry_list, alike_entry);

struct alike {
    struct cache_limits limits;
    double similarity;
    struct entry_list lists[LISTS];
    struct entry_list all; /* the oldest first */
    size_t count, bytes;
};

struct alike *alike_new(const struct cache_limits *limits, double similarity)
{
    struct alike *alike = xcalloc(1, sizeof(*alike));
    alike->limits = *limits;
    alike->similarity = similarity;
    TAILQ_INIT(&alike->all);
    for (size_t i = 0; i < LISTS; i++) {
        TAILQ_INIT(&alike->lists[i]);
    }
    return alike;
}

void alike_free(struct alike *alike)
{
    if (!alike) {
        return;
    }
    for (struct alike_entry *entry = TAILQ_FIRST(&alike->all), *next; entry; entry = next) {
        next = TAILQ_NEXT(entry, by_age);
        free(entry);
    }
    free(alike);
}

static struct entry_list *list_of(struct alike *alike, const struct cache_key *group)
{
    return &alike->lists[((size_t)group->bytes[0] << 8 | group->bytes[1]) % LISTS];
}

static bool is_near(
    const struct alike *alike, const struct alike_question *question, const struct alike_entry *entry)
{
    const struct vector_codes vector = {
        .codes = entry->codes, .dimension = entry->dimension, .scale = entry->scale};
    return memcmp(&entry->group, &question->group, sizeof(entry->group)) == 0 &&
           vector.dimension == question->vector.dimension &&
           (double)vector_similarity(&vector, &question->vector) >= alike->similarity;
}

struct alike_entry *alike_next(struct alike *alike, const struct alike_question *question,
    const struct alike_entry *after, int64_t now_ms, size_t *texts)
{
    struct alike_entry *entry =
        after ? TAILQ_NEXT(after, in_list) : TAILQ_FIRST(list_of(alike, &question->group));
    for (; entry && *texts > 0; entry = TAILQ_NEXT(entry, in_list)) {
        if (entry->until_ms <= now_ms || !is_near(alike, question, entry)) {
            continue;
        }
        (*texts)--;
        if (alike_texts(question->locale, entry->text, question->text)) {
            return entry;
        }
    }
    return NULL;
}

const struct cache_key *alike_answer(const struct alike_entry *entry)
{
    return &entry->answer;
}

const char *alike_asked(const struct alike_entry *entry)
{
    return entry->text;
}

void alike_drop(struct alike *alike, struct alike_entry *entry)
{
    TAILQ_REMOVE(list_of(alike, &entry->group), entry, in_list);
    TAILQ_REMOVE(&alike->all, entry, by_age);
    alike->count--;
    alike->bytes -= entry->bytes;
    free(entry);
}

static bool must_go(const struct alike *alike, const struct alike_entry *oldest, int64_t now_ms)
{
    return oldest->until_ms <= now_ms || alike->count > alike->limits.entries ||
           alike->bytes > alike->limits.bytes;
}

static void make_room(struct alike *alike, int64_t now_ms)
{
    struct alike_entry *oldest = TAILQ_FIRST(&alike->all), *next;
    for (; oldest && must_go(alike, oldest, now_ms); oldest = next) {
        next = TAILQ_NEXT(oldest, by_age);
        alike_drop(alike, oldest);
    }
}

void alike_put(struct alike *alike, const struct alike_question *question, const struct cache_key *answer,
    int64_t now_ms)
{
    size_t text = strlen(question->text) + 1, dimension = question->vector.dimension;
    struct alike_entry *entry = xmalloc(sizeof(*entry) + dimension + text);
    *entry = (struct alike_entry){.group = question->group,
        .answer = *answer,
        .until_ms = now_ms + alike->limits.keep_ms,
        .bytes = sizeof(*entry) + dimension + text,
        .scale = question->vector.scale,
        .dimension = dimension,
        .codes = (int8_t *)(entry + 1)};
    entry->text = (char *)entry->codes + dimension;
    memcpy(entry->codes, question->vector.codes, dimension);
    memcpy(entry->text, question->text, text);
    TAILQ_INSERT_HEAD(list_of(alike, &entry->group), entry, in_list);
    TAILQ_INSERT_TAIL(&alike->all, entry, by_age);
    alike->count++;
    alike->bytes += entry->bytes;
    make_room(alike, now_ms);
}

size_t alike_bytes(const struct alike *alike)
{
    return alike->bytes;
}
