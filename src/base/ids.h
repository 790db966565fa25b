/* UUIDs (RFC 9562): version 7 for new things, version 5 for things derived from others. */
#ifndef HELPDESK_BASE_IDS_H
#define HELPDESK_BASE_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UUID_TEXT_SIZE 37

void uuid_v7(char out[UUID_TEXT_SIZE]); /* monotonic within the process; any thread */
/* UUIDv5 of `name` under the project's own namespace: the same name gives the same id everywhere. */
void uuid_v5(const char *name, size_t len, char out[UUID_TEXT_SIZE]);
/* UUIDv5 of "parent/step/index": the id of an event's child. */
void uuid_child(const char *parent, const char *step, unsigned index, char out[UUID_TEXT_SIZE]);
bool uuid_valid(const char *text);
bool uuid_v7_time(const char *text, int64_t *wall_ms); /* false when `text` is no UUIDv7 */

#endif
