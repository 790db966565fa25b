/* Any bytes as a settings file, as the value of every setting, and as prices of models, in rows and in a
 * file, and as limits of budgets. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "conf/conf.h"
#include "model/budget_limits.h"
#include "model/price.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file that holds the bytes; lives until the next call. */
static const char *file_of(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static char path[64];
    if (fd < 0)
        fd = memfd_create("settings", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return path;
}

static void find_price(const char *prices)
{
    struct price price = {-1, -1};
    struct error err = {0};
    bool found = price_find(prices, "some-model", "https://models.example/v1", &price, &err);
    if (found ? price.input < 0 || price.output < 0 : !*err.text)
        abort(); /* a price is one, and a refusal always says why */
}

static void read_prices(const uint8_t *data, size_t size)
{
    char rows[256];
    find_price(file_of(data, size));
    if (size < sizeof(rows) && memchr(data, '=', size)) { /* else it is the path of a file */
        memcpy(rows, data, size);
        rows[size] = '\0';
        find_price(rows);
    }
}

static void read_limits(const uint8_t *data, size_t size)
{
    char text[4096];
    struct budget_limits limits;
    struct error err = {0};
    if (size == 0 || size > sizeof(text))
        return;
    bool whole = data[0] & 1;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    if (!budget_limits_parse("budget", text, whole, &limits, &err)) {
        if (!*err.text || limits.of)
            abort();
        return;
    }
    for (size_t i = 0; i <= limits.count; i++) {
        double limit = i < limits.count ? budget_limit_of(&limits, limits.of[i].tenant) : limits.all;
        if (!(limit >= 0 && limit <= BUDGET_LIMIT_MAX))
            abort();
    }
    budget_limits_fini(&limits);
}

static void load_file(const uint8_t *data, size_t size)
{
    const char *path = file_of(data, size);
    struct buf problems;
    buf_init(&problems, (size_t)4 << 20);
    struct conf *conf = conf_load(path, &problems);
    if (!conf && problems.len == 0)
        abort(); /* a refusal always says why */
    conf_free(conf);
    buf_fini(&problems);
}

static void set_each(const uint8_t *data, size_t size)
{
    char value[256];
    if (size >= sizeof(value))
        return;
    memcpy(value, data, size);
    value[size] = '\0';
    struct buf problems, current;
    buf_init(&problems, 4096);
    buf_init(&current, (size_t)1 << 20);
    struct conf *conf = conf_load(NULL, &problems);
    if (!conf)
        abort();
    for (int id = 0; id < CONF_COUNT; id++) {
        struct error err = {0};
        if (!conf_set(conf, conf_name((enum conf_id)id), value, &err) && !*err.text)
            abort();
    }
    struct error err;
    conf_set(conf, value, "1", &err);
    conf_render_current(conf, &current);
    conf_free(conf);
    buf_fini(&problems);
    buf_fini(&current);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    load_file(data, size);
    set_each(data, size);
    read_prices(data, size);
    read_limits(data, size);
    return 0;
}
