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
 * CCWs that one start may execute, transfers in channel included. A real channel would run a loop of NOPs until a
 * halt; here the program runs in the caller's thread, so the channel gives up with an interface-control check.
 */
#define CHANNEL_CCW_LIMIT (1u << 20)

struct channel_orb {
	uint32_t intparm;
	uint32_t flags;          /* word 1 */
	uint32_t cpa;
};

/* Where CCWs come from: main storage, or a copy that was made of it (vfio-ccw). False: no such address. */
typedef bool (*channel_fetch_ccw)(const void *source, uint32_t address, uint8_t ccw[CSS_CCW_SIZE]);

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
	const atomic_bool *stop; /* may be NULL */

	/* how it ended */
	uint32_t cpa;            /* address of the last CCW, plus 8 */
	uint16_t count;          /* residual count */
	uint8_t unit_status;
	uint8_t status;          /* subchannel status */

	/* in between */
	uint32_t next;           /* address of the next CCW */
	uint32_t fetched;        /* CCWs so far */
	uint8_t command;
	uint8_t flags;
	uint64_t address;        /* of the next byte of data, once no IDAW is due */
	uint64_t idaw;           /* address of the next IDAW */
	uint32_t block;          /* bytes left in the block that the current IDAW designates */
	bool first_idaw;
	bool moved;              /* the operation transferred, or asked for, data */
	bool wants_more;         /* the device had more than the CCWs provided for */
};

/* Fetch CCWs from the channel's storage. */
bool channel_ccw_from_storage(const void *source, uint32_t address, uint8_t ccw[CSS_CCW_SIZE]);

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

/* The channel met a check (or, for the resume of a chain, cannot go on): the command should end. */
static inline bool channel_failed(const struct channel *channel)
{
	return (channel->status & ~SCH_PCI) != 0;
}

#endif
