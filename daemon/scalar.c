// SPDX-License-Identifier: MIT
#include "scalar.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(text, *words) == 0)
            return 1;
    return 0;
}

static int is_integer(const char *text)
{
    if (strncmp(text, "0x", 2) == 0)
        return text[2] && text[2 + strspn(text + 2, "0123456789abcdefABCDEF")] == 0;
    if (strncmp(text, "0o", 2) == 0)
        return text[2] && text[2 + strspn(text + 2, "01234567")] == 0;
    text += *text == '-' || *text == '+';
    return *text && text[strspn(text, "0123456789")] == 0;
}

static int is_float(const char *text)
{
    static const char *const words[] = {".inf",  ".Inf",  ".INF", "+.inf", "+.Inf", "+.INF", "-.inf",
                                        "-.Inf", "-.INF", ".nan", ".NaN",  ".NAN",  NULL};
    if (is_one_of(text, words))
        return 1;
    text += *text == '-' || *text == '+';
    size_t whole = strspn(text, "0123456789"), part = 0;
    text += whole;
    if (*text == '.') {
        part = strspn(++text, "0123456789");
        text += part;
    }
    if (whole + part == 0)
        return 0;
    if (*text == 'e' || *text == 'E') {
        text++;
        text += *text == '-' || *text == '+';
        size_t digits = strspn(text, "0123456789");
        text += digits;
        if (!digits)
            return 0;
    }
    return *text == 0;
}

enum scalar_type scalar_type(const char *text)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const booleans[] = {"true", "True", "TRUE", "false", "False", "FALSE", NULL};
    return is_one_of(text, nulls)      ? SCALAR_NULL
           : is_one_of(text, booleans) ? SCALAR_BOOLEAN
           : is_integer(text)          ? SCALAR_INTEGER
           : is_float(text)            ? SCALAR_FLOAT
                                       : SCALAR_STRING;
}

int scalar_integer(const char *text, int64_t *value)
{
    int base = strncmp(text, "0x", 2) == 0 ? 16 : strncmp(text, "0o", 2) == 0 ? 8 : 10;
    errno = 0;
    *value = strtoll(text + (base == 10 ? 0 : 2), NULL, base);
    return errno ? -1 : 0;
}

struct unit {
    const char *name;
    int64_t factor;
};

static int with_unit(const char *text, const struct unit *units, const char *needs, int64_t *value, const char **problem)
{
    size_t digits = strspn(text, "0123456789");
    *problem = needs;
    if (!digits)
        return -1;
    errno = 0;
    long long number = strtoll(text, NULL, 10);
    const char *name = text + digits;
    name += strspn(name, " ");
    if (!*name && number == 0 && !errno) {
        *value = 0;
        return 0;
    }
    for (; units->name; units++)
        if (strcmp(units->name, name) == 0) {
            *problem = "is too large";
            return errno || __builtin_mul_overflow((int64_t)number, units->factor, value) ? -1 : 0;
        }
    return -1;
}

int scalar_duration(const char *text, int64_t *ms, const char **problem)
{
    static const struct unit units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {NULL, 0}};
    return with_unit(text, units, "must be a whole number with a unit: ms, s, m or h, as in 10s", ms, problem);
}

int scalar_size(const char *text, int64_t *bytes, const char **problem)
{
    static const struct unit units[] = {{"B", 1},     {"KiB", 1 << 10}, {"MiB", 1 << 20},   {"GiB", 1 << 30},
                                        {"kB", 1000}, {"MB", 1000000},  {"GB", 1000000000}, {NULL, 0}};
    return with_unit(text, units, "must be a whole number with a unit: B, KiB, MiB, GiB, kB, MB or GB, as in 32MiB", bytes, problem);
}

// Days since 1970-01-01 of the proleptic Gregorian calendar (timegm knows no bounds and no 30 February).
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year += 400 - (month <= 2); // an era more: January of the year 0 belongs to the year before
    int64_t era = year / 400, of_era = year % 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468 - 146097;
}

static int days_in(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
}

// Reads fixed-width fields by a pattern: 0 is a digit of the next number, anything else stands for itself.
static int read_fields(const char **text, const char *pattern, int *fields)
{
    for (char before = 0; *pattern; before = *pattern++, (*text)++) {
        if (*pattern != '0' ? toupper((unsigned char)**text) != *pattern : !isdigit((unsigned char)**text))
            return -1;
        if (*pattern == '0' && before != '0')
            *fields++ = **text - '0';
        else if (*pattern == '0')
            fields[-1] = fields[-1] * 10 + **text - '0';
    }
    return 0;
}

// The zone at the end of a time, in minutes east of UTC. 0, or -1 with *problem.
static int read_zone(const char *text, int *minutes, const char **problem)
{
    int zone[2] = {0, 0}, sign = *text == '-' ? -1 : 1;
    *minutes = 0;
    *problem = "needs a zone at its end, Z or as in +02:00";
    if ((*text == 'Z' || *text == 'z') && !text[1])
        return 0;
    if ((*text != '+' && *text != '-') || (text++, read_fields(&text, "00:00", zone)) || *text)
        return -1;
    *problem = "has a zone that doesn't exist";
    if (zone[0] > 23 || zone[1] > 59)
        return -1;
    *minutes = sign * (zone[0] * 60 + zone[1]);
    return 0;
}

int scalar_time(const char *text, int64_t *ms, const char **problem)
{
    int f[6], minutes, fraction = 0;
    *problem = "isn't a time as in 2026-01-31T10:00:00Z (RFC 3339)";
    if (read_fields(&text, "0000-00-00T00:00:00", f))
        return -1;
    if (*text == '.') {
        int scale = 100;
        if (!isdigit((unsigned char)*++text))
            return -1;
        for (; isdigit((unsigned char)*text); text++, scale /= 10)
            fraction += (*text - '0') * scale;
    }
    if (read_zone(text, &minutes, problem))
        return -1;
    *problem = "has a date that doesn't exist";
    if (f[1] < 1 || f[1] > 12 || f[2] < 1 || f[2] > days_in(f[0], f[1]))
        return -1;
    *problem = "has a time of day that doesn't exist";
    if (f[3] > 23 || f[4] > 59 || f[5] > 60)
        return -1;
    int64_t seconds = days_of(f[0], f[1], f[2]) * 86400 + f[3] * 3600 + f[4] * 60 + f[5];
    *ms = (seconds - minutes * 60) * 1000 + fraction;
    return 0;
}

static void write_digits(char *to, int64_t number, int digits)
{
    for (; digits > 0; number /= 10)
        to[--digits] = (char)('0' + number % 10);
}

int scalar_time_write(int64_t ms, char text[SCALAR_TIME_SIZE])
{
    int64_t least = days_of(0, 1, 1) * 86400000, behind = days_of(10000, 1, 1) * 86400000;
    if (ms < least || ms >= behind)
        return -1;
    int64_t days = (ms - least) / 86400000, of_day = (ms - least) % 86400000, first = least / 86400000;
    int year = (int)(days / 366), month = 1; // at most the right one
    while (days_of(year + 1, 1, 1) - first <= days)
        year++;
    while (month < 12 && days_of(year, month + 1, 1) - first <= days)
        month++;
    memcpy(text, "0000-00-00T00:00:00.000Z", SCALAR_TIME_SIZE);
    write_digits(text, year, 4);
    write_digits(text + 5, month, 2);
    write_digits(text + 8, days - (days_of(year, month, 1) - first) + 1, 2);
    write_digits(text + 11, of_day / 3600000, 2);
    write_digits(text + 14, of_day / 60000 % 60, 2);
    write_digits(text + 17, of_day / 1000 % 60, 2);
    write_digits(text + 20, of_day % 1000, 3);
    return 0;
}
