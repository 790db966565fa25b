/* Reading a settings file with libinih, line numbers included. */
#include "conf/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX_BYTES ((size_t)1 << 20)
#define FILE_MAX_LINE 8192

struct file_reader {
    const char *path;
    const char *at, *end;
    unsigned line; /* the one handed out last */
    conf_file_fn *fn;
    void *arg;
    struct buf *problems;
};

/* fgets() for libinih over the file's bytes. */
static char *read_line(char *out, int size, void *arg)
{
    struct file_reader *reader = arg;
    if (reader->at == reader->end) {
        return NULL;
    }
    reader->line++;
    const char *newline = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));
    size_t len = (size_t)((newline ? newline : reader->end) - reader->at);
    size_t keep = len;
    if (keep > (size_t)size - 2) {
        buf_printf(reader->problems, "%s:%u: the line is longer than %d bytes\n", reader->path, reader->line,
            size - 2);
        keep = 0;
    }
    if (memchr(reader->at, '\0', keep)) {
        buf_printf(reader->problems, "%s:%u: the line holds a NUL byte\n", reader->path, reader->line);
        keep = 0;
    }
    memcpy(out, reader->at, keep);
    out[keep] = '\n';
    out[keep + 1] = '\0';
    reader->at += len + (newline != NULL);
    return out;
}

static int take_pair(void *arg, const char *section, const char *key, const char *value)
{
    struct file_reader *reader = arg;
    char where[300], name[128];
    snprintf(where, sizeof(where), "%s:%u", reader->path, reader->line);
    snprintf(name, sizeof(name), "%s%s%s", section, *section ? "." : "", key);
    reader->fn(reader->arg, where, name, value ? value : "");
    return 1;
}

static bool read_bytes(const char *path, struct buf *bytes, struct buf *problems)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char chunk[4096];
    ssize_t got = fd < 0 ? -1 : 1;
    while (got > 0) {
        got = read(fd, chunk, sizeof(chunk));
        if (got > 0) {
            buf_append(bytes, chunk, (size_t)got);
        }
        if (bytes->failed) {
            break;
        }
    }
    if (got < 0) {
        buf_printf(problems, "%s: cannot be read: %s\n", path, strerror(errno));
    } else if (bytes->failed) {
        buf_printf(problems, "%s: larger than %zu bytes\n", path, FILE_MAX_BYTES);
    }
    if (fd >= 0) {
        close(fd);
    }
    return got >= 0 && !bytes->failed;
}

void conf_file_read(const char *path, conf_file_fn *fn, void *arg, struct buf *problems)
{
    struct buf bytes;
    buf_init(&bytes, FILE_MAX_BYTES);
    if (read_bytes(path, &bytes, problems)) {
        struct file_reader reader = {.path = path, .fn = fn, .arg = arg, .problems = problems};
        reader.at = buf_text(&bytes);
        reader.end = reader.at + bytes.len;
        ini_use_stack = false; /* whose lines end at 200 bytes: too short for a connection string */
        ini_initial_alloc = ini_max_line = FILE_MAX_LINE;
        int wrong = ini_parse_stream(read_line, &reader, take_pair, &reader);
        if (wrong > 0) {
            buf_printf(problems, "%s:%d: neither [section] nor key = value\n", path, wrong);
        } else if (wrong < 0) {
            buf_printf(problems, "%s: cannot be read: out of memory\n", path);
        }
    }
    buf_fini(&bytes);
}
