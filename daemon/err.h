// SPDX-License-Identifier: MIT
// Errors are verdicts: an error says what to do next, not only what happened. The struct lives in the caller's frame; one call
// sets and returns it. Who returns an error doesn't log it. Broken invariants (must) end the process in release builds too:
// that is legal here, since the open transaction is aborted by the next start under the same transactional.id.
#pragma once

enum verdict {
    OK,      // done
    RETRY,   // nothing happened yet: the same call again
    RESEND,  // this transaction is known not to be committed: send the same batch again, on a new handle
    RESTART, // this client or process is spent; after a commit the outcome is unknown
    HALT,    // a human is needed
};

struct err {
    enum verdict verdict;
    int code; // rd_kafka_resp_err_t, errno or a sysexits value, as the text says; for logs only, never for decisions
    char text[256];
};

// Fills *e and returns `verdict`. The text is cut at the size of e->text, which may be one of the arguments.
enum verdict err_set(struct err *e, enum verdict verdict, int code, const char *format, ...) __attribute__((format(printf, 4, 5)));

const char *verdict_name(enum verdict verdict);

#define must(condition) ((condition) ? (void)0 : must_fail(#condition, __FILE__, __LINE__, __func__))
_Noreturn void must_fail(const char *condition, const char *file, int line, const char *function);
