/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a device is to the channel: a table of command handlers. A handler moves data with channel_store (to main
 * storage) and channel_fetch (from it) and returns the unit status of its ending.
 */
#ifndef CCWEMU_DEVICE_H
#define CCWEMU_DEVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "css.h"
#include "fault.h"

#define DEVICE_SENSE_SIZE CSS_ECW_SIZE
#define DEVICE_INITIATORS 8     /* subchannels (hosts) that may share a device */
#define DEVICE_PATHS (DEVICE_INITIATORS * CSS_PATHS)

struct channel;
struct device;

typedef uint8_t (*device_command)(struct device *device, struct channel *channel);

struct device_class {
	/* Before the first command of a channel program, and after a clear. */
	void (*chain_begin)(struct device *device, unsigned path);
	/* Unit status that keeps this command from being looked at (busy, a pending check), or 0. */
	uint8_t (*select)(struct device *device, unsigned path, uint8_t command);
	/* The unit has no handler for the command code: make sense data. */
	void (*reject)(struct device *device);
	/* The channel program is over, or suspended: what it wrote is in the image when this returns. */
	void (*chain_end)(struct device *device);
	/* The medium has lost bytes: the status that the command ends with. */
	uint8_t (*report_loss)(struct device *device, uint8_t command, uint8_t status);
	/* I/O system reset for the paths of one initiator: path groups, reservations. */
	void (*reset)(struct device *device, unsigned initiator);
};

/* Sense data belong to the host that met the unit check. */
struct device_sense {
	uint8_t bytes[DEVICE_SENSE_SIZE];
	bool pending;
};

struct device {
	const struct device_class *class;
	device_command commands[256];                  /* by command code; NULL: command reject */
	struct device_sense sense[DEVICE_INITIATORS];
	const atomic_bool *lost;                       /* the medium lost bytes; NULL: cannot happen */
	uint8_t initiators;                            /* mask of the slots in use */
	struct faults faults;                          /* armed by who tests */
};

/* The sense data have been delivered, or given up. */
static inline void device_forget_sense(struct device_sense *sense)
{
	memset(sense, 0, sizeof(*sense));
}

/* This unit does not know the command, though its class does. */
static inline void device_refuse(struct device *device, uint8_t command)
{
	device->commands[command] = NULL;
}

#endif
