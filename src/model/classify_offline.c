/* The classifier that needs no model: keywords of the taxonomy, a sentiment lexicon, phrases for priority. It
 * is sure only as far as its evidence goes. */
#include "model/classify_driver.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "model/mood.h"
#include "model/text.h"
#include "model/ticket_text.h"

#define MODEL_NAME "offline-rules/1"
#define MAX_WORDS 3000
#define SUBJECT_BOOST 1.6
#define REPEAT_BOOST 0.25  /* a keyword's second and third mention */
#define EVIDENCE_SCALE 3.0 /* weight that makes us two thirds sure */
#define MAX_EVIDENCE 4

struct offline {
    struct taxonomy *taxonomy;
    struct mood *mood;
};

struct reading {
    const char *text;
    struct text_word *words;
    size_t count;
    size_t subject_end; /* bytes */
};

struct evidence {
    const char *keyword;
    double weight;
};

struct score {
    double total;
    struct evidence top[MAX_EVIDENCE]; /* strongest first */
    size_t top_count;
};

static void read_ticket(struct arena *arena, const struct msg_ticket *ticket, struct reading *out)
{
    out->text = ticket_text(arena, ticket, &out->subject_end);
    out->words = text_words(arena, out->text, MAX_WORDS, &out->count);
}

static bool keyword_at(const struct taxonomy_keyword *keyword, const struct reading *reading, size_t at)
{
    if (at + keyword->word_count > reading->count) {
        return false;
    }
    for (size_t i = 0; i < keyword->word_count; i++) {
        const struct text_word *word = &reading->words[at + i];
        if (!taxonomy_word_matches(&keyword->words[i], word->plain, word->stem)) {
            return false;
        }
    }
    return true;
}

static void note_evidence(struct score *score, const char *keyword, double weight)
{
    size_t at = score->top_count;
    while (at > 0 && score->top[at - 1].weight < weight) {
        at--;
    }
    if (at == MAX_EVIDENCE) {
        return;
    }
    score->top_count += score->top_count < MAX_EVIDENCE;
    memmove(&score->top[at + 1], &score->top[at], (score->top_count - at - 1) * sizeof score->top[0]);
    score->top[at] = (struct evidence){keyword, weight};
}

/* `used` marks words that a weightier keyword of the category took: "charged twice" is not also "charge". */
static double keyword_weight(
    const struct taxonomy_keyword *keyword, const struct reading *reading, bool *used)
{
    size_t mentions = 0;
    bool in_subject = false;
    for (size_t at = 0; at < reading->count && mentions < 3; at++) {
        if (!used[at] && keyword_at(keyword, reading, at)) {
            in_subject = in_subject || reading->words[at].start < reading->subject_end;
            mentions++;
            memset(used + at, true, keyword->word_count);
        }
    }
    double boost =
        (in_subject ? SUBJECT_BOOST : 1) + REPEAT_BOOST * (double)(mentions > 0 ? mentions - 1 : 0);
    return mentions > 0 ? keyword->weight * boost : 0;
}

static void score_category(struct arena *arena, const struct taxonomy_category *category,
    const struct reading *reading, struct score *score)
{
    bool *used = arena_array(arena, reading->count, sizeof *used);
    for (size_t i = 0; i < category->keyword_count; i++) {
        double weight = keyword_weight(&category->keywords[i], reading, used);
        if (weight > 0) {
            score->total += weight;
            note_evidence(score, category->keywords[i].text, weight);
        }
    }
}

/* The share of the winner among all evidence, softened when there is little of it. */
static double confidence_of(const struct score *scores, size_t count, size_t best)
{
    double top = scores[best].total, sum = 0;
    for (size_t i = 0; i < count; i++) {
        double share = top > 0 ? scores[i].total / top : 0;
        sum += share * share; /* a runner-up with half the evidence is no serious rival */
    }
    double agreement = 1 / (sum > 0 ? sum : 1);
    double amount = 1 - exp(-top / EVIDENCE_SCALE);
    double sure = agreement * amount;
    return sure > 0.97 ? 0.97 : sure;
}

static void put_list(struct buf *out, const char *label, const char *const *items, size_t count)
{
    buf_printf(out, "%s%s", out->len > 0 ? "; " : "", label);
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "%s\"%s\"", i == 0 ? ": " : ", ", items[i]);
    }
}

static char *explain(struct arena *arena, const struct taxonomy_category *category, const struct score *score,
    const struct mood_verdict *mood)
{
    struct buf text;
    buf_init(&text, 2000);
    const char *keywords[MAX_EVIDENCE];
    for (size_t i = 0; i < score->top_count; i++) {
        keywords[i] = score->top[i].keyword;
    }
    if (score->top_count > 0) {
        put_list(&text, category->name, keywords, score->top_count);
    } else {
        buf_printf(&text, "%s: no keyword of any category", category->name);
    }
    if (mood->priority_evidence_count > 0) {
        put_list(
            &text, msg_priority_name(mood->priority), mood->priority_evidence, mood->priority_evidence_count);
    }
    if (mood->sentiment_evidence_count > 0) {
        put_list(&text, msg_sentiment_name(mood->sentiment), mood->sentiment_evidence,
            mood->sentiment_evidence_count);
    }
    char *out = arena_strndup(arena, buf_text(&text), text.len);
    buf_fini(&text);
    return out;
}

static void offline_start(void *state, const struct classify_request *request, classify_done *done, void *arg)
{
    const struct offline *offline = state;
    const struct taxonomy *taxonomy = offline->taxonomy;
    struct arena *arena = request->arena;
    struct reading reading = {0};
    read_ticket(arena, request->ticket, &reading);
    struct score *scores = arena_array(arena, taxonomy->category_count, sizeof *scores);
    size_t best = (size_t)(taxonomy->fallback - taxonomy->categories);
    for (size_t i = 0; i < taxonomy->category_count; i++) {
        score_category(arena, &taxonomy->categories[i], &reading, &scores[i]);
        best = scores[i].total > scores[best].total ? i : best;
    }
    const struct taxonomy_category *category = &taxonomy->categories[best];
    struct mood_verdict mood;
    mood_judge(offline->mood, arena, reading.text, reading.words, reading.count, &mood);
    struct classify_result *result = ARENA_NEW(arena, struct classify_result);
    *result = (struct classify_result){
        .classification = {.category = arena_strdup(arena, category->name),
            .department = arena_strdup(arena, category->department),
            .priority = mood.priority,
            .sentiment = mood.sentiment,
            .confidence = scores[best].total > 0 ? confidence_of(scores, taxonomy->category_count, best)
                                                 : CLASSIFY_NO_EVIDENCE,
            .reasoning_snippet = explain(arena, category, &scores[best], &mood)},
        .priority_confidence = mood.priority_confidence,
        .model = MODEL_NAME,
        .prompt_version = "",
        .policy_version = taxonomy->version,
    };
    done(arg, result, NULL);
}

static void offline_free(void *state)
{
    struct offline *offline = state;
    taxonomy_free(offline->taxonomy);
    mood_free(offline->mood);
    free(offline);
}

struct classify_model *classify_offline_new(struct taxonomy *taxonomy)
{
    static const struct classify_driver driver = {.start = offline_start, .free = offline_free};
    struct offline *offline = xcalloc(1, sizeof *offline);
    offline->taxonomy = taxonomy;
    offline->mood = mood_new();
    return classify_model_new(&driver, offline);
}
