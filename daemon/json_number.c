// SPDX-License-Identifier: MIT
// Doubles are written by Raffaello Giulietti's Schubfach method ("The Schubfach way to render doubles"): three products with a power
// of ten that is exact to 128 bits tell which decimal of the fewest digits lies in the interval that rounds to the double, and which
// of those is nearest. The powers are computed at the start, with plain long arithmetic, instead of being 10 KB of source.
// Called by json_index (grammar), json_document (values).
#include "json_number.h"

#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"

typedef unsigned __int128 wide;

enum {
    POWER_LEAST = -292, // 10^x for every x that the doubles' exponents ask for
    POWER_MOST = 324,
    LONG_WORDS = 40, // 2560 bits: 2^2559 / 10^292 still has more than 1500
};

static uint64_t powers[POWER_MOST - POWER_LEAST + 1][2]; // high, low: 10^x = the 128 bits * 2^(floor(log2(10^x)) - 127), rounded up
static pthread_once_t powers_once = PTHREAD_ONCE_INIT;
static locale_t plain_locale;

// --- powers of ten ----------------------------------------------------------------------------------------------------------------------

// A number's 128 highest bits, rounded up: `more` says that there is something behind its last word.
static void power_set(int exponent, const uint64_t *words, int more)
{
    int top = LONG_WORDS - 1;
    while (words[top] == 0)
        top--;
    int shift = __builtin_clzll(words[top]);
    uint64_t w[3] = {words[top], top > 0 ? words[top - 1] : 0, top > 1 ? words[top - 2] : 0};
    uint64_t high = shift ? w[0] << shift | w[1] >> (64 - shift) : w[0];
    uint64_t low = shift ? w[1] << shift | w[2] >> (64 - shift) : w[1];
    more |= (w[2] << shift) != 0;
    for (int i = top - 3; i >= 0 && !more; i--)
        more = words[i] != 0;
    wide bits = ((wide)high << 64 | low) + (more != 0);
    powers[exponent - POWER_LEAST][0] = (uint64_t)(bits >> 64);
    powers[exponent - POWER_LEAST][1] = (uint64_t)bits;
}

static void powers_make(void)
{
    uint64_t words[LONG_WORDS] = {1};
    for (int e = 0; e <= POWER_MOST; e++) {
        power_set(e, words, 0);
        wide carry = 0;
        for (int i = 0; i < LONG_WORDS; i++) {
            carry += (wide)words[i] * 10;
            words[i] = (uint64_t)carry;
            carry >>= 64;
        }
    }
    memset(words, 0, sizeof words);
    words[LONG_WORDS - 1] = UINT64_C(1) << 63;
    for (int e = -1; e >= POWER_LEAST; e--) {
        wide rest = 0;
        for (int i = LONG_WORDS - 1; i >= 0; i--) {
            rest = rest << 64 | words[i];
            words[i] = (uint64_t)(rest / 10);
            rest %= 10;
        }
        power_set(e, words, 1); // a tenth never comes out even in binary
    }
    plain_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    must(plain_locale);
}

void json_number_prepare(void)
{
    pthread_once(&powers_once, powers_make);
}

// --- reading ----------------------------------------------------------------------------------------------------------------------------

static int is_digit(char c)
{
    return (unsigned char)(c - '0') < 10;
}

static const char *digits_end(const char *p, const char *end)
{
    const char *from = p;
    while (p < end && is_digit(*p))
        p++;
    return p > from ? p : NULL;
}

const char *json_number_end(const char *p, const char *end, int *whole)
{
    *whole = 1;
    if (p < end && *p == '-')
        p++;
    if (p < end && *p == '0')
        p++;
    else if (!(p = digits_end(p, end)))
        return NULL;
    if (p < end && *p == '.') {
        *whole = 0;
        if (!(p = digits_end(p + 1, end)))
            return NULL;
    }
    if (p < end && (*p | 0x20) == 'e') {
        *whole = 0;
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        p = digits_end(p, end);
    }
    return p;
}

int json_number_whole(const char *text, size_t size, uint64_t *magnitude)
{
    const char *end = text + size;
    int negative = *text == '-';
    uint64_t sum = 0;
    for (const char *p = text + negative; p < end; p++)
        if (__builtin_mul_overflow(sum, 10, &sum) || __builtin_add_overflow(sum, (uint64_t)(*p - '0'), &sum))
            return -1;
    *magnitude = sum;
    return negative && sum > UINT64_C(1) << 63 ? -1 : 0;
}

// Where digits and power of ten are both exact doubles, one operation rounds right. 0: not such a number.
static int double_easily(const char *p, const char *end, double *number)
{
    static const double tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                  1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    enum { TENS_MOST = 22, DIGITS_MOST = 18 };
    uint64_t sum = 0;
    int negative = *p == '-', point = 0, digits = 0, exponent = 0;
    for (p += negative; p < end && (is_digit(*p) || *p == '.'); p++) {
        if (*p == '.') {
            point = 1;
            continue;
        }
        sum = sum * 10 + (uint64_t)(*p - '0');
        exponent -= point;
        if (++digits > DIGITS_MOST)
            return 0;
    }
    if (p < end) {
        int minus = *++p == '-', given = 0;
        for (p += *p == '-' || *p == '+'; p < end && given < 1000; p++)
            given = given * 10 + (*p - '0');
        exponent += minus ? -given : given;
    }
    if (sum > UINT64_C(1) << 53 || exponent < -TENS_MOST || exponent > TENS_MOST)
        return 0;
    double d = exponent < 0 ? (double)sum / tens[-exponent] : (double)sum * tens[exponent];
    *number = negative ? -d : d;
    return 1;
}

int json_number_double(const char *text, size_t size, double *number)
{
    char copy[128], *z = copy;
    if (double_easily(text, text + size, number))
        return 0;
    if (size >= sizeof copy) {
        z = malloc(size + 1);
        must(z);
    }
    memcpy(z, text, size);
    z[size] = 0;
    *number = strtod_l(z, NULL, plain_locale);
    if (z != copy)
        free(z);
    return isfinite(*number) ? 0 : -1;
}

// --- writing ----------------------------------------------------------------------------------------------------------------------------

size_t json_write_uint64(char *to, uint64_t number)
{
    char digits[20], *p = digits + sizeof digits;
    for (; number >= 100; number /= 100) {
        unsigned two = (unsigned)(number % 100);
        *--p = (char)('0' + two % 10);
        *--p = (char)('0' + two / 10);
    }
    if (number >= 10) {
        *--p = (char)('0' + number % 10);
        number /= 10;
    }
    *--p = (char)('0' + number);
    size_t size = (size_t)(digits + sizeof digits - p);
    memcpy(to, p, size);
    return size;
}

size_t json_write_int64(char *to, int64_t number)
{
    if (number >= 0)
        return json_write_uint64(to, (uint64_t)number);
    *to = '-';
    return 1 + json_write_uint64(to + 1, -(uint64_t)number);
}

static int floor_log2_power10(int e)
{
    return (e * 1741647) >> 19;
}

// The product's bits above 2^128; what is cut off leaves a trace in the last bit, so that comparisons stay right.
static uint64_t product_odd(const uint64_t power[2], uint64_t by)
{
    wide low = (wide)power[1] * by;
    wide high = (wide)power[0] * by + (uint64_t)(low >> 64);
    return (uint64_t)(high >> 64) | ((uint64_t)high > 1);
}

// The decimal digits * 10^*exponent of the double with this significand and binary exponent.
static uint64_t shortest(uint64_t significand, int binary, int closer_below, int *exponent)
{
    uint64_t odd = significand & 1;
    int k = (binary * 1262611 - (closer_below ? 524031 : 0)) >> 22; // floor(log10(2^binary)), of 3/4 of it at a power of two
    int h = binary + floor_log2_power10(-k) + 1;
    const uint64_t *power = powers[-k - POWER_LEAST];
    uint64_t lower = product_odd(power, (4 * significand - 2 + (uint64_t)closer_below) << h) + odd;
    uint64_t value = product_odd(power, (4 * significand) << h);
    uint64_t upper = product_odd(power, (4 * significand + 2) << h) - odd;
    uint64_t s = value / 4;
    if (s >= 10) {
        uint64_t tens = s / 10;
        int below = lower <= 40 * tens, above = 40 * tens + 40 <= upper;
        if (below != above) {
            *exponent = k + 1;
            return tens + (uint64_t)above;
        }
    }
    *exponent = k;
    int below = lower <= 4 * s, above = 4 * s + 4 <= upper;
    if (below != above)
        return s + (uint64_t)above;
    uint64_t middle = 4 * s + 2;
    return s + (value > middle || (value == middle && (s & 1)));
}

// Digits with the point `point` places from their start: as people write it where that is short, else with an exponent.
static size_t digits_place(char *to, const char *digits, int count, int point, int whole)
{
    char *p = to;
    if (!whole && point > 0 && point < count) {
        memcpy(p, digits, (size_t)point);
        p[point] = '.';
        memcpy(p + point + 1, digits + point, (size_t)(count - point));
        return (size_t)count + 1;
    }
    if (!whole && point <= 0 && point > -6) {
        memcpy(p, "0.000000", (size_t)(2 - point));
        memcpy(p + 2 - point, digits, (size_t)count);
        return (size_t)(2 - point + count);
    }
    *p++ = digits[0];
    if (count > 1) {
        *p++ = '.';
        memcpy(p, digits + 1, (size_t)(count - 1));
        p += count - 1;
    }
    *p++ = 'e';
    return (size_t)(p - to) + json_write_int64(p, point - 1);
}

size_t json_write_double(char *to, double number)
{
    enum { FRACTION_BITS = 52, BIAS = 1075 };
    const double exact = 9007199254740992.0;
    uint64_t bits;
    char digits[20];
    int exponent;
    if (number == 0 && signbit(number)) {
        static const char text[] = {'-', '0', '.', '0'};
        memcpy(to, text, sizeof text);
        return sizeof text;
    }
    if (number >= -exact && number <= exact && number == (double)(int64_t)number)
        return json_write_int64(to, (int64_t)number);
    memcpy(&bits, &number, sizeof bits);
    uint64_t fraction = bits & ((UINT64_C(1) << FRACTION_BITS) - 1);
    int raw = (int)(bits >> FRACTION_BITS & 0x7FF);
    must(raw != 0x7FF);
    uint64_t shown =
        shortest(raw ? fraction | UINT64_C(1) << FRACTION_BITS : fraction, (raw ? raw : 1) - BIAS, fraction == 0 && raw > 1, &exponent);
    for (; shown % 10 == 0; shown /= 10)
        exponent++;
    int count = (int)json_write_uint64(digits, shown);
    *to = '-';
    to += bits >> 63;
    return (size_t)(bits >> 63) + digits_place(to, digits, count, count + exponent, number > exact || number < -exact);
}
