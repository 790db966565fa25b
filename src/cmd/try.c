/* `helpdesk try STAGE < record.json`: one stage on one record, without a broker. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "cmd/cmd.h"
#include "cmd/database.h"
#include "cmd/role.h"
#include "stages/stage.h"

#define TRY_MAX_INPUT (2 * 1024 * 1024)

struct attempt {
    struct role role;
    const struct ticket_step *step;
    struct arena *arena;
    void *state;
};

static const struct ticket_step *const steps[] = {&classifier_step, &retriever_step, &generator_step};

static void attempt_done(void *arg, struct msg_ticket_event *event, const struct error *err)
{
    struct attempt *attempt = arg;
    if (err != NULL && err->disposition != ERROR_NONE) {
        cmd_fail(1, "try", "%s: %s (%s)", err->code, err->text, error_disposition_name(err->disposition));
        loop_stop(attempt->role.loop, 1);
        return;
    }
    cJSON *json = msg_to_json(&msg_ticket_event, event);
    char *text = cJSON_Print(json);
    puts(text);
    cJSON_free(text);
    cJSON_Delete(json);
    loop_stop(attempt->role.loop, 0);
}

static struct msg_ticket_event *attempt_read(struct attempt *attempt, struct error *err)
{
    struct buf text;
    buf_init(&text, TRY_MAX_INPUT);
    char chunk[16 * 1024];
    size_t got;
    while ((got = fread(chunk, 1, sizeof chunk, stdin)) > 0) {
        buf_append(&text, chunk, got);
    }
    struct msg_ticket_event *event = NULL;
    if (text.failed) {
        error_set(err, ERROR_REJECT, "too_large", "the record is over %d bytes", TRY_MAX_INPUT);
    } else {
        cJSON *json = json_parse(buf_text(&text), text.len, err);
        if (json != NULL) {
            event = msg_from_json(&msg_ticket_event, attempt->arena, json, err);
            cJSON_Delete(json);
        }
    }
    buf_fini(&text);
    return event;
}

/* Models that cost money are asked within budgets, if there is a database that keeps them. */
static bool attempt_open_db(struct attempt *attempt, struct error *err)
{
    const struct conf *conf = attempt->role.conf;
    bool spends = attempt->step->spends != NULL && attempt->step->spends(conf);
    bool has_database = database_named(conf, NULL);
    if (spends && !has_database) {
        log_warn("no database is set: what the model costs is not counted");
    }
    return (attempt->step != &retriever_step && !(spends && has_database)) ||
           role_open_db(&attempt->role, err);
}

static bool attempt_start(struct attempt *attempt, struct error *err)
{
    struct msg_ticket_event *event = attempt_read(attempt, err);
    if (event == NULL) {
        return false;
    }
    if (!attempt_open_db(attempt, err)) {
        return false;
    }
    const struct stage_env env = {
        .loop = attempt->role.loop, .conf = attempt->role.conf, .db = attempt->role.db, .unbudgeted = true};
    attempt->state = attempt->step->open(&env, err);
    if (attempt->state == NULL) {
        return false;
    }
    ticket_step_try(attempt->step, attempt->state, attempt->arena, event, attempt_done, attempt);
    return true;
}

static void attempt_interrupted(void *arg)
{
    struct attempt *attempt = arg;
    loop_stop(attempt->role.loop, 1);
}

int cmd_try(int argc, char **argv)
{
    struct attempt attempt = {0};
    for (size_t i = 0; argc == 2 && i < sizeof steps / sizeof steps[0]; i++) {
        if (strcmp(argv[1], steps[i]->name) == 0) {
            attempt.step = steps[i];
        }
    }
    if (attempt.step == NULL) {
        return cmd_fail(2, "try",
            "say classifier, retriever or generator, and give a TicketEvent as JSON on standard input");
    }
    int code = role_open(&attempt.role, "try", 1);
    if (code != 0) {
        return code;
    }
    attempt.arena = arena_new(0);
    struct error err = {0};
    if (attempt_start(&attempt, &err)) {
        code = role_run(&attempt.role, attempt_interrupted, &attempt);
    } else {
        code = cmd_fail(1, "try", "%s", err.text);
    }
    if (attempt.state != NULL) {
        attempt.step->close(attempt.state);
    }
    arena_free(attempt.arena);
    role_close(&attempt.role);
    return code;
}
