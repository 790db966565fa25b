/* Wall and monotonic time, and RFC 3339 date-times. */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

#define MS_PER_DAY INT64_C(86400000)
#define WALL_MIN INT64_C(-62167219200000) /* 0000-01-01 */
#define WALL_MAX INT64_C(253402300799999) /* the last of 9999 */

static int64_t clock_us(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_wall_ms(void)
{
    return clock_us(CLOCK_REALTIME) / 1000;
}

int64_t clock_mono_ms(void)
{
    return clock_us(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_mono_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}

void clock_format(int64_t wall_ms, char out[CLOCK_RFC3339_SIZE])
{
    if (wall_ms < WALL_MIN) {
        wall_ms = WALL_MIN;
    }
    if (wall_ms > WALL_MAX) {
        wall_ms = WALL_MAX;
    }
    int64_t ms = (wall_ms % 1000 + 1000) % 1000;
    time_t seconds = (time_t)((wall_ms - ms) / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    snprintf(out, CLOCK_RFC3339_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
        (unsigned)(tm.tm_year + 1900) % 10000u, (unsigned)(tm.tm_mon + 1) % 100u, (unsigned)tm.tm_mday % 100u,
        (unsigned)tm.tm_hour % 100u, (unsigned)tm.tm_min % 100u, (unsigned)tm.tm_sec % 100u,
        (unsigned)ms % 1000u);
}

/* Reads exactly `digits` digits; -1 when there is something else. */
static int read_digits(const char **at, int digits)
{
    int value = 0;
    for (int i = 0; i < digits; i++, (*at)++) {
        if (**at < '0' || **at > '9') {
            return -1;
        }
        value = value * 10 + (**at - '0');
    }
    return value;
}

static bool read_char(const char **at, const char *allowed)
{
    for (; *allowed; allowed++) {
        if (**at == *allowed) {
            (*at)++;
            return true;
        }
    }
    return false;
}

static bool leap_year(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar; false when there is no such date. */
static bool civil_days(int year, int month, int day, int64_t *days)
{
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    if (year < 0 || month < 1 || month > 12 || day < 1) {
        return false;
    }
    int leap = leap_year(year);
    if (day > before[month] - before[month - 1] + (month == 2 && leap)) {
        return false;
    }
    int64_t past = year > 0 ? year - 1 : -1; /* year 0 is a leap year before year 1 */
    int64_t leaps = year > 0 ? past / 4 - past / 100 + past / 400 : -1;
    *days = past * 365 + leaps + before[month - 1] + (month > 2 && leap) + day - 1 - 719162;
    return true;
}

static bool read_date(const char **at, int64_t *days)
{
    int year = read_digits(at, 4);
    if (year < 0 || !read_char(at, "-")) {
        return false;
    }
    int month = read_digits(at, 2);
    if (month < 0 || !read_char(at, "-")) {
        return false;
    }
    return civil_days(year, month, read_digits(at, 2), days);
}

/* hh:mm:ss[.fraction] in milliseconds of the day. Second 60 is a leap second and counts as the next one. */
static bool read_time(const char **at, int64_t *ms, bool *leap_second)
{
    int hour = read_digits(at, 2);
    if (hour < 0 || hour > 23 || !read_char(at, ":")) {
        return false;
    }
    int minute = read_digits(at, 2);
    if (minute < 0 || minute > 59 || !read_char(at, ":")) {
        return false;
    }
    int second = read_digits(at, 2);
    if (second < 0 || second > 60) {
        return false;
    }
    *leap_second = second == 60;
    *ms = ((hour * 60 + minute) * 60 + second) * INT64_C(1000);
    if (!read_char(at, ".")) {
        return true;
    }
    int scale = 100;
    int digit = read_digits(at, 1);
    if (digit < 0) {
        return false;
    }
    for (; digit >= 0; scale /= 10) {
        *ms += digit * scale;
        if (**at < '0' || **at > '9') {
            break;
        }
        digit = read_digits(at, 1);
    }
    return true;
}

static bool read_offset(const char **at, int64_t *offset_ms)
{
    *offset_ms = 0;
    if (read_char(at, "Zz")) {
        return true;
    }
    int sign = **at == '-' ? -1 : 1;
    if (!read_char(at, "+-")) {
        return false;
    }
    int hour = read_digits(at, 2);
    if (hour < 0 || hour > 23 || !read_char(at, ":")) {
        return false;
    }
    int minute = read_digits(at, 2);
    if (minute < 0 || minute > 59) {
        return false;
    }
    *offset_ms = sign * (hour * 60 + minute) * INT64_C(60000);
    return true;
}

bool clock_parse(const char *text, int64_t *wall_ms)
{
    int64_t days, ms, offset;
    bool leap_second;
    if (!text || !read_date(&text, &days) || !read_char(&text, "Tt ") ||
        !read_time(&text, &ms, &leap_second) || !read_offset(&text, &offset) || *text) {
        return false;
    }
    int64_t wall = days * MS_PER_DAY + ms - offset;
    if (leap_second && ((wall % MS_PER_DAY) + MS_PER_DAY) % MS_PER_DAY >= 1000) {
        return false; /* only 23:59:60 UTC exists */
    }
    *wall_ms = wall;
    return true;
}
