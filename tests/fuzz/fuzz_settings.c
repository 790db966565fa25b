/* Any bytes as a settings file, and as the value of every setting. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void load_file(const uint8_t *data, size_t size)
{
    static int fd = -1;
    char path[64];
    if (fd < 0)
        fd = memfd_create("settings", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
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
    return 0;
}
