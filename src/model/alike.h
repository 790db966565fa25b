/* Questions that were answered, by what they mean: finds the answer to one that says the same in other words.
 * Keeps no answers, only the keys of those that model/answers.h keeps. One thread. */
#ifndef HELPDESK_MODEL_ALIKE_H
#define HELPDESK_MODEL_ALIKE_H

#include "model/cache.h"
#include "model/vector.h"

struct alike;
struct alike_entry; /* an answered question */

struct alike_question {
    struct cache_key group; /* of all that must be the same, the vectors' model among it */
    struct vector_codes vector;
    const char *text;
    const char *locale; /* or NULL; see alike_texts */
};

/* `similarity`: the least cosine of what is alike. `limits` are of all questions together. */
struct alike *alike_new(const struct cache_limits *limits, double similarity);
void alike_free(struct alike *alike); /* NULL is fine */

/* The next question of the group that is alike, the newest first; `after` NULL: the first. NULL: there is no
 * other. Borrowed until the next put or drop. `now_ms` is monotonic time, here and below. CPU work: a
 * comparison of vectors for each question of the group, and one of words for those whose vectors are near:
 * `texts`, counted down, says how many; with 0 the search ends. */
struct alike_entry *alike_next(struct alike *alike, const struct alike_question *question,
    const struct alike_entry *after, int64_t now_ms, size_t *texts);
const struct cache_key *alike_answer(const struct alike_entry *entry);
const char *alike_asked(const struct alike_entry *entry); /* its text */

/* Keeps a copy of `question`, answered under `answer`. The oldest go for want of room. */
void alike_put(struct alike *alike, const struct alike_question *question, const struct cache_key *answer,
    int64_t now_ms);
void alike_drop(struct alike *alike, struct alike_entry *entry);

size_t alike_bytes(const struct alike *alike);

#endif
