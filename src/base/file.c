/* Reads files whole. */
#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *file_read(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        return strerror(errno);
    }
    char chunk[16 * 1024];
    size_t got;
    while ((got = fread(chunk, 1, sizeof chunk, file)) > 0 && !out->failed) {
        buf_append(out, chunk, got);
    }
    int problem = ferror(file) ? errno : 0;
    (void)fclose(file);
    return problem != 0 ? strerror(problem) : out->failed ? "the file is too large" : NULL;
}
