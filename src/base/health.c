/* The named conditions that tell whether this process can do its work. */
#include "base/health.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base/log.h"

#define HEALTH_PARTS 16

struct health_part {
    char name[32];
    bool ok;
    char why[256];
};

static pthread_mutex_t health_lock = PTHREAD_MUTEX_INITIALIZER;
static struct health_part parts[HEALTH_PARTS];
static size_t part_count;

static struct health_part *find_part(const char *name)
{
    for (size_t i = 0; i < part_count; i++) {
        if (strcmp(parts[i].name, name) == 0) {
            return &parts[i];
        }
    }
    return NULL;
}

/* True when the part's state is another than before. */
static bool set_part(const char *name, bool ok, const char *why)
{
    pthread_mutex_lock(&health_lock);
    struct health_part *part = find_part(name);
    bool changed = !part || part->ok != ok;
    if (!part) {
        if (part_count == HEALTH_PARTS) {
            abort(); /* a bug: the parts are a handful of names in the code */
        }
        part = &parts[part_count++];
        snprintf(part->name, sizeof(part->name), "%s", name);
    }
    part->ok = ok;
    snprintf(part->why, sizeof(part->why), "%s", ok || !why ? "" : why);
    pthread_mutex_unlock(&health_lock);
    return changed;
}

void health_set(const char *part, bool ok, const char *why)
{
    if (!set_part(part, ok, why)) {
        return;
    }
    if (ok) {
        log_info("part is ready", LOG_STR("part", part));
    } else {
        log_warn("part is not ready", LOG_STR("part", part), LOG_STR("why", why));
    }
}

bool health_ok(const char *part)
{
    pthread_mutex_lock(&health_lock);
    const struct health_part *found = find_part(part);
    bool ok = found && found->ok;
    pthread_mutex_unlock(&health_lock);
    return ok;
}

static bool all_ok(void)
{
    for (size_t i = 0; i < part_count; i++) {
        if (!parts[i].ok) {
            return false;
        }
    }
    return part_count > 0;
}

bool health_ready(void)
{
    pthread_mutex_lock(&health_lock);
    bool ready = all_ok();
    pthread_mutex_unlock(&health_lock);
    return ready;
}

void health_render(struct buf *out)
{
    pthread_mutex_lock(&health_lock);
    buf_printf(out, "{\"status\":\"%s\",\"parts\":{", all_ok() ? "ready" : "not_ready");
    for (size_t i = 0; i < part_count; i++) {
        if (i > 0) {
            buf_putc(out, ',');
        }
        json_put_string(out, parts[i].name);
        buf_putc(out, ':');
        json_put_string(out, parts[i].ok ? "ok" : parts[i].why);
    }
    buf_puts(out, "}}");
    pthread_mutex_unlock(&health_lock);
}
