/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CCWEMU_PRELOAD_PATHS_H
#define CCWEMU_PRELOAD_PATHS_H

#include <limits.h>

/*
 * A path of the emulated host, made as printf makes it, below $CCWEMU_ROOT if that is set (for tests outside of a
 * host). 0 or a negative errno.
 */
__attribute__((format(printf, 2, 3)))
int host_path(char to[PATH_MAX], const char *format, ...);

#endif
