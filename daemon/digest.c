// SPDX-License-Identifier: MIT
// See digest.h. Tested against the vectors of FIPS 180-4, RFC 4231 and RFC 9562 (spec/unit/codec_spec.lua). Called by codec and transform.
#include "digest.h"

#include <string.h>

enum { BLOCK = 64 };

static const uint32_t ROUND[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t turned(uint32_t word, int bits)
{
    return word >> bits | word << (32 - bits);
}

static uint32_t word_read(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void word_write(unsigned char *p, uint32_t word)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(word >> (24 - 8 * i));
}

static void block_add(uint32_t state[8], const unsigned char *block)
{
    uint32_t w[64];
    for (int i = 0; i < 16; i++)
        w[i] = word_read(block + 4 * i);
    for (int i = 16; i < 64; i++)
        w[i] = w[i - 16] + (turned(w[i - 15], 7) ^ turned(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 7] +
               (turned(w[i - 2], 17) ^ turned(w[i - 2], 19) ^ w[i - 2] >> 10);
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7];
    for (int i = 0; i < 64; i++) { // names, not an array: eight registers
        uint32_t one = h + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + ((e & f) ^ (~e & g)) + ROUND[i] + w[i];
        uint32_t two = (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        h = g, g = f, f = e, e = d + one, d = c, c = b, b = a, a = one + two;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

void sha256_init(struct sha256 *sha)
{
    *sha = (struct sha256){
        .state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19},
    };
}

void sha256_add(struct sha256 *sha, const void *data, size_t size)
{
    const unsigned char *p = data;
    size_t held = sha->size % BLOCK;
    sha->size += size;
    while (size > 0) {
        if (held == 0 && size >= BLOCK) {
            block_add(sha->state, p);
            p += BLOCK, size -= BLOCK;
            continue;
        }
        size_t part = size < BLOCK - held ? size : BLOCK - held;
        memcpy(sha->block + held, p, part);
        p += part, size -= part, held += part;
        if (held == BLOCK) {
            block_add(sha->state, sha->block);
            held = 0;
        }
    }
}

void sha256_end(struct sha256 *sha, unsigned char digest[SHA256_SIZE])
{
    uint64_t bits = sha->size * 8;
    size_t held = sha->size % BLOCK;
    unsigned char tail[2 * BLOCK] = {0x80};
    size_t padding = (held < 56 ? 56 : 56 + BLOCK) - held;
    word_write(tail + padding, (uint32_t)(bits >> 32));
    word_write(tail + padding + 4, (uint32_t)bits);
    sha256_add(sha, tail, padding + 8);
    for (int i = 0; i < 8; i++)
        word_write(digest + 4 * i, sha->state[i]);
}

void hmac_sha256(const void *key, size_t key_size, const void *data, size_t size, unsigned char digest[SHA256_SIZE])
{
    struct sha256 sha;
    unsigned char pad[BLOCK] = {0};
    if (key_size > BLOCK) {
        sha256_init(&sha);
        sha256_add(&sha, key, key_size);
        sha256_end(&sha, pad);
    } else {
        memcpy(pad, key, key_size);
    }
    for (int i = 0; i < BLOCK; i++)
        pad[i] ^= 0x36;
    sha256_init(&sha);
    sha256_add(&sha, pad, BLOCK);
    sha256_add(&sha, data, size);
    sha256_end(&sha, digest);
    for (int i = 0; i < BLOCK; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    sha256_init(&sha);
    sha256_add(&sha, pad, BLOCK);
    sha256_add(&sha, digest, SHA256_SIZE);
    sha256_end(&sha, digest);
}

void uuid_write(const unsigned char digest[SHA256_SIZE], char text[UUID_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 16; i++) {
        unsigned char byte = digest[i];
        if (i == 6)
            byte = (unsigned char)(0x80 | (byte & 0x0f)); // version
        if (i == 8)
            byte = (unsigned char)(0x80 | (byte & 0x3f)); // variant
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *text++ = '-';
        *text++ = digits[byte >> 4];
        *text++ = digits[byte & 15];
    }
}
