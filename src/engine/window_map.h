/* The map of finished records in a commit's metadata: text of at most 4096 characters (Kafka's default limit,
 * offset.metadata.max.bytes; raw bytes do not survive it).
 *
 * Base64 (RFC 4648) of: version 1; Rice parameter k; count, 2 bytes; FNV-1a of all the rest and the committed
 * offset, 4 bytes; then bits, the highest first. For each unfinished record, the committed offset being the
 * first of them, the length of the run of finished ones after it: quotient by 2^k in unary (ones, then a
 * zero) and k bits of remainder; 32 ones are followed by 48 plain bits. Numbers are big-endian; padding is
 * zero. An empty text: nothing is finished beyond the offset. Half of 10,000 records unfinished in random
 * order takes about 1,700 characters. */
#ifndef HELPDESK_ENGINE_WINDOW_MAP_H
#define HELPDESK_ENGINE_WINDOW_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WINDOW_MAP_MAX 4096
#define WINDOW_MAP_SIZE (WINDOW_MAP_MAX + 1)
#define WINDOW_MAP_BYTES (WINDOW_MAP_MAX / 4 * 3)

struct map_writer {
    uint8_t bytes[WINDOW_MAP_BYTES];
    size_t bits;
    unsigned k;
    size_t count;
    size_t empty_runs; /* not written yet: those at the end say nothing */
    bool full;
};

/* `mean_run`: about how long the runs are; it decides k only. */
void map_begin(struct map_writer *writer, uint64_t mean_run);
/* The run of finished records after the next unfinished one. Once one did not fit, the rest are dropped. */
void map_add_run(struct map_writer *writer, uint64_t run);
/* False when the map was cut. */
bool map_finish(struct map_writer *writer, int64_t offset, char out[WINDOW_MAP_SIZE]);

/* Reads a map committed with `offset`: `*left` (free()) are the unfinished offsets, ascending, `offset` the
 * first; all others below `*end` are finished. False when it is unreadable. */
bool map_read(const char *text, int64_t offset, int64_t **left, size_t *count, int64_t *end);

#endif
