// SPDX-License-Identifier: MIT
// The process's malloc, where it is mimalloc: batches are freed as a whole and allocated anew a moment later, so giving their pages back
// to the kernel in between costs a fault a page (measured: a tenth of the CPU of a pass-through). Called once, before any thread exists.
#pragma once

void allocator_tune(void);
