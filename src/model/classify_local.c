/* Asks the text model for the category and the rules for everything, and puts both together. */
#include "model/classify_local.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "model/classify_driver.h"
#include "model/ticket_text.h"

struct local {
    struct classify_model *rules; /* owns the taxonomy */
    const struct taxonomy *taxonomy;
    struct text_model *model;
    const struct taxonomy_category **categories; /* of the model's labels */
    bool shipped;                                /* small: made of sentences, not of the operator's tickets */
    char name[32];
};

struct asked {
    const struct local *local;
    const struct classify_request *request;
    classify_done *done;
    void *arg;
};

static const struct taxonomy_category *find_category(const struct taxonomy *taxonomy, const char *name)
{
    for (size_t i = 0; i < taxonomy->category_count; i++) {
        if (strcmp(taxonomy->categories[i].name, name) == 0) {
            return &taxonomy->categories[i];
        }
    }
    return NULL;
}

/* The shipped model and the keywords know about as much, and not the same: the surer one wins. Their
 * agreement counts as independent evidence, their quarrel costs half of what the loser is sure of. A model of
 * the operator's own tickets is not overruled by keywords. */
static bool weigh(const struct local *local, const struct text_guess *guess, bool agreed, double *confidence)
{
    double rules = *confidence > CLASSIFY_NO_EVIDENCE ? *confidence : 0, guessed = guess->confidence;
    if (!local->shipped) {
        *confidence = guessed;
        return true;
    }
    if (agreed) {
        *confidence = 1 - (1 - guessed) * (1 - rules);
        return true;
    }
    bool wins = guessed >= rules;
    *confidence = wins ? guessed * (1 - rules / 2) : rules * (1 - guessed / 2);
    return wins;
}

static void take_guess(
    const struct asked *asked, const struct text_guess *guess, struct classify_result *result)
{
    const struct local *local = asked->local;
    struct arena *arena = asked->request->arena;
    struct msg_classification *classification = &result->classification;
    const struct taxonomy_category *category = local->categories[guess->label];
    bool agreed = strcmp(category->name, classification->category) == 0;
    bool wins = weigh(local, guess, agreed, &classification->confidence);
    if (wins && !agreed) {
        classification->category = arena_strdup(arena, category->name);
        classification->department = arena_strdup(arena, category->department);
    }
    classification->reasoning_snippet = arena_printf(arena, "%s; by examples %s, %.0f %% sure; by rules %s",
        classification->category, category->name, 100 * guess->confidence, classification->reasoning_snippet);
}

/* What no example resembles is left to the rules, and nobody is told that it is certain. */
static void abstain(const struct asked *asked, struct classify_result *result)
{
    struct msg_classification *classification = &result->classification;
    double most = text_model_threshold(asked->local->model);
    classification->confidence = classification->confidence < most ? classification->confidence : most;
    classification->reasoning_snippet = arena_printf(asked->request->arena,
        "like none of the examples, so by rules; %s", classification->reasoning_snippet);
}

static void rules_done(void *arg, const struct classify_result *rules, const struct error *err)
{
    const struct asked *asked = arg;
    if (err != NULL) {
        asked->done(asked->arg, NULL, err);
        return;
    }
    struct arena *arena = asked->request->arena;
    struct classify_result *result = ARENA_NEW(arena, struct classify_result);
    *result = *rules;
    struct text_guess guess;
    text_model_guess(asked->local->model, arena, ticket_text(arena, asked->request->ticket, NULL), &guess);
    if (guess.known) {
        take_guess(asked, &guess, result);
    } else {
        abstain(asked, result);
    }
    result->model = arena_strdup(arena, asked->local->name);
    asked->done(asked->arg, result, NULL);
}

/* The rules answer at once. */
static void local_start(void *state, const struct classify_request *request, classify_done *done, void *arg)
{
    const struct local *local = state;
    struct asked asked = {.local = local, .request = request, .done = done, .arg = arg};
    classify_start(local->rules, request, rules_done, &asked);
}

static void local_free(void *state)
{
    struct local *local = state;
    classify_free(local->rules);
    text_model_free(local->model);
    free(local->categories);
    free(local);
}

/* False: `err` names the label that the taxonomy lacks. */
static bool match_labels(struct local *local, struct error *err)
{
    size_t count = text_model_label_count(local->model);
    local->categories = xcalloc(count, sizeof(const struct taxonomy_category *));
    for (size_t i = 0; i < count; i++) {
        const char *label = text_model_label(local->model, i);
        local->categories[i] = find_category(local->taxonomy, label);
        if (local->categories[i] == NULL) {
            return error_set(err, ERROR_FATAL, "model_mismatch",
                "classifier.model: it has the category \"%s\", which classifier.taxonomy lacks", label);
        }
    }
    return true;
}

struct classify_model *classify_local_new(struct taxonomy *taxonomy, const char *path, struct error *err)
{
    static const struct classify_driver driver = {.start = local_start, .free = local_free};
    struct local *local = xcalloc(1, sizeof *local);
    local->taxonomy = taxonomy;
    local->shipped = path[0] == '\0';
    local->rules = classify_offline_new(taxonomy);
    local->model = local->shipped ? text_model_parse(text_model_shipped,
                                        (size_t)(text_model_shipped_end - text_model_shipped), err)
                                  : text_model_load(path, err);
    if (local->model != NULL && match_labels(local, err)) {
        (void)snprintf(local->name, sizeof local->name, "local/%s", text_model_version(local->model));
        return classify_model_new(&driver, local);
    }
    struct classify_model *rules = NULL;
    if (local->shipped && local->model != NULL) { /* a taxonomy of the operator's own: nothing is wrong */
        rules = local->rules;
        local->rules = NULL;
    }
    local_free(local);
    return rules;
}
