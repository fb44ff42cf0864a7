/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The copy that vfio-ccw makes of a guest's channel program before it starts it, and the limits of that copy. */
#ifndef CCWEMU_VFIO_PROGRAM_H
#define CCWEMU_VFIO_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "channel.h"
#include "css.h"
#include "storage.h"

#define VFIO_CHAIN_CCWS 256     /* CCWs in one piece, all of which are copied, needed or not */
#define VFIO_CHAINS 16          /* pieces that transfers in channel tie together */

/* A piece of the program: format-1 CCWs, and where the guest has them. */
struct vfio_chain {
	uint32_t address;
	unsigned count;
	uint8_t ccws[VFIO_CHAIN_CCWS][CSS_CCW_SIZE];
};

struct vfio_program {
	unsigned count;
	struct vfio_chain chains[VFIO_CHAINS];
};

/* What differs between kernels. */
struct vfio_kernel {
	bool ida_2k;            /* format-1 IDAWs and 2K format-2 IDAWs are taken (6.8 and later) */
	bool needs_prefetch;    /* an ORB without the prefetch bit is refused (5.4 and before) */
};

/*
 * Copy the program of this ORB. 0, EINVAL (a piece is too long, there are too many, an address is not mapped),
 * EOPNOTSUPP (IDAWs of a kind that the kernel does not take), EFAULT (a transfer in channel to nowhere).
 */
int vfio_program_copy(struct vfio_program *program, const struct channel_orb *orb, const struct storage *storage,
		      const struct vfio_kernel *kernel);

/* A channel_fetch_ccw: CCWs out of the copy, by their guest address. Storage keys do not count any more. */
enum storage_access vfio_program_ccw(const void *program, uint32_t address, uint8_t key, uint8_t ccw[CSS_CCW_SIZE],
				     struct storage_window *near);

#endif
