/* The roles that are stages: one engine around one stage. */
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/database.h"
#include "cmd/role.h"
#include "engine/engine.h"
#include "stages/stage.h"

struct worker {
    struct role role;
    const struct stage *stage;
    void *state;
    struct engine *engine;
};

static void worker_drained(void *arg)
{
    struct worker *worker = arg;
    loop_stop(worker->role.loop, 0);
}

static void worker_drain(void *arg)
{
    struct worker *worker = arg;
    engine_drain(worker->engine, worker_drained, worker);
}

/* A stage that only spends says itself when it cannot do so without a database. */
static bool wants_db(const struct stage *stage, const struct conf *conf)
{
    bool spends = stage->step != NULL && stage->step->spends != NULL && stage->step->spends(conf);
    return stage->needs_db || ((stage->uses_db || spends) && database_named(conf, NULL));
}

static bool worker_open(struct worker *worker, struct error *err)
{
    struct role *role = &worker->role;
    if (!role_open_registry(role, worker->stage->produces, err) ||
        (wants_db(worker->stage, role->conf) && !role_open_db(role, err))) {
        return false;
    }
    const struct stage_env env = {.loop = role->loop, .conf = role->conf, .db = role->db};
    worker->state = worker->stage->open(&env, err);
    if (worker->state == NULL) {
        return false;
    }
    worker->engine = engine_new(role->loop, role->conf, worker->stage->engine, worker->state, err);
    return worker->engine != NULL;
}

static int worker_main(const struct stage *stage, int argc)
{
    /* Static: work that is given up at the end keeps what it holds until the process ends, and who looks for
     * leaks finds it from here. */
    static struct worker worker;
    worker.stage = stage;
    int code = role_open(&worker.role, stage->name, argc);
    if (code != 0) {
        return code;
    }
    struct error err = {0};
    if (!worker_open(&worker, &err)) {
        if (worker.state != NULL) {
            stage->close(worker.state);
        }
        return role_fail(&worker.role, &err);
    }
    code = role_run(&worker.role, worker_drain, &worker);
    engine_free(worker.engine);
    loop_end_offload(
        worker.role.loop); /* jobs that were given up may still be at work with the stage's state */
    stage->close(worker.state);
    role_close(&worker.role);
    return code;
}

int cmd_classifier(int argc, char **argv)
{
    (void)argv;
    return worker_main(&stage_classifier, argc);
}

int cmd_retriever(int argc, char **argv)
{
    (void)argv;
    return worker_main(&stage_retriever, argc);
}

int cmd_generator(int argc, char **argv)
{
    (void)argv;
    return worker_main(&stage_generator, argc);
}

int cmd_kb_sync(int argc, char **argv)
{
    (void)argv;
    return worker_main(&stage_kb_sync, argc);
}

int cmd_logger(int argc, char **argv)
{
    (void)argv;
    return worker_main(&stage_logger, argc);
}
