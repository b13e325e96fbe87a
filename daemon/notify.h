// SPDX-License-Identifier: MIT
// Messages to the service manager by the sd_notify protocol, without libsystemd. Master only. Without NOTIFY_SOCKET all is a no-op.
#pragma once
#include <stdint.h>

// Sends a datagram such as "READY=1\nSTATUS=...". 1: sent; 0: nobody listens; -1: failed, errno set. Never blocks.
int notify_send(const char *text);
// How often WATCHDOG=1 is due: half of WATCHDOG_USEC, or 0 when the manager didn't ask this process for it.
int64_t notify_watchdog_ms(void);
