/* Opening the budget behind a stage's models. */
#include "stages/spending.h"

static bool limits_tokens(const struct budget_limits *tokens)
{
    bool limited = tokens->all > 0;
    for (size_t i = 0; i < tokens->count; i++) {
        limited = limited || tokens->of[i].limit > 0;
    }
    return limited;
}

bool spending_wanted(const struct conf *conf)
{
    const struct chat_options options = chat_options_of(conf);
    return chat_wanted(&options);
}

bool spending_open(const struct stage_env *env, struct chat_options *options,
    const struct chat_options *strong, struct error *err)
{
    struct budget_limits usd, tokens;
    if (env->db != NULL) {
        options->budget = budget_new(env->loop, env->db, env->conf, err);
        return options->budget != NULL;
    }
    if (!budget_limits_of(env->conf, &usd, &tokens, err)) {
        return false;
    }
    bool counted = limits_tokens(&tokens) || chat_costs(options) || (strong && chat_costs(strong));
    budget_limits_fini(&usd);
    budget_limits_fini(&tokens);
    if (counted && !env->unbudgeted) {
        return error_set(err, ERROR_FATAL, "setting_missing",
            "database.url is not set (DATABASE_URL works too): %.128s is asked within tenants' budgets, "
            "which are kept there",
            options->model);
    }
    return true;
}
