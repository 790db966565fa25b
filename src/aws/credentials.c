/* Credentials at hand, who waits for them, and when they are fetched again. */
#include "aws/credentials.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "aws/source.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/health.h"
#include "base/log.h"
#include "base/metrics.h"

#define HEALTH_PART "credentials"
#define FRESH_MS (5 * 60 * 1000) /* less left: new ones are fetched behind the old ones */
#define LEAST_MS (30 * 1000)     /* less left: a call might come too late, new ones are waited for */
#define PAUSE_MS (30 * 1000)     /* after a fetch that brought nothing newer, if nobody needs to wait */

struct aws_credentials_wait {
    struct aws_credentials_wait *next;
    aws_credentials_done *done; /* NULL: cancelled */
    void *arg;
};

struct aws_credentials {
    struct http_calls *calls;
    struct aws_fetch fetch;
    bool fetching; /* from its start until who waits was told */
    struct loop_timer *tell;
    struct aws_credentials_wait *waits; /* freed when they are told */

    bool have;
    struct sigv4_credentials held;
    char *texts[3];          /* of `held` */
    int64_t expires_ms;      /* wall time; 0: never */
    int64_t next_refresh_ms; /* monotonic */
    struct error err;        /* of the last fetch; ERROR_NONE: it worked */
};

/* ---- what is at hand ---- */

static bool good_for(const struct aws_credentials *credentials, int64_t ms)
{
    return credentials->have &&
           (credentials->expires_ms == 0 || credentials->expires_ms - clock_wall_ms() > ms);
}

static void forget(struct aws_credentials *credentials)
{
    for (size_t i = 0; i < 3; i++) {
        if (credentials->texts[i]) {
            OPENSSL_cleanse(credentials->texts[i], strlen(credentials->texts[i]));
            free(credentials->texts[i]);
        }
        credentials->texts[i] = NULL;
    }
    credentials->have = false;
}

static void keep(struct aws_credentials *credentials, const struct aws_found *found)
{
    forget(credentials);
    credentials->texts[0] = xstrdup(found->access_key_id);
    credentials->texts[1] = xstrdup(found->secret_access_key);
    credentials->texts[2] = xstrdup(found->session_token);
    credentials->held = (struct sigv4_credentials){.access_key_id = credentials->texts[0],
        .secret_access_key = credentials->texts[1],
        .session_token = credentials->texts[2]};
    credentials->expires_ms = found->expires_ms;
    credentials->have = true;
}

/* ---- fetching ---- */

static void count(const char *source, enum aws_outcome outcome)
{
    static const char *const names[] = {[AWS_OK] = "ok",
        [AWS_UNAVAILABLE] = "unavailable",
        [AWS_LATE] = "late",
        [AWS_MISSING] = "missing",
        [AWS_REFUSED] = "refused"};
    char labels[96];
    snprintf(labels, sizeof(labels), "source=\"%s\",outcome=\"%s\"", source, names[outcome]);
    metric_add(metrics_counter("helpdesk_aws_credentials_fetches_total",
                   "Fetches of AWS credentials, by the place that was asked and what came of it", labels),
        1);
}

static void log_fetched(const char *source, int64_t expires_ms)
{
    char expires[CLOCK_RFC3339_SIZE] = "never";
    if (expires_ms > 0) {
        clock_format(expires_ms, expires);
    }
    log_info("AWS credentials fetched", LOG_STR("source", source), LOG_STR("expires", expires));
}

/* Who waits is told at the next turn of the loop: a get never calls back inside itself with what had to be
 * fetched. */
static void on_ended(
    void *arg, enum aws_outcome outcome, const struct aws_found *found, const struct error *err)
{
    struct aws_credentials *credentials = arg;
    const char *source = credentials->fetch.source->name;
    count(source, outcome);
    bool newer = found && found->expires_ms > credentials->expires_ms;
    credentials->next_refresh_ms = newer ? 0 : clock_mono_ms() + PAUSE_MS;
    credentials->err = err ? *err : (struct error){0};
    if (found) {
        keep(credentials, found);
        log_fetched(source, found->expires_ms);
        health_set(HEALTH_PART, true, "");
    } else if (good_for(credentials, 0)) {
        log_warn("AWS credentials not refreshed, the old ones are used", LOG_STR("source", source),
            LOG_STR("code", err->code), LOG_STR("error", err->text));
    } else {
        health_set(HEALTH_PART, false, err->text);
    }
    loop_timer_arm(credentials->tell, 0);
}

static void start_fetch(struct aws_credentials *credentials)
{
    credentials->fetching = true;
    credentials->fetch =
        (struct aws_fetch){.calls = credentials->calls, .ended = on_ended, .arg = credentials};
    aws_fetch_start(&credentials->fetch);
}

static void on_tell(void *arg)
{
    struct aws_credentials *credentials = arg;
    struct error err = credentials->err;
    struct aws_credentials_wait *told = credentials->waits;
    credentials->waits = NULL; /* who gets from now on waits for the next fetch */
    aws_fetch_cancel(&credentials->fetch);
    credentials->fetching = false;
    if (err.disposition == ERROR_NONE && !good_for(credentials, 0)) {
        error_set(&err, ERROR_RETRY, "aws_credentials_unavailable",
            "the credentials expired while they were waited for");
    }
    while (told) {
        struct aws_credentials_wait wait = *told;
        bool good = good_for(credentials, 0);
        free(told);
        told = wait.next;
        if (wait.done) {
            wait.done(wait.arg, good ? &credentials->held : NULL, good ? NULL : &err);
        }
    }
}

/* ---- for callers ---- */

struct aws_credentials *aws_credentials_new(struct loop *loop)
{
    struct aws_credentials *credentials = xcalloc(1, sizeof(*credentials));
    credentials->calls = http_calls_new(loop);
    credentials->tell = loop_timer_new(loop, on_tell, credentials);
    return credentials;
}

void aws_credentials_free(struct aws_credentials *credentials)
{
    if (!credentials) {
        return;
    }
    aws_fetch_cancel(&credentials->fetch);
    for (struct aws_credentials_wait *wait = credentials->waits, *next; wait; wait = next) {
        next = wait->next;
        free(wait);
    }
    loop_timer_free(credentials->tell);
    http_calls_free(credentials->calls);
    forget(credentials);
    free(credentials);
}

void aws_credentials_forget(struct aws_credentials *credentials)
{
    forget(credentials);
    credentials->next_refresh_ms = 0;
}

struct aws_credentials_wait *aws_credentials_get(
    struct aws_credentials *credentials, aws_credentials_done *done, void *arg)
{
    if (good_for(credentials, LEAST_MS)) {
        bool refresh = !good_for(credentials, FRESH_MS) && !credentials->fetching;
        if (refresh && clock_mono_ms() >= credentials->next_refresh_ms) {
            start_fetch(credentials);
        }
        done(arg, &credentials->held, NULL);
        return NULL;
    }
    struct aws_credentials_wait *wait = xcalloc(1, sizeof(*wait));
    *wait = (struct aws_credentials_wait){.next = credentials->waits, .done = done, .arg = arg};
    credentials->waits = wait;
    if (!credentials->fetching) {
        start_fetch(credentials);
    }
    return wait;
}

void aws_credentials_wait_cancel(struct aws_credentials_wait *wait)
{
    wait->done = NULL;
}
