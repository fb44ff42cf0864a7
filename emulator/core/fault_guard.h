/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mapped files that lose their bytes: someone truncates the file, or the disk cannot read it. The access that meets
 * this must not kill the process: the page becomes one of zeros, of the process's own, and a flag tells.
 */
#ifndef CCWEMU_FAULT_GUARD_H
#define CCWEMU_FAULT_GUARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* Guard a mapping; *lost is set when bytes of it were met that are not there. False: too many are guarded already. */
bool guard_add(void *base, size_t size, atomic_bool *lost);

/* Guard it no more (before it is unmapped). */
void guard_remove(const void *base);

#endif
