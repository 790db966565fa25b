/* Wall time for what others see, monotonic time for what this process measures. */
#ifndef HELPDESK_BASE_CLOCK_H
#define HELPDESK_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define CLOCK_RFC3339_SIZE 32

int64_t clock_wall_ms(void);
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);
void clock_format(
    int64_t wall_ms, char out[CLOCK_RFC3339_SIZE]);   /* RFC 3339 in UTC: 2026-11-22T10:00:00.000Z */
bool clock_parse(const char *text, int64_t *wall_ms); /* any RFC 3339 date-time with offset or Z */

#endif
