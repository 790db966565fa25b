/* The skeleton of a role's process. */
#include "cmd/role.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/crash.h"
#include "base/health.h"
#include "base/log.h"
#include "bus/registry.h"
#include "cmd/cmd.h"
#include "msg/codec.h"

#define OFFLOAD_THREADS 2
#define DB_QUERY_TIMEOUT_MS 10000

/* Thousands of waiting requests are as many sockets: take all that the system grants. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int role_open(struct role *role, const char *name, int argc)
{
    memset(role, 0, sizeof *role);
    role->name = name;
    if (argc > 1) {
        return cmd_fail(2, name, "takes no arguments; everything is a setting");
    }
    role->conf = cmd_load_conf();
    if (role->conf == NULL) {
        return 2;
    }
    crash_setup(name);
    log_setup(name, (enum log_level)log_level_parse(conf_text(role->conf, CONF_LOG_LEVEL)));
    signal(SIGPIPE, SIG_IGN);
    raise_file_limit();
    role->loop = loop_new(OFFLOAD_THREADS);
    struct error err = {0};
    role->admin = msg_setup(role->conf, &err) ? admin_new(role->loop, role->conf, &err) : NULL;
    if (role->admin == NULL) {
        return role_fail(role, &err);
    }
    role_publish_address(
        role, "admin", conf_text(role->conf, CONF_ADMIN_HOST), http_server_port(role->admin));
    return 0;
}

bool role_open_db(struct role *role, struct error *err)
{
    role->database = database_open(role->loop, role->conf, DB_QUERY_TIMEOUT_MS, err);
    if (role->database == NULL) {
        return false;
    }
    role->db = database_pool(role->database);
    return true;
}

bool role_open_registry(struct role *role, const char *const *topics, struct error *err)
{
    role->registry = registry_open(role->conf, topics, err);
    return role->registry;
}

void role_publish_address(const struct role *role, const char *what, const char *host, int port)
{
    if (!conf_is_set(role->conf, CONF_RUN_DIR)) {
        return;
    }
    const char *instance = conf_text(role->conf, CONF_INSTANCE);
    char path[512];
    char temporary[520];
    snprintf(path, sizeof path, "%s/%s.%s", conf_text(role->conf, CONF_RUN_DIR),
        instance[0] ? instance : role->name, what);
    snprintf(temporary, sizeof temporary, "%s.new", path);
    FILE *file = fopen(temporary, "we");
    if (file == NULL || fprintf(file, "%s:%d\n", host, port) < 0 || fclose(file) != 0 ||
        rename(temporary, path) != 0) {
        log_warn("address not written", LOG_STR("path", path));
    }
}

int role_run(struct role *role, loop_fn *drain, void *arg)
{
    loop_on_shutdown(role->loop, drain, arg);
    log_info("started", LOG_STR("version", HELPDESK_VERSION));
    int code = loop_run(role->loop);
    log_info("stopped", LOG_INT("code", code));
    return code;
}

void role_close(struct role *role)
{
    if (role->admin != NULL) {
        http_server_free(role->admin);
    }
    database_close(role->database);
    if (role->loop != NULL) {
        loop_free(role->loop);
    }
    if (role->registry) { /* after the loop's threads, which may decode */
        registry_close();
    }
    conf_free(role->conf);
}

int role_fail(struct role *role, const struct error *err)
{
    log_error("cannot start", LOG_STR("code", err->code), LOG_STR("error", err->text));
    role_close(role);
    return 1;
}
