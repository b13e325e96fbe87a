// SPDX-License-Identifier: MIT
// SHA-256 (FIPS 180-4), HMAC over it (RFC 2104) and UUIDs made of it (RFC 9562, version 8). Pure functions: no state is kept, any thread
// may call them. Written out here since nothing that is linked brings it: libcrypto is librdkafka's own affair.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { SHA256_SIZE = 32, UUID_SIZE = 36 };

struct sha256 {
    uint32_t state[8];
    uint64_t size; // bytes added so far
    unsigned char block[64];
};

void sha256_init(struct sha256 *sha);
void sha256_add(struct sha256 *sha, const void *data, size_t size);
void sha256_end(struct sha256 *sha, unsigned char digest[SHA256_SIZE]);
void hmac_sha256(const void *key, size_t key_size, const void *data, size_t size, unsigned char digest[SHA256_SIZE]);
// The digest's first 16 bytes as a UUID of version 8, in lower case, not terminated.
void uuid_write(const unsigned char digest[SHA256_SIZE], char text[UUID_SIZE]);
