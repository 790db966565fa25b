/* Weighing what words and vectors say. */
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

size_t kb_rank_unite(
    struct kb_candidate *all, size_t near_count, size_t count, const struct vector_near *near)
{
    double farthest = near && near->count > 0 ? near->similarity[near->count - 1] : 0;
    size_t kept = near_count;
    for (size_t i = near_count; i < count; i++) {
        size_t same = 0;
        while (same < near_count && strcmp(all[same].hit.source_id, all[i].hit.source_id) != 0) {
            same++;
        }
        if (same == near_count) {
            all[kept] = all[i];
            all[kept++].similarity = farthest;
        }
    }
    return kept;
}

static int by_relevance(const void *a, const void *b)
{
    const struct kb_candidate *x = a, *y = b;
    if (x->relevance != y->relevance) {
        return x->relevance > y->relevance ? -1 : 1;
    }
    return strcmp(x->hit.source_id, y->hit.source_id);
}

/* ---- how likely the best answer ---- */

/* 0..1 from how much the best texts cover together: what they match of the whole query, of its clearest
 * question, and how much of the best text is about it. The last step spreads the sum so that 0.6 and 0.75 are
 * where an answer becomes likely and safe; it was set on questions that a help centre answers and on others
 * that it does not. `sorted` is by density. */
static double confidence_of_words(
    const struct kb_candidate *sorted, size_t count, const struct kb_asked *asked)
{
    if (!sorted[0].terms) {
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
                 0.4 * kb_terms_focus(terms, matched, asked->units, asked->unit_count) + 0.25 * about;
    return 1 / (1 + exp(-SPREAD * (sum - MIDDLE)));
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

/* ---- the order ---- */

/* How far a text is from those that have nothing to do with the ticket: 0..1 of the way to the nearest. */
static double nearness(const struct vector_near *near, double similarity)
{
    double best = near->count > 0 ? near->similarity[0] : 0, way = best - near->spread.mean;
    double share = way > 0 ? (similarity - near->spread.mean) / way : 0;
    return share > 0 ? (share < 1 ? share : 1) : 0;
}

double kb_rank(struct kb_candidate *all, size_t count, const struct kb_asked *asked)
{
    const struct vector_near *near = asked->near;
    if (count == 0) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        all[i].relevance = all[i].density;
    }
    qsort(all, count, sizeof(*all), by_relevance);
    double words = confidence_of_words(all, count, asked), densest = all[0].density;
    if (!near) {
        return words;
    }
    for (size_t i = 0; i < count; i++) { /* each as a share of its best */
        double dense = densest > 0 ? all[i].density / densest : 0;
        all[i].relevance = WORDS_SHARE * dense + (1 - WORDS_SHARE) * nearness(near, all[i].similarity);
    }
    qsort(all, count, sizeof(*all), by_relevance);
    double vectors = confidence_of_near(near);
    return words > vectors ? words : vectors;
}
