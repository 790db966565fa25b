/* What tells the models of one installation from those of another, and the caches before them. */
#include "stages/sharing.h"

#include <inttypes.h>
#include "base/buf.h"
#include "model/answers.h"

#define SCOPE_MAX (64 * 1024)

static void put_model(struct buf *scope, const struct chat_options *options)
{
    buf_printf(scope, "%s\n%s\n%s\n%s\n%s\n%" PRId64 "\n", options->provider ? options->provider : "",
        options->base_url, options->region, options->model, options->guardrail ? options->guardrail : "",
        options->max_output_tokens);
}

struct draft_model *sharing_drafts(const struct stage_env *env, struct draft_model *model,
    const struct chat_options *usual, const struct chat_options *strong, const char *policy)
{
    struct cache_limits limits;
    if (!model || !answers_limits_of(env->conf, &limits)) {
        return model;
    }
    struct buf scope;
    buf_init(&scope, SCOPE_MAX);
    put_model(&scope, usual);
    if (strong) {
        put_model(&scope, strong);
    }
    buf_puts(&scope, policy);
    struct draft_model *made = draft_cached_new(
        env->loop, model, buf_text(&scope), &limits, conf_number(env->conf, CONF_CACHE_SIMILARITY));
    buf_fini(&scope);
    return made;
}

struct classify_model *sharing_classifications(const struct stage_env *env, struct classify_model *model,
    const struct chat_options *options, const char *policy)
{
    struct cache_limits limits;
    if (!model || !answers_limits_of(env->conf, &limits)) {
        return model;
    }
    struct buf scope;
    buf_init(&scope, SCOPE_MAX);
    put_model(&scope, options);
    buf_puts(&scope, policy);
    struct classify_model *made = classify_cached_new(env->loop, model, buf_text(&scope), &limits);
    buf_fini(&scope);
    return made;
}
