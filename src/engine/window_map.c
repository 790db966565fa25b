/* The map of finished records: bits, a checksum and base64. */
#include "engine/window_map.h"

#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"

#define VERSION 1
#define HEADER_BYTES 8 /* version, k, count (2), checksum (4) */
#define CHECKSUM_AT 4
#define MAX_K 40
#define ESCAPE 32
#define PLAIN_BITS 48
#define MAX_RUN ((UINT64_C(1) << PLAIN_BITS) - 1)

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static uint32_t fnv(uint32_t hash, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ data[i]) * 16777619U;
    }
    return hash;
}

static uint32_t checksum(const uint8_t *bytes, size_t len, int64_t offset)
{
    uint8_t plain[8];
    for (int i = 0; i < 8; i++) {
        plain[i] = (uint8_t)((uint64_t)offset >> (56 - 8 * i));
    }
    uint32_t hash = fnv(2166136261U, plain, sizeof(plain));
    hash = fnv(hash, bytes, CHECKSUM_AT);
    return fnv(hash, bytes + HEADER_BYTES, len - HEADER_BYTES);
}

/* ---- base64 ---- */

static void encode_base64(const uint8_t *bytes, size_t len, char *out)
{
    for (size_t i = 0; i < len; i += 3) {
        size_t rest = len - i;
        uint32_t three = (uint32_t)bytes[i] << 16 | (rest > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                         (rest > 2 ? bytes[i + 2] : 0);
        *out++ = alphabet[three >> 18];
        *out++ = alphabet[three >> 12 & 63];
        *out++ = rest > 1 ? alphabet[three >> 6 & 63] : '=';
        *out++ = rest > 2 ? alphabet[three & 63] : '=';
    }
    *out = '\0';
}

static int base64_value(char c)
{
    const char *at = c ? strchr(alphabet, c) : NULL;
    return at ? (int)(at - alphabet) : -1;
}

static bool decode_base64(const char *text, size_t chars, uint8_t *bytes, size_t *len)
{
    if (chars == 0 || chars % 4 != 0) {
        return false;
    }
    size_t pad = text[chars - 1] != '=' ? 0 : text[chars - 2] != '=' ? 1 : 2;
    uint32_t bits = 0;
    size_t out = 0;
    for (size_t i = 0; i < chars - pad; i++) {
        int value = base64_value(text[i]);
        if (value < 0) {
            return false;
        }
        bits = bits << 6 | (uint32_t)value;
        if (i % 4 != 0) {
            bytes[out++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
        }
    }
    *len = out;
    return true;
}

/* ---- writing ---- */

void map_begin(struct map_writer *writer, uint64_t mean_run)
{
    memset(writer, 0, sizeof(*writer));
    while (writer->k < MAX_K && mean_run >> (writer->k + 1) > 0) {
        writer->k++;
    }
}

static void put_bits(struct map_writer *writer, uint64_t value, unsigned count)
{
    for (unsigned i = count; i > 0; i--) {
        size_t at = HEADER_BYTES * 8 + writer->bits++;
        if (value >> (i - 1) & 1) {
            writer->bytes[at / 8] |= (uint8_t)(0x80 >> at % 8);
        }
    }
}

static void put_run(struct map_writer *writer, uint64_t run)
{
    uint64_t quotient = run >> writer->k;
    bool plain = quotient >= ESCAPE;
    size_t need = plain ? ESCAPE + PLAIN_BITS : quotient + 1 + writer->k;
    if (writer->full || run > MAX_RUN || writer->count == UINT16_MAX ||
        HEADER_BYTES * 8 + writer->bits + need > WINDOW_MAP_BYTES * 8) {
        writer->full = true;
        return;
    }
    if (plain) {
        put_bits(writer, UINT32_MAX, ESCAPE);
        put_bits(writer, run, PLAIN_BITS);
    } else {
        put_bits(writer, (UINT64_C(1) << (quotient + 1)) - 2, (unsigned)quotient + 1);
        put_bits(writer, run, writer->k);
    }
    writer->count++;
}

/* Those before the run that is put next. All their bits are zero. */
static void put_empty_runs(struct map_writer *writer)
{
    size_t bits = (size_t)writer->k + 1;
    size_t room = (WINDOW_MAP_BYTES * 8 - HEADER_BYTES * 8 - writer->bits) / bits;
    size_t count = writer->empty_runs;
    room = room < UINT16_MAX - writer->count ? room : UINT16_MAX - writer->count;
    if (count > room) {
        count = room;
        writer->full = true;
    }
    writer->bits += count * bits;
    writer->count += count;
    writer->empty_runs -= count;
}

void map_add_run(struct map_writer *writer, uint64_t run)
{
    if (run == 0) {
        writer->empty_runs++;
        return;
    }
    put_empty_runs(writer);
    put_run(writer, run);
}

bool map_finish(struct map_writer *writer, int64_t offset, char out[WINDOW_MAP_SIZE])
{
    out[0] = '\0';
    if (writer->count == 0) {
        return !writer->full;
    }
    size_t len = HEADER_BYTES + (writer->bits + 7) / 8;
    writer->bytes[0] = VERSION;
    writer->bytes[1] = (uint8_t)writer->k;
    writer->bytes[2] = (uint8_t)(writer->count >> 8);
    writer->bytes[3] = (uint8_t)writer->count;
    uint32_t sum = checksum(writer->bytes, len, offset);
    for (int i = 0; i < 4; i++) {
        writer->bytes[CHECKSUM_AT + i] = (uint8_t)(sum >> (24 - 8 * i));
    }
    encode_base64(writer->bytes, len, out);
    return !writer->full;
}

/* ---- reading ---- */

struct map_reader {
    const uint8_t *bytes;
    size_t bits; /* all there are */
    size_t at;
    unsigned k;
    bool failed;
};

static unsigned get_bit(struct map_reader *reader)
{
    if (reader->at >= reader->bits) {
        reader->failed = true;
        return 0;
    }
    size_t at = reader->at++;
    return reader->bytes[at / 8] >> (7 - at % 8) & 1;
}

static uint64_t get_bits(struct map_reader *reader, unsigned count)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < count; i++) {
        value = value << 1 | get_bit(reader);
    }
    return value;
}

static uint64_t get_run(struct map_reader *reader)
{
    uint64_t quotient = 0;
    while (quotient < ESCAPE && get_bit(reader)) {
        quotient++;
    }
    if (quotient == ESCAPE) {
        return get_bits(reader, PLAIN_BITS);
    }
    return quotient << reader->k | get_bits(reader, reader->k);
}

/* Turns runs into the offsets between them. `*end` is past the last run. */
static bool read_runs(struct map_reader *reader, size_t count, int64_t offset, int64_t *left, int64_t *end)
{
    int64_t at = offset; /* an unfinished record */
    for (size_t i = 0; i < count; i++) {
        uint64_t run = get_run(reader);
        if (reader->failed || run > MAX_RUN || at > INT64_MAX - (int64_t)run - 1) {
            return false;
        }
        left[i] = at;
        at += (int64_t)run + 1;
    }
    *end = at;
    return reader->at + 8 > reader->bits; /* nothing follows but padding */
}

static uint32_t stored_checksum(const uint8_t *bytes)
{
    return (uint32_t)bytes[CHECKSUM_AT] << 24 | (uint32_t)bytes[CHECKSUM_AT + 1] << 16 |
           (uint32_t)bytes[CHECKSUM_AT + 2] << 8 | bytes[CHECKSUM_AT + 3];
}

bool map_read(const char *text, int64_t offset, int64_t **left, size_t *count, int64_t *end)
{
    uint8_t bytes[WINDOW_MAP_BYTES];
    size_t len = 0;
    size_t chars = strnlen(text, WINDOW_MAP_SIZE);
    if (chars > WINDOW_MAP_MAX || offset < 0 || !decode_base64(text, chars, bytes, &len) ||
        len <= HEADER_BYTES) {
        return false;
    }
    size_t runs = (size_t)bytes[2] << 8 | bytes[3];
    if (bytes[0] != VERSION || bytes[1] > MAX_K || runs == 0 ||
        stored_checksum(bytes) != checksum(bytes, len, offset)) {
        return false;
    }
    struct map_reader reader = {
        .bytes = bytes + HEADER_BYTES, .bits = (len - HEADER_BYTES) * 8, .k = bytes[1]};
    int64_t *offsets = xcalloc(runs, sizeof(*offsets));
    if (!read_runs(&reader, runs, offset, offsets, end)) {
        free(offsets);
        return false;
    }
    *left = offsets;
    *count = runs;
    return true;
}
