/* GET /health for people and the reference's clients, /health/live and /health/ready for probes. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/health.h"
#include "base/json.h"
#include "gateway/internal.h"

static const char *const needed[] = {"broker", "database", "replies"};

bool gateway_ready(void)
{
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        if (!health_ok(needed[i])) {
            return false;
        }
    }
    return true;
}

void handle_health(struct http_request *request, void *arg)
{
    struct gateway *gateway = arg;
    char now[CLOCK_RFC3339_SIZE];
    struct buf body;
    clock_format(clock_wall_ms(), now);
    buf_init(&body, 4096);
    buf_printf(&body, "{\"status\":\"%s\",\"environment\":", gateway_ready() ? "healthy" : "degraded");
    json_put_string(&body, conf_text(gateway->conf, CONF_ENVIRONMENT));
    /* What the broker acknowledged survives its restart, or does not. */
    buf_printf(
        &body, ",\"timestamp\":\"%s\",\"durability\":\"%s\"}", now, gateway->embedded ? "none" : "broker");
    http_respond_json(request, 200, buf_text(&body));
    buf_fini(&body);
}

void handle_health_live(struct http_request *request, void *arg)
{
    (void)arg;
    http_respond_json(request, 200, "{\"status\":\"live\"}");
}

void handle_health_ready(struct http_request *request, void *arg)
{
    (void)arg;
    if (gateway_ready()) {
        http_respond_json(request, 200, "{\"status\":\"ready\"}");
        return;
    }
    struct buf why;
    buf_init(&why, 256);
    buf_puts(&why, "Waiting for:");
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        if (!health_ok(needed[i])) {
            buf_printf(&why, " %s", needed[i]);
        }
    }
    http_respond_retry(request, 503, buf_text(&why), RETRY_AFTER_S);
    buf_fini(&why);
}
