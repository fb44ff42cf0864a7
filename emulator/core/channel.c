/* SPDX-License-Identifier: GPL-2.0-or-later */
/* z/Architecture Principles of Operation, chapter 15: "Channel-Program Execution" and "Channel-Command Word". */
#include "channel.h"

#include <string.h>

#include "bytes.h"

enum how { FIRST, COMMAND_CHAINED, DATA_CHAINED, RESUMED };
enum loaded { LOADED, CHECK, SUSPEND };

static void check(struct channel *channel, uint8_t status)
{
	channel->status |= status;
}

bool channel_valid_orb(const struct channel_orb *orb)
{
	return !(orb->flags & ORB_RESERVED) && !(orb->cpa & ORB_CPA_RESERVED);
}

enum storage_access channel_ccw_from_storage(const void *source, uint32_t address, uint8_t key,
					     uint8_t ccw[CSS_CCW_SIZE])
{
	return storage_fetch(source, address, key, ccw, CSS_CCW_SIZE);
}

/* A CCW from wherever they come; here the common case that it lies in the same storage as the data. */
static enum storage_access fetch_ccw(struct channel *channel, uint32_t at, uint8_t raw[CSS_CCW_SIZE])
{
	const struct storage_area *area;

	if (channel->fetch_ccw == channel_ccw_from_storage && channel->ccw_source == channel->storage) {
		area = storage_find_near(channel->storage, at, &channel->near);
		if (area && area->size - (at - area->start) >= CSS_CCW_SIZE &&
		    storage_permits(area, channel_key(channel), false)) {
			memcpy(raw, area->host + (at - area->start), CSS_CCW_SIZE);
			return STORAGE_DONE;
		}
	}
	return channel->fetch_ccw(channel->ccw_source, at, channel_key(channel), raw);
}

/* One CCW from channel->next, as format 1 apart from what only one of the formats checks. */
static bool fetch(struct channel *channel, uint8_t raw[CSS_CCW_SIZE])
{
	uint32_t at = channel->next;
	enum storage_access access;

	channel->cpa = (at + CSS_CCW_SIZE) & 0x7fffffffu;
	channel->count = 0;
	if (++channel->fetched > CHANNEL_CCW_LIMIT) {
		check(channel, SCH_INTERFACE);
		return false;
	}
	if (at % CSS_CCW_SIZE || at > channel_highest_address(channel)) {
		check(channel, SCH_PROGRAM);
		return false;
	}
	access = fetch_ccw(channel, at, raw);
	if (access != STORAGE_DONE) {
		channel_access_check(channel, access);
		return false;
	}
	channel->next = at + CSS_CCW_SIZE;
	return true;
}

/* Transfer in channel: only the code and the address count in format 0, all else must be zero in format 1. */
static bool transfer_in_channel(struct channel *channel, const uint8_t raw[CSS_CCW_SIZE])
{
	uint32_t target;

	if (channel_format1(channel)) {
		if (raw[0] != CCW_TIC || raw[1] || raw[2] || raw[3])
			return false;
		target = get_be32(raw + 4);
	} else {
		target = get_be32(raw) & 0x00ffffffu;
	}
	if (target % CSS_CCW_SIZE || target > channel_highest_address(channel))
		return false;
	channel->next = target;
	return true;
}

/* The CCW that is due, after at most one transfer in channel, which cannot come first. */
static bool fetch_through_tic(struct channel *channel, enum how how, uint8_t raw[CSS_CCW_SIZE])
{
	uint32_t tic;

	if (!fetch(channel, raw))
		return false;
	if ((raw[0] & 0x0f) != CCW_TIC)
		return true;
	tic = channel->cpa;
	if (how != FIRST && transfer_in_channel(channel, raw)) {
		if (!fetch(channel, raw)) {
			if (channel->status & SCH_PROGRAM) /* it led to where no storage is: its address is told */
				channel->cpa = tic;
			return false;
		}
		if ((raw[0] & 0x0f) != CCW_TIC)
			return true;
	}
	check(channel, SCH_PROGRAM);
	return false;
}

static bool valid_count(const struct channel *channel, enum how how)
{
	if (channel->count)
		return true;
	return channel_format1(channel) && how != DATA_CHAINED && !(channel->flags & CCW_CD);
}

static bool valid_address(const struct channel *channel)
{
	if (channel->address > channel_highest_address(channel))
		return false;
	if (channel->flags & CCW_MIDA)
		return channel->address % MIDAW_SIZE == 0;
	if (channel->flags & CCW_IDA)
		return channel->address % (channel->orb.flags & ORB_IDA64 ? 8 : 4) == 0;
	return true;
}

static bool valid_flags(const struct channel *channel, enum how how)
{
	if (channel->flags & CCW_MIDA && (!(channel->orb.flags & ORB_MIDAW) || channel->flags & (CCW_IDA | CCW_SKIP)))
		return false;
	if (channel->flags & CCW_SUSPEND)
		return how != DATA_CHAINED && channel->orb.flags & ORB_SUSPEND;
	return true;
}

/* Make the next CCW the current one. */
static enum loaded load(struct channel *channel, enum how how)
{
	uint8_t raw[CSS_CCW_SIZE];

	if (!fetch_through_tic(channel, how, raw))
		return CHECK;
	if (how != DATA_CHAINED)
		channel->command = raw[0];
	if (channel_format1(channel)) {
		channel->flags = raw[1];
		channel->count = get_be16(raw + 2);
		channel->address = get_be32(raw + 4);
	} else {
		channel->flags = raw[4];
		channel->count = get_be16(raw + 6);
		channel->address = get_be32(raw) & 0x00ffffffu;
	}
	channel->idaw = channel->address;
	channel->block = 0;
	channel->first_idaw = true;
	channel->last_midaw = false;
	channel->skip_block = false;
	if ((how != DATA_CHAINED && !(raw[0] & 0x0f)) || !valid_flags(channel, how) || !valid_count(channel, how) ||
	    !valid_address(channel)) {
		check(channel, SCH_PROGRAM);
		return CHECK;
	}
	if (channel->flags & CCW_PCI) /* also of a CCW that suspends, and then once more after the resume */
		check(channel, SCH_PCI);
	return channel->flags & CCW_SUSPEND ? SUSPEND : LOADED;
}

bool channel_chain_data(struct channel *channel)
{
	return load(channel, DATA_CHAINED) == LOADED;
}

/* A fault may be due. The unit status that the command ends with instead of being carried out, or 0. */
static uint8_t meet_fault(struct channel *channel)
{
	struct device *device = channel->device;
	const struct fault *fault = fault_meet(&device->faults, channel->command);
	struct device_sense *sense = &device->sense[channel->path / CSS_PATHS];

	if (!fault)
		return 0;
	if (fault->kind == FAULT_LOST_INTERRUPT) {
		channel->interrupt_lost = true;
		return 0;
	}
	memcpy(sense->bytes, fault->sense, sizeof(sense->bytes));
	sense->pending = true;
	return UNIT_END | UNIT_CHECK;
}

/* Let the device carry out the current command. Returns its unit status. */
static uint8_t operate(struct channel *channel)
{
	struct device *device = channel->device;
	device_command run = device->class->commands[channel->command];
	uint8_t status = device->class->select(device, channel->path, channel->command);

	if (!status && device->faults.armed)
		status = meet_fault(channel);
	if (status)
		return status;
	if (!run || device_refuses(device, channel->command)) {
		device->class->reject(device);
		return UNIT_END | UNIT_CHECK;
	}
	status = run(device, channel);
	if (device->lost && atomic_load_explicit(device->lost, memory_order_relaxed))
		return device->class->report_loss(device, channel->command, status);
	return status;
}

/* Did the lengths of the device's block and of the CCWs differ, in a way that this program wants to know? */
static bool incorrect_length(const struct channel *channel)
{
	bool chained = channel->flags & CCW_CD;

	if (!channel->moved) { /* an immediate operation, or one that the device refused */
		if (channel->unit_status & (UNIT_CHECK | UNIT_BUSY) || !channel_format1(channel) || channel->orb.flags & ORB_ILS)
			return false;
	}
	if (!channel->count && !channel->wants_more && !chained)
		return false;
	return chained || !(channel->flags & CCW_SLI);
}

/* Carry out the current command; true: the program goes on with the next one. */
static bool execute(struct channel *channel)
{
	channel->moved = false;
	channel->wants_more = false;
	channel->unit_status = operate(channel);
	if (channel_failed(channel))
		return false;
	if (!(channel->unit_status & (UNIT_CHECK | UNIT_BUSY)) && (channel->moved || channel->flags & CCW_CC))
		channel->accepted = true;
	if (incorrect_length(channel)) {
		check(channel, SCH_LENGTH);
		return false;
	}
	if ((channel->unit_status & ~UNIT_MODIFIER) != UNIT_END)
		return false;
	if (!(channel->flags & CCW_CC) || channel->flags & CCW_CD)
		return false;
	if (channel->unit_status & UNIT_MODIFIER)
		channel->next += CSS_CCW_SIZE;
	channel->unit_status = 0; /* a check met in fetching the next CCW comes without device status */
	return true;
}

/* Has the path in use gone away? The program cannot go on then: a chain stays on its path. */
static bool path_lost(const struct channel *channel)
{
	return channel->available &&
	       !(atomic_load_explicit(channel->available, memory_order_relaxed) & channel->path_mask);
}

static enum channel_outcome run(struct channel *channel, enum how how)
{
	do {
		if (channel->stop && atomic_load_explicit(channel->stop, memory_order_relaxed))
			return CHANNEL_STOPPED;
		if (path_lost(channel)) {
			channel->path_lost = true;
			check(channel, SCH_INTERFACE);
			return CHANNEL_ENDED;
		}
		switch (load(channel, how)) {
		case CHECK:
			return CHANNEL_ENDED;
		case SUSPEND:
			return CHANNEL_SUSPENDED;
		case LOADED:
			break;
		}
		how = COMMAND_CHAINED;
	} while (execute(channel));
	return CHANNEL_ENDED;
}

static enum channel_outcome finish(struct channel *channel, enum channel_outcome outcome)
{
	channel->device->class->chain_end(channel->device);
	return outcome;
}

static void begin(struct channel *channel)
{
	channel->near = NULL;
	channel->count = 0;
	channel->unit_status = 0;
	channel->status = 0;
	channel->fetched = 0;
	channel->accepted = false;
	channel->path_lost = false;
	channel->interrupt_lost = false;
	channel->command = 0;
	channel->flags = 0;
}

enum channel_outcome channel_start(struct channel *channel)
{
	begin(channel);
	channel->next = channel->orb.cpa;
	if (channel->device->faults.armed)
		fault_begin(&channel->device->faults);
	channel->device->class->chain_begin(channel->device, channel->path);
	return finish(channel, run(channel, FIRST));
}

enum channel_outcome channel_resume(struct channel *channel)
{
	uint32_t suspended = channel->cpa - CSS_CCW_SIZE;

	begin(channel);
	channel->next = suspended;
	return finish(channel, run(channel, RESUMED));
}
