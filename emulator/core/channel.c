/* SPDX-License-Identifier: GPL-2.0-or-later */
/* z/Architecture Principles of Operation, chapter 15: "Channel-Program Execution" and "Channel-Command Word". */
#include "channel.h"

#include <string.h>

#include "bytes.h"

enum how { FIRST, COMMAND_CHAINED, DATA_CHAINED };
enum loaded { LOADED, CHECK, SUSPEND };

static void check(struct channel *channel, uint8_t status)
{
	channel->status |= status;
}

/* A check that leaves no CCW, and so no count, to be told of. */
static bool no_ccw(struct channel *channel, uint8_t status)
{
	check(channel, status);
	channel->count = 0;
	return false;
}

bool channel_valid_orb(const struct channel_orb *orb)
{
	return !(orb->flags & ORB_RESERVED) && !(orb->cpa & ORB_CPA_RESERVED);
}

enum storage_access channel_ccw_from_storage(const void *source, uint32_t address, uint8_t key,
					     uint8_t ccw[CSS_CCW_SIZE], struct storage_window *near)
{
	return storage_fetch_near(source, address, key, ccw, CSS_CCW_SIZE, near);
}

/* A CCW from wherever they come, as one number. False: a check. */
static bool fetch_far(struct channel *channel, uint32_t at, uint64_t *ccw)
{
	uint8_t raw[CSS_CCW_SIZE];
	enum storage_access access = channel->fetch_ccw(channel->ccw_source, at, channel_key(channel), raw, &channel->ccws);

	if (access != STORAGE_DONE)
		return no_ccw(channel, channel_check_of(channel, access, at));
	*ccw = get_be64(raw);
	return true;
}

/* The CCW at channel->next, as one number: the command code comes first in both formats. False: a check. */
static inline bool fetch(struct channel *channel, uint64_t *ccw)
{
	uint32_t at = channel->next;

	channel->cpa = (at + CSS_CCW_SIZE) & 0x7fffffffu;
	if (++channel->work > CHANNEL_WORK_LIMIT)
		return no_ccw(channel, SCH_INTERFACE);
	if (at % CSS_CCW_SIZE || at > channel->reach)
		return no_ccw(channel, SCH_PROGRAM);
	channel->next = at + CSS_CCW_SIZE;
	if (storage_window_left(&channel->ccws, at) < CSS_CCW_SIZE)
		return fetch_far(channel, at, ccw);
	*ccw = get_be64(storage_window_host(&channel->ccws, at));
	return true;
}

static bool is_tic(uint64_t ccw)
{
	return (ccw >> 56 & 0x0f) == CCW_TIC;
}

/* A format-0 CCW (command, address, flags, ignored, count) in the order of format 1. */
static uint64_t as_format1(uint64_t ccw)
{
	return (ccw & 0xff00000000000000u) | (ccw & 0xff000000u) << 24 | (ccw & 0xffffu) << 32 | (ccw >> 32 & 0x00ffffffu);
}

/* Transfer in channel: only the code and the address count in format 0, all else must be zero in format 1. */
static bool transfer_in_channel(struct channel *channel, uint64_t ccw)
{
	uint32_t target = (uint32_t)ccw;

	if (!channel_format1(channel))
		target = (uint32_t)as_format1(ccw);
	else if (ccw >> 32 != CCW_TIC << 24)
		return false;
	if (target % CSS_CCW_SIZE || target > channel->reach)
		return false;
	channel->next = target;
	return true;
}

/* The CCW behind a transfer in channel, which cannot come first, nor after another one. */
static bool fetch_target(struct channel *channel, enum how how, uint64_t *ccw)
{
	uint32_t tic = channel->cpa;

	if (how == FIRST || !transfer_in_channel(channel, *ccw))
		return no_ccw(channel, SCH_PROGRAM);
	if (!fetch(channel, ccw)) {
		if (channel->status & SCH_PROGRAM) /* it led to where no storage is: its address is told */
			channel->cpa = tic;
		return false;
	}
	return !is_tic(*ccw) || no_ccw(channel, SCH_PROGRAM);
}

static bool valid_count(const struct channel *channel, enum how how)
{
	if (channel->count)
		return true;
	return channel_format1(channel) && how != DATA_CHAINED && !(channel->flags & CCW_CD);
}

static bool valid_address(const struct channel *channel)
{
	if (channel->address > channel->reach)
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

/* Where the bytes of data lie that the CCW designates: nowhere yet, if by IDAWs. */
static void designate(struct channel *channel, uint32_t address)
{
	channel->address = address;
	channel->block = channel->reach + 1 - address;
	channel->skip_block = false;
	if (!(channel->flags & (CCW_IDA | CCW_MIDA)))
		return;
	channel->idaw = address;
	channel->block = 0;
	channel->first_idaw = true;
	channel->last_midaw = false;
}

/* Make the next CCW the current one. */
static inline enum loaded load(struct channel *channel, enum how how)
{
	uint64_t ccw;

	if (!fetch(channel, &ccw) || (is_tic(ccw) && !fetch_target(channel, how, &ccw)))
		return CHECK;
	if (!channel_format1(channel))
		ccw = as_format1(ccw);
	if (how != DATA_CHAINED)
		channel->command = (uint8_t)(ccw >> 56);
	channel->flags = (uint8_t)(ccw >> 48);
	channel->count = (uint16_t)(ccw >> 32);
	designate(channel, (uint32_t)ccw);
	if ((how != DATA_CHAINED && !(channel->command & 0x0f)) || !valid_flags(channel, how) ||
	    !valid_count(channel, how) || !valid_address(channel)) {
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
	device_command run = device->commands[channel->command];
	uint8_t status = device->class->select(device, channel->path, channel->command);

	if (!status && device->faults.armed)
		status = meet_fault(channel);
	if (status)
		return status;
	if (!run) {
		device->class->reject(device);
		return UNIT_END | UNIT_CHECK;
	}
	status = run(device, channel);
	if (device->lost && atomic_load_explicit(device->lost, memory_order_relaxed))
		return device->class->report_loss(device, channel->command, status);
	return status;
}

/*
 * Did the lengths of the device's block and of the CCWs differ, in a way that this program wants to know? Not if there
 * was no transfer: an immediate operation that may be shorter, or a command that the device refused.
 */
static bool incorrect_length(const struct channel *channel, uint8_t unit_status)
{
	bool chained = channel->flags & CCW_CD;

	if (!channel->count && !channel->wants_more && !chained)
		return false;
	if (!channel->moved && (unit_status & (UNIT_CHECK | UNIT_BUSY) || !channel_format1(channel) ||
				channel->orb.flags & ORB_ILS))
		return false;
	return chained || !(channel->flags & CCW_SLI);
}

/* Does the program go on after a command that ended with this unit status? */
static bool goes_on(struct channel *channel, uint8_t unit_status)
{
	if (channel_failed(channel))
		return false;
	if (!(unit_status & (UNIT_CHECK | UNIT_BUSY)) && (channel->moved || channel->flags & CCW_CC))
		channel->accepted = true;
	if (incorrect_length(channel, unit_status)) {
		check(channel, SCH_LENGTH);
		return false;
	}
	/* a device end that is still to come is waited for, and it comes */
	return (unit_status & ~(UNIT_MODIFIER | UNIT_DE)) == UNIT_CE && (channel->flags & (CCW_CC | CCW_CD)) == CCW_CC;
}

/* Carry out the current command; true: the program goes on with the next one. */
static bool execute(struct channel *channel)
{
	uint8_t unit_status;

	channel->moved = false;
	channel->wants_more = false;
	unit_status = operate(channel);
	if (!goes_on(channel, unit_status)) {
		channel->unit_status = unit_status; /* a check met in fetching the next CCW comes without it */
		return false;
	}
	if (unit_status & UNIT_MODIFIER)
		channel->next += CSS_CCW_SIZE;
	return true;
}

/* Has the path in use gone away? The program cannot go on then: a chain stays on its path. */
static bool path_lost(const struct channel *channel)
{
	return !(atomic_load_explicit(channel->available, memory_order_relaxed) & channel->path_mask);
}

static enum channel_outcome run(struct channel *channel, bool first)
{
	do {
		if (atomic_load_explicit(channel->stop, memory_order_relaxed))
			return CHANNEL_STOPPED;
		if (path_lost(channel)) {
			channel->path_lost = true;
			check(channel, SCH_INTERFACE);
			return CHANNEL_ENDED;
		}
		switch (load(channel, first ? FIRST : COMMAND_CHAINED)) {
		case CHECK:
			return CHANNEL_ENDED;
		case SUSPEND:
			return CHANNEL_SUSPENDED;
		case LOADED:
			break;
		}
		first = false;
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
	channel->ccws.size = channel->lists.size = channel->data[0].size = channel->data[1].size = 0;
	channel->reach = channel_format1(channel) ? 0x7fffffffu : 0x00ffffffu;
	channel->count = 0;
	channel->unit_status = 0;
	channel->status = 0;
	channel->work = 0;
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
	return finish(channel, run(channel, true));
}

enum channel_outcome channel_resume(struct channel *channel)
{
	uint32_t suspended = channel->cpa - CSS_CCW_SIZE;

	begin(channel);
	channel->next = suspended;
	return finish(channel, run(channel, false));
}
