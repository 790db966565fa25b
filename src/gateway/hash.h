/* Hashes: SHA-256 for what must not collide, FNV-1a for tables and partitions. */
#ifndef HELPDESK_GATEWAY_HASH_H
#define HELPDESK_GATEWAY_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_HEX_SIZE 65

void hash_hex(const void *data, size_t len, char out[HASH_HEX_SIZE]); /* SHA-256 in lower-case hexadecimal */
uint32_t hash_fnv(const char *text);

#endif
