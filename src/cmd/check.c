/* `helpdesk check`: are the settings right, can what they name be read, and does every server answer. */
#include <stdio.h>
#include <string.h>

#include "bus/registry.h"
#include "bus/topics.h"
#include "cmd/check.h"
#include "cmd/cmd.h"
#include "cmd/database.h"
#include "db/db.h"
#include "db/migrate.h"
#include "model/budget.h"
#include "model/chat.h"
#include "model/embed.h"

bool check_line(const char *what, bool ok, const char *detail)
{
    printf("%-10s %s%s%s\n", what, ok ? "ok" : "FAILED", detail[0] ? ": " : "", detail);
    return ok;
}

static bool check_database(const struct conf *conf)
{
    struct error err = {0};
    struct db_session *session = database_session(conf, &err);
    if (session == NULL) {
        return check_line("database", false, err.text);
    }
    struct buf report;
    buf_init(&report, 64 * 1024);
    bool ok = migrate_status(session, &report, &err);
    bool pending = ok && strstr(buf_text(&report), "pending") != NULL;
    db_session_close(session);
    buf_fini(&report);
    if (pending) {
        return check_line("database", false, "migrations are pending: run `helpdesk migrate up`");
    }
    return check_line("database", ok, ok ? "" : err.text);
}

static bool check_broker(const struct conf *conf)
{
    if (conf_text(conf, CONF_KAFKA_BROKERS)[0] == '\0') {
        return check_line("broker", false, "kafka.brokers is not set");
    }
    struct error err = {0};
    struct buf report;
    buf_init(&report, 64 * 1024);
    bool ok = topics_check(conf, &report, &err);
    check_line("broker", ok, ok ? "" : err.text);
    if (!ok) {
        fputs(buf_text(&report), stdout);
    }
    buf_fini(&report);
    return ok;
}

static bool check_registry(const struct conf *conf)
{
    struct error err = {0};
    struct buf report;
    if (conf_text(conf, CONF_SCHEMAS_REGISTRY)[0] == '\0') {
        return true;
    }
    buf_init(&report, 64 * 1024);
    bool ok = registry_report(conf, false, &report, &err);
    check_line("registry", ok, ok ? "" : err.text);
    if (!ok) {
        fputs(buf_text(&report), stdout);
    }
    buf_fini(&report);
    return ok;
}

static bool check_chat(const char *what, const struct chat_options *options)
{
    struct error err = {0};
    bool ok = chat_check(options, &err);
    return check_line(what, ok, err.text);
}

/* Without a server there is nothing to ask. */
static bool check_model(const struct conf *conf)
{
    const struct chat_options options = chat_options_of(conf), strong = chat_strong_options_of(conf);
    if (!chat_drafts(conf)) {
        return check_line("model", true,
            chat_wanted(&options) ? "offline drafts (model.draft is not set)"
                                  : "offline (model.base-url is not set)");
    }
    struct error err = {0};
    struct budget_limits usd = {0}, tokens = {0};
    bool budgets = budget_limits_of(conf, &usd, &tokens, &err);
    budget_limits_fini(&usd);
    budget_limits_fini(&tokens);
    if (!budgets) {
        return check_line("model", false, err.text);
    }
    bool ok = check_chat("model", &options);
    return (strong.model[0] == '\0' || check_chat("stronger", &strong)) && ok;
}

/* One word, which costs next to nothing. */
static bool check_embedding(const struct conf *conf)
{
    const struct chat_options options = embed_options_of(conf);
    struct error err = {0};
    char report[EMBED_REPORT_SIZE];
    if (options.model[0] == '\0') {
        return true;
    }
    bool ok = embed_check(&options, report, &err);
    return check_line("embedding", ok, ok ? report : err.text);
}

int cmd_check(int argc, char **argv)
{
    (void)argv;
    if (argc != 1) {
        return cmd_fail(2, "check", "takes no arguments");
    }
    struct conf *conf = cmd_load_conf();
    if (conf == NULL) {
        return 2;
    }
    check_line("settings", true, "");
    bool files = check_files(conf);
    bool sources = check_sources(conf);
    bool database = check_database(conf);
    bool broker = check_broker(conf);
    bool registry = check_registry(conf);
    bool model = check_model(conf);
    bool embedding = check_embedding(conf);
    conf_free(conf);
    return files && sources && database && broker && registry && model && embedding ? 0 : 1;
}
