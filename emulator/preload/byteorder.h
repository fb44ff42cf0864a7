/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The regions of vfio-ccw as the program here sees them: fields in this machine's byte order, as they would be on an
 * s390x host, where that is the channel's. The IRB is the exception: QEMU takes it as the channel stored it.
 */
#ifndef CCWEMU_PRELOAD_BYTEORDER_H
#define CCWEMU_PRELOAD_BYTEORDER_H

#include <stdint.h>

#include "vfio_ccw.h"

/* Turn a whole region from one order into the other. */
void region_convert(enum vfio_region region, uint8_t *bytes);

#endif
