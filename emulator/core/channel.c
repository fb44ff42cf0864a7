/* SPDX-License-Identifier: GPL-2.0-or-later */
/* z/Architecture Principles of Operation, chapter 15: "Channel-Program Execution" and "Channel-Command Word". */
#include "channel.h"

#include <string.h>

#include "bytes.h"

enum how { FIRST, COMMAND_CHAINED, DATA_CHAINED, RESUMED };
enum loaded { LOADED, CHECK, SUSPEND };

static bool format1(const struct channel *channel)
{
	return channel->orb.flags & ORB_FORMAT1;
}

static uint32_t highest_address(const struct channel *channel)
{
	return format1(channel) ? 0x7fffffffu : 0x00ffffffu;
}

static void check(struct channel *channel, uint8_t status)
{
	channel->status |= status;
}

bool channel_ccw_from_storage(const void *source, uint32_t address, uint8_t ccw[CSS_CCW_SIZE])
{
	return storage_read(source, address, ccw, CSS_CCW_SIZE);
}

/* One CCW from channel->next, as format 1 apart from what only one of the formats checks. */
static bool fetch(struct channel *channel, uint8_t raw[CSS_CCW_SIZE])
{
	uint32_t at = channel->next;

	channel->cpa = (at + CSS_CCW_SIZE) & 0x7fffffffu;
	channel->count = 0;
	if (++channel->fetched > CHANNEL_CCW_LIMIT) {
		check(channel, SCH_INTERFACE);
		return false;
	}
	if (at % CSS_CCW_SIZE || at > highest_address(channel) || !channel->fetch_ccw(channel->ccw_source, at, raw)) {
		check(channel, SCH_PROGRAM);
		return false;
	}
	channel->next = at + CSS_CCW_SIZE;
	return true;
}

/* Transfer in channel: only the code and the address count in format 0, all else must be zero in format 1. */
static bool transfer_in_channel(struct channel *channel, const uint8_t raw[CSS_CCW_SIZE])
{
	uint32_t target;

	if (format1(channel)) {
		if (raw[0] != CCW_TIC || raw[1] || raw[2] || raw[3])
			return false;
		target = get_be32(raw + 4);
	} else {
		target = get_be32(raw) & 0x00ffffffu;
	}
	if (target % CSS_CCW_SIZE || target > highest_address(channel))
		return false;
	channel->next = target;
	return true;
}

/* The CCW that is due, after at most one transfer in channel, which cannot come first. */
static bool fetch_through_tic(struct channel *channel, enum how how, uint8_t raw[CSS_CCW_SIZE])
{
	for (int tics = 0; fetch(channel, raw); tics++) {
		if ((raw[0] & 0x0f) != CCW_TIC)
			return true;
		if (how == FIRST || tics || !transfer_in_channel(channel, raw)) {
			check(channel, SCH_PROGRAM);
			return false;
		}
	}
	return false;
}

static bool valid_count(const struct channel *channel, enum how how)
{
	if (channel->count)
		return true;
	return format1(channel) && how != DATA_CHAINED && !(channel->flags & CCW_CD);
}

static bool valid_address(const struct channel *channel)
{
	if (channel->address > highest_address(channel))
		return false;
	if (!(channel->flags & CCW_IDA))
		return true;
	return channel->address % (channel->orb.flags & ORB_IDA64 ? 8 : 4) == 0;
}

static bool valid_flags(const struct channel *channel, enum how how)
{
	if (channel->flags & CCW_MIDA) /* needs the modified-IDAW facility, which is not installed */
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
	if (format1(channel)) {
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
	if ((how != DATA_CHAINED && !(raw[0] & 0x0f)) || !valid_flags(channel, how) || !valid_count(channel, how) ||
	    !valid_address(channel)) {
		check(channel, SCH_PROGRAM);
		return CHECK;
	}
	if (channel->flags & CCW_SUSPEND)
		return SUSPEND;
	if (channel->flags & CCW_PCI)
		check(channel, SCH_PCI);
	return LOADED;
}

/* Take the next indirect-data-address word: it designates a block, all but the first from its beginning. */
static bool next_idaw(struct channel *channel)
{
	bool wide = channel->orb.flags & ORB_IDA64;
	uint32_t block = wide && !(channel->orb.flags & ORB_IDA2K) ? 4096 : 2048;
	uint8_t word[8];

	if (channel->idaw > 0x7fffffffu || !storage_read(channel->storage, channel->idaw, word, wide ? 8 : 4))
		return false;
	channel->address = wide ? get_be64(word) : get_be32(word);
	if (!wide && channel->address > 0x7fffffffu)
		return false;
	if (!channel->first_idaw && channel->address % block)
		return false;
	channel->idaw += wide ? 8 : 4;
	channel->block = block - (uint32_t)(channel->address % block);
	channel->first_idaw = false;
	return true;
}

/* Where the next bytes of data are, and how many of *size lie there; NULL after a check. */
static uint8_t *locate(struct channel *channel, size_t *size, bool store)
{
	const struct storage_area *area;
	uint8_t key = (uint8_t)(channel->orb.flags >> ORB_KEY_SHIFT);
	uint64_t room;

	if (channel->flags & CCW_IDA) {
		if (!channel->block && !next_idaw(channel)) {
			check(channel, SCH_PROGRAM);
			return NULL;
		}
		room = channel->block;
	} else {
		room = channel->address > highest_address(channel) ? 0 : highest_address(channel) + 1u - channel->address;
	}
	area = room ? storage_find(channel->storage, channel->address) : NULL;
	if (!area) {
		check(channel, SCH_PROGRAM);
		return NULL;
	}
	if (key && area->key != key && (store || area->fetch_protected)) {
		check(channel, SCH_PROTECTION);
		return NULL;
	}
	if (room > area->size - (channel->address - area->start))
		room = area->size - (channel->address - area->start);
	if (*size > room)
		*size = (size_t)room;
	return area->host + (channel->address - area->start);
}

static void advance(struct channel *channel, size_t size)
{
	channel->count = (uint16_t)(channel->count - size);
	channel->address += size;
	if (channel->flags & CCW_IDA)
		channel->block -= (uint32_t)size;
}

/* Move up to size bytes; the next CCW of a data chain becomes current as soon as a count is used up. */
static size_t move(struct channel *channel, uint8_t *to, const uint8_t *from, size_t size)
{
	bool store = from != NULL;
	size_t done = 0;

	channel->moved = true;
	while (done < size && channel->count && !channel_failed(channel)) {
		size_t piece = size - done < channel->count ? size - done : channel->count;

		if (store && channel->flags & CCW_SKIP) {
			channel->count = (uint16_t)(channel->count - piece);
		} else {
			uint8_t *place = locate(channel, &piece, store);

			if (!place)
				break;
			if (store)
				memcpy(place, from + done, piece);
			else
				memcpy(to + done, place, piece);
			advance(channel, piece);
		}
		done += piece;
		if (!channel->count && channel->flags & CCW_CD && load(channel, DATA_CHAINED) != LOADED)
			break;
	}
	return done;
}

size_t channel_store(struct channel *channel, const void *data, size_t size)
{
	size_t done = move(channel, NULL, data, size);

	if (done < size)
		channel->wants_more = true;
	return done;
}

size_t channel_fetch_upto(struct channel *channel, void *data, size_t size)
{
	return move(channel, data, NULL, size);
}

size_t channel_fetch(struct channel *channel, void *data, size_t size)
{
	size_t done = move(channel, data, NULL, size);

	if (done < size)
		channel->wants_more = true;
	return done;
}

/* Let the device carry out the current command. Returns its unit status. */
static uint8_t operate(struct channel *channel)
{
	struct device *device = channel->device;
	device_command run = device->class->commands[channel->command];
	uint8_t status = device->class->select(device, channel->path, channel->command);

	if (status)
		return status;
	if (!run || device_refuses(device, channel->command)) {
		device->class->reject(device);
		return UNIT_END | UNIT_CHECK;
	}
	return run(device, channel);
}

/* Did the lengths of the device's block and of the CCWs differ, in a way that this program wants to know? */
static bool incorrect_length(const struct channel *channel)
{
	bool chained = channel->flags & CCW_CD;

	if (!channel->moved) { /* an immediate operation, or one that the device refused */
		if (channel->unit_status & (UNIT_CHECK | UNIT_BUSY) || !format1(channel) || channel->orb.flags & ORB_ILS)
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

static enum channel_outcome run(struct channel *channel, enum how how)
{
	do {
		if (channel->stop && atomic_load_explicit(channel->stop, memory_order_relaxed))
			return CHANNEL_STOPPED;
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

static void begin(struct channel *channel)
{
	channel->count = 0;
	channel->unit_status = 0;
	channel->status = 0;
	channel->fetched = 0;
	channel->command = 0;
	channel->flags = 0;
}

enum channel_outcome channel_start(struct channel *channel)
{
	begin(channel);
	channel->next = channel->orb.cpa;
	channel->device->class->chain_begin(channel->device, channel->path);
	return run(channel, FIRST);
}

enum channel_outcome channel_resume(struct channel *channel)
{
	uint32_t suspended = channel->cpa - CSS_CCW_SIZE;

	begin(channel);
	channel->next = suspended;
	return run(channel, RESUMED);
}
