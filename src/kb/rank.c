/* Confidence from what the best texts cover together; order from words and vectors, each as a share of its
 * best. */
#include "kb/rank.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TOGETHER 3           /* passages of a document that may answer together */
#define TOGETHER_DENSITY 0.6 /* of the best one's, to be one of them */
#define SPREAD 7.0
#define MIDDLE 0.45

/* Measured with all-MiniLM-L6-v2, nDCG@10 on 1,249 questions to 719 answers of a question site, and on 50 to
 * 451 sections of a manual: words alone 0.777 and 0.827, vectors alone 0.946 and 0.769; a share of 0.3: 0.942
 * and 0.830, 0.4: 0.929 and 0.847, 0.5: 0.909 and 0.853. 0.4 has the best mean. */
#define WORDS_SHARE 0.4 /* of the relevance; the rest is the vectors' */
/* Set by judgement: how sure vectors alone are has not been measured. */
#define NEAR_MOST 0.7
#define NEAR_SPREAD 1.5
#define NEAR_MIDDLE 4.0

static int by_relevance(const void *a, const void *b)
{
    const struct rank_text *x = a, *y = b;
    if (x->relevance != y->relevance) {
        return x->relevance > y->relevance ? -1 : 1;
    }
    return strcmp(x->hit.source_id, y->hit.source_id);
}

/* 0..1 from how much the best texts cover together: what they match of the whole query, of its clearest
 * question, and how much of the best text is about it. The last step spreads the sum so that 0.6 and 0.75 are
 * where an answer becomes likely and safe; it was set on questions that a help centre answers and on others
 * that it does not. */
static double confidence_of(const struct rank_input *input, const struct rank_text *sorted, size_t count)
{
    if (count == 0 || !sorted[0].terms) {
        return 0;
    }
    const struct kb_terms *terms = sorted[0].terms;
    uint64_t matched = 0;
    size_t together = 0;
    for (size_t i = 0; i < count && together < TOGETHER; i++) {
        bool same = sorted[i].terms == terms && !strcmp(sorted[i].document, sorted[0].document);
        if (!same || sorted[i].density < TOGETHER_DENSITY * sorted[0].density) {
            continue;
        }
        matched |= sorted[i].matched;
        together++;
    }
    double about = 2 * sorted[0].density < 1 ? 2 * sorted[0].density : 1;
    double sum = 0.35 * kb_terms_coverage(terms, matched) +
                 0.4 * kb_terms_focus(terms, matched, input->units, input->unit_count) + 0.25 * about;
    return 1 / (1 + exp(-SPREAD * (sum - MIDDLE)));
}

/* ---- words and vectors together ---- */

/* How far a text is from those that have nothing to do with the ticket: 0..1 of the way to the nearest. */
static double nearness(const struct vector_near *near, double similarity)
{
    double best = near->count > 0 ? near->similarity[0] : 0, way = best - near->spread.mean;
    double share = way > 0 ? (similarity - near->spread.mean) / way : 0;
    return share > 0 ? (share < 1 ? share : 1) : 0;
}

/* Texts found by both are one; those found by words alone are farther than the farthest that was found. */
static size_t unite(const struct rank_input *input, struct rank_text *all)
{
    size_t count = 0;
    const struct vector_near *near = input->query->near;
    for (size_t i = 0; i < input->found[RANK_NEAR].count; i++) {
        all[count++] = input->found[RANK_NEAR].items[i];
    }
    size_t near_count = count;
    for (size_t by = 0; by < RANK_NEAR; by++) {
        for (size_t i = 0; i < input->found[by].count; i++) {
            size_t same = 0;
            const struct rank_text *found = &input->found[by].items[i];
            while (same < near_count && strcmp(all[same].hit.source_id, found->hit.source_id) != 0) {
                same++;
            }
            if (same == near_count) {
                all[count] = *found;
                all[count++].similarity = near && near->count > 0 ? near->similarity[near->count - 1] : 0;
            }
        }
    }
    return count;
}

/* A weighted sum of what words and vectors say, each as a share of its best. */
static void judge(const struct rank_input *input, struct rank_text *all, size_t count)
{
    const struct vector_near *near = input->query->near;
    double densest = 0;
    for (size_t i = 0; i < count; i++) {
        densest = all[i].density > densest ? all[i].density : densest;
    }
    for (size_t i = 0; i < count; i++) {
        double words = densest > 0 ? all[i].density / densest : 0;
        all[i].relevance = near ? WORDS_SHARE * words + (1 - WORDS_SHARE) * nearness(near, all[i].similarity)
                                : all[i].density;
    }
}

/* How likely the nearest text answers, from how far it stands out of all: as standard deviations, since each
 * model has similarities of its own. At most NEAR_MOST: a draft is not ready for its vectors alone. */
static double confidence_of_near(const struct vector_near *near)
{
    if (near->count == 0 || near->spread.deviation <= 0) {
        return 0;
    }
    double out = (near->similarity[0] - near->spread.mean) / near->spread.deviation;
    return NEAR_MOST / (1 + exp(-NEAR_SPREAD * (out - NEAR_MIDDLE)));
}

/* As without vectors, of the texts that words find; and of the nearest. */
static double confidence(const struct rank_input *input, struct rank_text *all, size_t count)
{
    const struct vector_near *near = input->query->near;
    for (size_t i = 0; i < count; i++) {
        all[i].relevance = all[i].density;
    }
    qsort(all, count, sizeof(*all), by_relevance);
    double words = confidence_of(input, all, count), vectors = near ? confidence_of_near(near) : 0;
    return words > vectors ? words : vectors;
}

/* ---- all together ---- */

void rank_texts(struct arena *arena, const struct rank_input *input, struct kb_search_result *result)
{
    size_t count = 0;
    for (size_t by = 0; by < RANK_BY_COUNT; by++) {
        count += input->found[by].count;
    }
    struct rank_text *all = arena_array(arena, count + 1, sizeof(*all));
    count = unite(input, all);
    if (count > 0) {
        result->confidence = confidence(input, all, count);
        judge(input, all, count);
        qsort(all, count, sizeof(*all), by_relevance);
    }
    result->hits = arena_array(arena, count + 1, sizeof(*result->hits));
    size_t taken[2] = {0};
    for (size_t i = 0; i < count; i++) {
        enum kb_corpus corpus = all[i].hit.corpus;
        if (taken[corpus]++ < input->query->max_hits[corpus] && all[i].relevance > 0) {
            all[i].hit.score = result->confidence * all[i].relevance / all[0].relevance;
            result->hits[result->count++] = all[i].hit;
        }
    }
}
