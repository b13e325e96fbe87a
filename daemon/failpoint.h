// SPDX-License-Identifier: MIT
// Named places where a test build (make FAILPOINTS=1) can be killed, stopped, delayed or held, and guards it can switch off one
// by one to prove that they carry the promise. The shipped binary has neither: there, both macros vanish.
//
//   ONCED_FAILPOINT="NAME=ACTION[,NAME=ACTION...]"   ACTION: kill[:N] | stop[:N] | sleep:MS | hold:FILE   (N: at the N-th pass, default 1)
//     hold:FILE writes FILE.reached with the pass's number and waits while FILE exists
//   ONCED_GUARD_OFF="NAME[,NAME...]"
//
// Failpoints: after-poll after-lua after-begin after-produce before-offsets after-offsets before-endtxn after-endtxn in-revoke in-init
//   in-close
// Guards: taint (R5: sent != answered), maybe (R5: possibly persisted), abort (R4: new handle after an abort), snapshot-revoke (R3),
//   assignment-number (R3), drop-successor (R8), rewind (R8), offset-guard (R8), eof-offsets (R2), membership (R3: offsets come from a
//   member in its generation), static-check (R13), flush (R14), settle (a rebalance waits for the batch underway or drops it),
//   resend (R4: what was aborted is sent again), outcome (R4: what became of a transaction is found out), fenced (R1: who is fenced goes),
//   quarantine (a record that a worker died over is run alone, and not a third time), predecessor (R4: what was committed still is),
//   markers (R4: readers have come past what was written), seen (R4: nor do they see what the group's offsets deny),
//   boundary (a reloaded script takes over between two transactions), member (R3: who was thrown out doesn't go on as another member)
#pragma once

#ifdef FAILPOINTS
void failpoint_hit(const char *name);
int failpoint_guard(const char *name); // 1: the guard is on
#define FAILPOINT(name) failpoint_hit(name)
#define GUARD(name)     failpoint_guard(name)
#else
#define FAILPOINT(name) ((void)0)
#define GUARD(name)     1
#endif
