/* Fuzzes the reader of CSV files: any bytes give records or reasons, and an end. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/utf8.h"
#include "cmd/import_file.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void read_all(struct import_file *file, size_t size)
{
    struct arena *arena = arena_new(0);
    struct import_record record;
    struct error err;
    size_t last = 1, records = 0;
    enum import_read read = import_file_read(file, arena, &record, &err);
    while (read != IMPORT_END) {
        must(record.line >= last && ++records <= size);
        last = record.line;
        for (size_t i = 0; read == IMPORT_RECORD && i < record.count; i++) {
            must(utf8_valid(record.values[i], strlen(record.values[i])));
        }
        read = import_file_read(file, arena, &record, &err);
    }
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    int memory = memfd_create("csv", MFD_CLOEXEC);
    must(memory >= 0 && write(memory, data, size) == (ssize_t)size);
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", memory);
    struct error err;
    struct import_file *file = import_file_open(path, &err);
    if (file != NULL) {
        read_all(file, size);
    }
    import_file_close(file);
    (void)close(memory);
    return 0;
}
