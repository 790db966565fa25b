/* `helpdesk up`: all roles that the settings ask for as child processes, around the embedded broker unless
 * kafka.brokers names a real one. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "bus/topics.h"
#include "cmd/child.h"
#include "cmd/cmd.h"
#include "cmd/database.h"
#include "db/migrate.h"
#include "http/client.h"
#include "loop/loop.h"

#define UP_MAX_INSTANCES 16
#define UP_MAX_CHILDREN (6 * UP_MAX_INSTANCES + 1) /* and one bridge */
#define UP_TICK_MS 100
#define UP_GRACE_MS 40000 /* for a child: engine.drain-timeout, the last commit, leaving the group */
#define UP_BROKER_START_MS 10000
#define UP_SERVER_WAIT_MS 60000 /* for the database and the broker to come */
#define UP_BACKOFF_CAP_MS 10000

enum up_phase { UP_RUNNING, UP_RESTARTING, UP_STOPPING };

struct up {
    struct conf *conf;
    struct loop *loop;
    struct loop_timer *tick;
    enum up_phase phase;
    bool embedded;
    char brokers[256];
    struct child broker;
    struct child children[UP_MAX_CHILDREN];
    int count;
    int lock;
    int code;
    bool announced;
    bool probing;
};

/* Roles in the order in which they stop: first who takes work in, last who writes it down. */
static const struct {
    const char *role;
    int stop_order;
} up_roles[] = {{"gateway", 0}, {"bridge", 0}, {"classifier", 1}, {"retriever", 1}, {"generator", 1},
    {"kb-sync", 1}, {"logger", 2}};

static bool is_gateway(const char *role)
{
    return !strcmp(role, "gateway");
}

static const char *run_dir(const struct up *up)
{
    return conf_text(up->conf, CONF_RUN_DIR);
}

static void up_withdraw_ready(struct up *up)
{
    char path[512];
    up->announced = false;
    snprintf(path, sizeof path, "%s/ready", run_dir(up));
    unlink(path);
}

/* ---- before the roles start ---- */

static bool up_take_lock(struct up *up, struct error *err)
{
    char path[512];
    if (mkdir(run_dir(up), 0755) != 0 && errno != EEXIST) {
        return error_set(
            err, ERROR_FATAL, "run_dir", "cannot make run.dir %s: %s", run_dir(up), strerror(errno));
    }
    snprintf(path, sizeof path, "%s/lock", run_dir(up));
    up->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (up->lock < 0 || flock(up->lock, LOCK_EX | LOCK_NB) != 0) {
        return error_set(
            err, ERROR_FATAL, "already_running", "another `helpdesk up` runs in %s", run_dir(up));
    }
    up_withdraw_ready(up);
    return true;
}

/* Waits for a server that may still be starting: tries `attempt` until it succeeds or the time is over. */
static bool up_wait_for(const struct up *up, const char *what,
    bool (*attempt)(const struct up *up, struct error *err), struct error *err)
{
    int64_t until = clock_mono_ms() + UP_SERVER_WAIT_MS;
    bool told = false;
    while (!attempt(up, err)) {
        if (err->disposition == ERROR_FATAL || clock_mono_ms() > until) {
            return false;
        }
        if (!told) {
            log_info("waiting for a server", LOG_STR("server", what), LOG_STR("error", err->text));
            told = true;
        }
        poll(NULL, 0, 500);
    }
    return true;
}

static bool up_migrate(const struct up *up, struct error *err)
{
    char *url = database_url(up->conf, err);
    bool ok = url != NULL && migrate_to_newest(url, err);
    database_url_free(url);
    return ok;
}

static bool up_topics(const struct up *up, struct error *err)
{
    struct buf report;
    buf_init(&report, 64 * 1024);
    bool ok = topics_apply(up->conf, &report, err);
    buf_fini(&report);
    return ok;
}

/* What the embedded broker held is gone with it: its runs are told as failed, so that they can be sent again.
 */
static void up_fail_unfinished(const struct up *up)
{
    struct error err = {0};
    struct db_session *session = database_session(up->conf, &err);
    const struct db_query query = {.sql = "SELECT fail_unfinished_runs()"};
    struct db_result *result = session != NULL ? db_session_query(session, &query, &err) : NULL;
    if (result == NULL) {
        log_warn("lost runs are not marked", LOG_STR("code", err.code));
    } else if (db_int(result, 0, 0) > 0) {
        log_warn("runs were lost with the embedded broker", LOG_INT("runs", db_int(result, 0, 0)));
    }
    db_result_free(result);
    if (session != NULL) {
        db_session_close(session);
    }
}

/* Starts the embedded broker and learns the address that it prints. */
static bool up_start_broker(struct up *up, struct error *err)
{
    int output;
    struct child_env env = {0};
    child_env_add(&env, "HELPDESK_ADMIN_PORT", "0");
    child_env_add(&env, "HELPDESK_RUN_DIR", "%s", run_dir(up));
    snprintf(up->broker.role, sizeof up->broker.role, "broker");
    snprintf(up->broker.instance, sizeof up->broker.instance, "broker");
    if (!child_start(&up->broker, &env, &output)) {
        return error_set(err, ERROR_FATAL, "fork_failed", "cannot start the broker: %s", strerror(errno));
    }
    up_fail_unfinished(up);
    size_t got = 0;
    struct pollfd ready = {.fd = output, .events = POLLIN};
    while (got < sizeof up->brokers - 1 && poll(&ready, 1, UP_BROKER_START_MS) == 1) {
        ssize_t n = read(output, up->brokers + got, sizeof up->brokers - 1 - got);
        if (n <= 0) {
            break;
        }
        got += (size_t)n;
        if (up->brokers[got - 1] == '\n') {
            up->brokers[got - 1] = '\0';
            close(output);
            return true;
        }
    }
    close(output);
    return error_set(err, ERROR_FATAL, "broker_failed", "the embedded broker did not start");
}

static bool up_prepare(struct up *up, struct error *err)
{
    if (!database_named(up->conf, err)) {
        return false;
    }
    snprintf(up->brokers, sizeof up->brokers, "%s", conf_text(up->conf, CONF_KAFKA_BROKERS));
    up->embedded = up->brokers[0] == '\0';
    if (!up_take_lock(up, err) || !up_wait_for(up, "database", up_migrate, err)) {
        return false;
    }
    if (up->embedded) {
        return up_start_broker(up, err);
    }
    return up_wait_for(up, "broker", up_topics, err);
}

/* ---- the children ---- */

static int up_instances(const struct up *up, const char *role, int workers, int gateways)
{
    if (!strcmp(role, "bridge")) { /* it waits for SQS, most of the time: one is enough */
        return *conf_text(up->conf, CONF_BRIDGE_KB_QUEUE) || *conf_text(up->conf, CONF_BRIDGE_TICKETS_QUEUE);
    }
    return is_gateway(role) ? gateways : workers;
}

static void up_add_children(struct up *up, int workers, int gateways)
{
    for (size_t r = 0; r < sizeof up_roles / sizeof up_roles[0]; r++) {
        int instances = up_instances(up, up_roles[r].role, workers, gateways);
        for (int i = 1; i <= instances && up->count < UP_MAX_CHILDREN; i++) {
            struct child *child = &up->children[up->count++];
            snprintf(child->role, sizeof child->role, "%s", up_roles[r].role);
            snprintf(child->instance, sizeof child->instance, "%s-%d", up_roles[r].role, i);
            child->stop_order = up_roles[r].stop_order;
        }
    }
}

static bool up_start_child(struct up *up, struct child *child, int index_in_role)
{
    struct child_env env = {0};
    child_env_add(&env, "HELPDESK_KAFKA_BROKERS", "%s", up->brokers);
    child_env_add(&env, "HELPDESK_KAFKA_EMBEDDED", "%s", up->embedded ? "true" : "false");
    child_env_add(&env, "HELPDESK_RUN_DIR", "%s", run_dir(up));
    child_env_add(&env, "HELPDESK_ADMIN_PORT", "0");
    if (up->embedded && !conf_is_set(up->conf, CONF_ENGINE_DELIVERY)) {
        child_env_add(&env, "HELPDESK_ENGINE_DELIVERY", "at_least_once");
    }
    if (is_gateway(child->role)) {
        int64_t port = conf_int(up->conf, CONF_GATEWAY_PORT);
        child_env_add(&env, "HELPDESK_PORT", "%lld", (long long)(port == 0 ? 0 : port + index_in_role));
        child_env_add(&env, "HELPDESK_GATEWAY_REPLIES_PARTITION", "%lld",
            (long long)(index_in_role % conf_int(up->conf, CONF_KAFKA_PARTITIONS)));
    }
    return child_start(child, &env, NULL);
}

static void up_start_due(struct up *up, int64_t now)
{
    const char *role = "";
    int index_in_role = 0;
    for (int i = 0; i < up->count; i++) {
        struct child *child = &up->children[i];
        index_in_role = strcmp(child->role, role) == 0 ? index_in_role + 1 : 0;
        role = child->role;
        if (child->pid == 0 && child->start_at <= now && !up_start_child(up, child, index_in_role)) {
            child->start_at = now + UP_BACKOFF_CAP_MS;
        }
    }
}

/* Ends whoever is alive in stop order; true when nobody is left. */
static bool up_stop_all(struct up *up, int64_t now)
{
    for (int order = 0; order <= 2; order++) {
        bool alive = false;
        for (int i = 0; i < up->count; i++) {
            if (up->children[i].stop_order == order && up->children[i].pid != 0) {
                child_stop(&up->children[i], now, UP_GRACE_MS);
                alive = true;
            }
        }
        if (alive) {
            return false;
        }
    }
    child_stop(&up->broker, now, UP_GRACE_MS);
    return up->broker.pid == 0;
}

static void up_reap(struct up *up, int64_t now)
{
    for (int i = 0; i < up->count; i++) {
        struct child *child = &up->children[i];
        if (child_reap(child)) {
            int64_t delay =
                child->signalled_at != 0 ? 0 : 200LL << (child->restarts < 6 ? child->restarts : 6);
            child->restarts += child->signalled_at == 0;
            child->start_at = now + (delay < UP_BACKOFF_CAP_MS ? delay : UP_BACKOFF_CAP_MS);
        }
    }
    if (child_reap(&up->broker) && up->phase == UP_RUNNING) {
        log_warn("the embedded broker is gone with all it held: everything starts again");
        up->phase = UP_RESTARTING;
        up_withdraw_ready(up);
    }
}

/* ---- telling when all of them are ready ---- */

struct probe {
    struct up *up;
    bool ready[UP_MAX_CHILDREN];
};

static bool probe_child(const struct up *up, const struct child *child)
{
    char path[512];
    char address[128] = "";
    snprintf(path, sizeof path, "%s/%s.admin", run_dir(up), child->instance);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    bool read = fgets(address, sizeof address, file) != NULL;
    fclose(file);
    address[strcspn(address, "\n")] = '\0';
    char url[192];
    snprintf(url, sizeof url, "http://%s/health/ready", address);
    struct http_fetch_result result = {0};
    bool ok = read &&
              http_fetch(&(struct http_fetch_request){.method = "GET", .url = url, .timeout_ms = 1000},
                  &result, NULL) &&
              result.status == 200;
    http_fetch_result_fini(&result);
    return ok;
}

static void probe_work(void *arg)
{
    struct probe *probe = arg;
    for (int i = 0; i < probe->up->count; i++) {
        probe->ready[i] = probe->up->children[i].pid != 0 && probe_child(probe->up, &probe->up->children[i]);
        if (!probe->ready[i]) {
            return;
        }
    }
}

static void up_announce(struct up *up)
{
    up->announced = true;
    char path[512];
    snprintf(path, sizeof path, "%s/ready", run_dir(up));
    FILE *file = fopen(path, "we");
    if (file == NULL || fprintf(file, "%s\n", up->brokers) < 0 || fclose(file) != 0) {
        log_warn("ready file not written", LOG_STR("path", path));
    }
    log_info("all roles are ready", LOG_INT("children", up->count));
}

static void probe_done(void *arg)
{
    struct probe *probe = arg;
    struct up *up = probe->up;
    up->probing = false;
    bool all = true;
    for (int i = 0; i < up->count; i++) {
        up->children[i].ready = probe->ready[i];
        all = all && probe->ready[i];
    }
    free(probe);
    if (all && !up->announced && up->phase == UP_RUNNING) {
        up_announce(up);
    }
}

/* ---- the tick ---- */

static void up_restart(struct up *up, int64_t now)
{
    if (!up_stop_all(up, now)) {
        return;
    }
    struct error err = {0};
    if (!up_start_broker(up, &err)) {
        log_error("cannot restart", LOG_STR("error", err.text));
        up->code = 1;
        up->phase = UP_STOPPING;
        return;
    }
    up->phase = UP_RUNNING;
}

static void up_on_tick(void *arg)
{
    struct up *up = arg;
    int64_t now = clock_mono_ms();
    up_reap(up, now);
    if (up->phase == UP_RESTARTING) {
        up_restart(up, now);
    }
    if (up->phase == UP_STOPPING && up_stop_all(up, now)) {
        loop_stop(up->loop, up->code);
        return;
    }
    if (up->phase == UP_RUNNING) {
        up_start_due(up, now);
        if (!up->announced && !up->probing) {
            struct probe *probe = xcalloc(1, sizeof *probe);
            probe->up = up;
            up->probing = true;
            loop_offload(up->loop, probe_work, probe_done, probe);
        }
    }
    loop_timer_arm(up->tick, UP_TICK_MS);
}

static void up_on_shutdown(void *arg)
{
    struct up *up = arg;
    up->phase = UP_STOPPING;
}

static bool up_count_option(const char *text, int *out)
{
    int64_t value;
    if (!parse_int64(text, &value) || value < 1 || value > UP_MAX_INSTANCES) {
        return false;
    }
    *out = (int)value;
    return true;
}

static bool up_options(int argc, char **argv, int *workers, int *gateways)
{
    static const struct option options[] = {
        {"workers", required_argument, NULL, 'w'}, {"gateways", required_argument, NULL, 'g'}, {0}};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if ((option == 'w' && up_count_option(optarg, workers)) ||
            (option == 'g' && up_count_option(optarg, gateways))) {
            continue;
        }
        return false;
    }
    return optind == argc;
}

int cmd_up(int argc, char **argv)
{
    int workers = 1;
    int gateways = 1;
    if (!up_options(argc, argv, &workers, &gateways)) {
        return cmd_fail(
            2, "up", "usage: helpdesk up [--workers N] [--gateways N], N from 1 to %d", UP_MAX_INSTANCES);
    }
    static struct up up;
    up.conf = cmd_load_conf();
    if (up.conf == NULL) {
        return 2;
    }
    log_setup("up", (enum log_level)log_level_parse(conf_text(up.conf, CONF_LOG_LEVEL)));
    struct error err = {0};
    if (!up_prepare(&up, &err)) {
        child_stop(&up.broker, clock_mono_ms(), 0);
        conf_free(up.conf);
        return cmd_fail(1, "up", "%s", err.text);
    }
    up_add_children(&up, workers, gateways);
    up.loop = loop_new(1);
    up.tick = loop_timer_new(up.loop, up_on_tick, &up);
    loop_on_shutdown(up.loop, up_on_shutdown, &up);
    loop_timer_arm(up.tick, 0);
    int code = loop_run(up.loop);
    loop_timer_free(up.tick);
    loop_free(up.loop);
    char path[512];
    up_withdraw_ready(&up);
    snprintf(path, sizeof path, "%s/lock", run_dir(&up));
    unlink(path);
    close(up.lock);
    conf_free(up.conf);
    return code;
}
