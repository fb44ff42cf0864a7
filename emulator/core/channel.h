/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The channel-program interpreter: command-mode programs of format-0 and format-1 CCWs. */
#ifndef CCWEMU_CHANNEL_H
#define CCWEMU_CHANNEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "css.h"
#include "device.h"
#include "storage.h"

/*
 * Work that one start may make: a unit for each CCW, transfers in channel included, and one for each KiB that is moved.
 * A real channel would run a loop of NOPs until a halt; here the program runs in the caller's thread, so the channel
 * gives up with an interface-control check.
 */
#define CHANNEL_WORK_LIMIT (1u << 20)

struct channel_orb {
	uint32_t intparm;
	uint32_t flags;          /* word 1 */
	uint32_t cpa;
};

/*
 * Where CCWs come from: main storage, fetched with the program's key, or a copy that was made of it (vfio-ccw).
 * *near may be set to what lies around the CCW: the channel does not ask again for those that lie inside.
 */
typedef enum storage_access (*channel_fetch_ccw)(const void *source, uint32_t address, uint8_t key,
						 uint8_t ccw[CSS_CCW_SIZE], struct storage_window *near);

enum channel_outcome {
	CHANNEL_ENDED,
	CHANNEL_SUSPENDED,
	CHANNEL_STOPPED,         /* *stop was set between two CCWs (halt, clear) */
};

struct channel {
	/* set by whoever starts the program */
	struct channel_orb orb;
	const struct storage *storage;
	struct device *device;
	unsigned path;           /* initiator * CSS_PATHS + number of the logical path */
	channel_fetch_ccw fetch_ccw;
	const void *ccw_source;
	const atomic_bool *stop;
	const atomic_uint *available; /* mask of the paths that work */
	uint8_t path_mask;       /* the path in use, as in that mask */
	uint64_t lowest, highest; /* data addresses that address-limit checking lets pass */

	/* how it ended */
	uint32_t cpa;            /* address of the last CCW, plus 8 */
	uint16_t count;          /* residual count */
	uint8_t unit_status;
	uint8_t status;          /* subchannel status */
	uint64_t failing;        /* address of the damaged storage that a channel-data or channel-control check is about */
	bool failing_store;

	/* in between */
	struct storage_window ccws, lists; /* around the last CCW, the last IDAW */
	struct storage_window data[2]; /* around the last data fetched [0] and stored [1] */
	uint32_t reach;          /* highest address of CCWs, lists of IDAWs, and data without them */
	uint32_t next;           /* address of the next CCW */
	uint32_t work;           /* so far, see CHANNEL_WORK_LIMIT */
	uint8_t command;
	uint8_t flags;
	uint64_t address;        /* of the next byte of data, once no IDAW is due */
	uint64_t idaw;           /* address of the next IDAW or modified IDAW */
	uint32_t block;          /* bytes left in the block that the current one designates; without IDAWs, within reach */
	bool first_idaw;
	bool last_midaw;         /* the current modified IDAW is the last of its list */
	bool skip_block;         /* and its bytes are not stored */
	bool moved;              /* the operation transferred, or asked for, data */
	bool wants_more;         /* the device had more than the CCWs provided for */
	bool accepted;           /* the device answered the first command with zero status */
	bool path_lost;          /* the program ended because its path went away */
	bool interrupt_lost;     /* a fault: the program's status never becomes pending */
};

/* Are the bits zero that START SUBCHANNEL demands to be? If not, it ends with an operand exception. */
bool channel_valid_orb(const struct channel_orb *orb);

/* Fetch CCWs from the channel's storage. */
enum storage_access channel_ccw_from_storage(const void *source, uint32_t address, uint8_t key,
					     uint8_t ccw[CSS_CCW_SIZE], struct storage_window *near);

/* Run the program at orb.cpa. The caller has set the first block of fields; the rest is initialised here. */
enum channel_outcome channel_start(struct channel *channel);

/* Go on with a suspended program at the CCW that suspended it. */
enum channel_outcome channel_resume(struct channel *channel);

/*
 * For command handlers. Both return the bytes moved: fewer than size when the CCWs provide for less (which is then
 * an incorrect length) or when the channel met a check.
 */
size_t channel_store(struct channel *channel, const void *data, size_t size);
size_t channel_fetch(struct channel *channel, void *data, size_t size);

/* As channel_fetch, for parameters of variable length: fewer bytes are not an incorrect length. */
size_t channel_fetch_upto(struct channel *channel, void *data, size_t size);

/* The device moved so many bytes, to or from storage or in the image. */
static inline void channel_spend(struct channel *channel, size_t bytes)
{
	channel->work += (uint32_t)(bytes / 1024);
}

/* Does the current command's CCW (or data chain) provide for more bytes? */
static inline bool channel_has_more(const struct channel *channel)
{
	return channel->count && !(channel->status & ~SCH_PCI);
}

/* The channel met a check (or, for the resume of a chain, cannot go on): the command should end. */
static inline bool channel_failed(const struct channel *channel)
{
	return (channel->status & ~SCH_PCI) != 0;
}

/* ---- between the parts of the channel ---- */

static inline bool channel_format1(const struct channel *channel)
{
	return channel->orb.flags & ORB_FORMAT1;
}

static inline uint8_t channel_key(const struct channel *channel)
{
	return (uint8_t)(channel->orb.flags >> ORB_KEY_SHIFT);
}

/* The check that a failed fetch of a CCW or an IDAW is. */
static inline uint8_t channel_check_of(struct channel *channel, enum storage_access access, uint64_t address)
{
	if (access == STORAGE_PROTECTED)
		return SCH_PROTECTION;
	if (access != STORAGE_DAMAGED)
		return SCH_PROGRAM;
	channel->failing = address;
	channel->failing_store = false;
	return SCH_CONTROL;
}

/* Make the next CCW of a data chain the current one. False: a check. */
bool channel_chain_data(struct channel *channel);

#endif
