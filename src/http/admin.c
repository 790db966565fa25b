/* The admin listener: metrics and health, for operators and probes. */
#include "http/admin.h"

#include "base/health.h"
#include "base/log.h"
#include "base/metrics.h"

#define ADMIN_MAX_BODY 1024
#define ADMIN_READ_DEADLINE_MS 5000
#define METRICS_MAX ((size_t)4 << 20)
#define HEALTH_MAX ((size_t)64 << 10)

static void get_metrics(struct http_request *request, void *arg)
{
    (void)arg;
    struct buf out;
    buf_init(&out, METRICS_MAX);
    metrics_render(&out);
    if (out.failed) {
        http_respond_problem(request, 500, "There are more metrics than fit into one answer.");
    } else {
        http_respond(request, 200, "text/plain; version=0.0.4; charset=utf-8", buf_text(&out), out.len);
    }
    buf_fini(&out);
}

static void get_live(struct http_request *request, void *arg)
{
    (void)arg;
    http_respond_json(request, 200, "{\"status\":\"live\"}");
}

static void get_ready(struct http_request *request, void *arg)
{
    (void)arg;
    struct buf out;
    buf_init(&out, HEALTH_MAX);
    health_render(&out);
    http_respond_json(request, health_ready() ? 200 : 503, buf_text(&out));
    buf_fini(&out);
}

static const struct http_route routes[] = {
    {"GET", "/metrics", get_metrics},
    {"GET", "/health/live", get_live},
    {"GET", "/health/ready", get_ready},
    {NULL, NULL, NULL},
};

struct http_server *admin_new(struct loop *loop, const struct conf *conf, struct error *err)
{
    struct http_server_options options = {
        .name = "admin",
        .host = conf_text(conf, CONF_ADMIN_HOST),
        .port = (int)conf_int(conf, CONF_ADMIN_PORT),
        .max_body = ADMIN_MAX_BODY,
        .read_deadline_ms = ADMIN_READ_DEADLINE_MS,
        .routes = routes,
    };
    struct http_server *server = http_server_new(loop, &options, err);
    if (server) {
        log_info(
            "admin listener ready", LOG_STR("host", options.host), LOG_INT("port", http_server_port(server)));
    }
    return server;
}
