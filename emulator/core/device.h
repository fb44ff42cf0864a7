/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a device is to the channel: a table of command handlers. A handler moves data with channel_store (to main
 * storage) and channel_fetch (from it) and returns the unit status of its ending.
 */
#ifndef CCWEMU_DEVICE_H
#define CCWEMU_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "css.h"

#define DEVICE_SENSE_SIZE CSS_ECW_SIZE
#define DEVICE_INITIATORS 8     /* subchannels (hosts) that may share a device */
#define DEVICE_PATHS (DEVICE_INITIATORS * CSS_PATHS)

struct channel;
struct device;

typedef uint8_t (*device_command)(struct device *device, struct channel *channel);

struct device_class {
	const device_command *commands;                /* 256 entries; NULL: command reject */
	/* Before the first command of a channel program, and after a clear. */
	void (*chain_begin)(struct device *device, unsigned path);
	/* Unit status that keeps this command from being looked at (busy, a pending check), or 0. */
	uint8_t (*select)(struct device *device, unsigned path, uint8_t command);
	/* The command code has no handler: make sense data. */
	void (*reject)(struct device *device);
	/* I/O system reset for the paths of one initiator: path groups, reservations. */
	void (*reset)(struct device *device, unsigned initiator);
};

struct device {
	const struct device_class *class;
	uint8_t sense[DEVICE_SENSE_SIZE];
	bool sense_pending;
	uint8_t initiators;                            /* mask of the slots in use */
	uint32_t refused[8];                           /* command codes that this unit does not know, though its class does */
};

static inline void device_refuse(struct device *device, uint8_t command)
{
	device->refused[command / 32] |= UINT32_C(1) << command % 32;
}

static inline bool device_refuses(const struct device *device, uint8_t command)
{
	return device->refused[command / 32] >> command % 32 & 1;
}

#endif
