/* `helpdesk check`: can the files that settings name be used. */
#include "cmd/check.h"
#include "loop/loop.h"
#include "msg/codec.h"
#include "stages/stage.h"

static bool check_step(const struct conf *conf, const struct ticket_step *step)
{
    const struct stage_env env = {.loop = loop_new(1), .conf = conf, .unbudgeted = true};
    struct error err = {0};
    void *state = step->open(&env, &err);
    bool ok = check_line(step->name, state != NULL, err.text);
    if (state != NULL) {
        step->close(state);
    }
    loop_free(env.loop);
    return ok;
}

bool check_files(const struct conf *conf)
{
    struct error err = {0};
    bool schemas = msg_setup(conf, &err) || check_line("schemas", false, err.text);
    bool classifier = check_step(conf, &classifier_step);
    return check_step(conf, &generator_step) && classifier && schemas;
}
