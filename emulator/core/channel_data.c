/* SPDX-License-Identifier: GPL-2.0-or-later */
/* z/Architecture Principles of Operation, chapter 15: where the bytes of an operation lie, and moving them. */
#include <string.h>

#include "bytes.h"
#include "channel.h"

/* Fetch a word of a list of indirect addresses. False: a check. */
static bool fetch_word(struct channel *channel, uint8_t *word, size_t size)
{
	enum storage_access access = STORAGE_UNAVAILABLE;

	if (channel->idaw <= channel_highest_address(channel))
		access = storage_fetch(channel->storage, channel->idaw, channel_key(channel), word, size);
	if (access != STORAGE_DONE)
		channel_access_check(channel, access);
	return access == STORAGE_DONE;
}

static bool invalid(struct channel *channel)
{
	channel->status |= SCH_PROGRAM;
	return false;
}

/* Take the next indirect-data-address word: it designates a block, all but the first from its beginning. */
static bool next_idaw(struct channel *channel)
{
	bool wide = channel->orb.flags & ORB_IDA64;
	uint32_t block = wide && !(channel->orb.flags & ORB_IDA2K) ? 4096 : 2048;
	uint8_t word[8];

	if (!fetch_word(channel, word, wide ? 8 : 4))
		return false;
	channel->address = wide ? get_be64(word) : get_be32(word);
	if (!wide && channel->address > 0x7fffffffu)
		return invalid(channel);
	if (!channel->first_idaw && channel->address % block)
		return invalid(channel);
	channel->idaw += wide ? 8 : 4;
	channel->block = block - (uint32_t)(channel->address % block);
	channel->first_idaw = false;
	return true;
}

/*
 * Take the next modified IDAW. It designates up to 4096 bytes inside a page, or any number that are skipped, and not
 * more than the CCW has left; the list lies in one page.
 */
static bool next_midaw(struct channel *channel, bool store)
{
	uint8_t word[MIDAW_SIZE], flags;
	uint32_t count;

	if (channel->last_midaw || (!channel->first_idaw && channel->idaw % 4096 == 0))
		return invalid(channel);
	if (!fetch_word(channel, word, sizeof(word)))
		return false;
	flags = word[5];
	count = get_be16(word + 6);
	if (get_be32(word) || word[4] || flags & MIDAW_RESERVED || !count || count > channel->count)
		return invalid(channel);
	channel->address = get_be64(word + 8);
	channel->skip_block = store && flags & MIDAW_SKIP;
	if (!channel->skip_block && count > 4096 - channel->address % 4096)
		return invalid(channel);
	channel->idaw += MIDAW_SIZE;
	channel->block = count;
	channel->first_idaw = false;
	channel->last_midaw = flags & MIDAW_LAST;
	return true;
}

/* How many bytes can be moved from the current address on, as far as addressing goes; 0 after a check. */
static uint64_t room_here(struct channel *channel, bool store)
{
	uint64_t highest = channel_highest_address(channel);

	if (channel->flags & CCW_MIDA)
		return channel->block || next_midaw(channel, store) ? channel->block : 0;
	if (channel->flags & CCW_IDA)
		return channel->block || next_idaw(channel) ? channel->block : 0;
	if (channel->address > highest) {
		invalid(channel);
		return 0;
	}
	return highest + 1 - channel->address;
}

/* Where the next bytes of data are, and how many of *size lie there; NULL after a check. */
static uint8_t *locate(struct channel *channel, size_t *size, uint64_t room, bool store)
{
	const struct storage_area *area = NULL;
	uint64_t address = channel->address;

	if (address >= channel->lowest && address <= channel->highest)
		area = storage_find_near(channel->storage, address, &channel->near);
	if (!area) {
		invalid(channel);
		return NULL;
	}
	if (!storage_permits(area, channel_key(channel), store)) {
		channel->status |= SCH_PROTECTION;
		return NULL;
	}
	if (room > area->size - (address - area->start))
		room = area->size - (address - area->start);
	if (room - 1 > channel->highest - address)
		room = channel->highest - address + 1;
	if (*size > room)
		*size = (size_t)room;
	return area->host + (address - area->start);
}

static void advance(struct channel *channel, size_t size)
{
	channel->count = (uint16_t)(channel->count - size);
	channel->address += size;
	if (channel->flags & (CCW_IDA | CCW_MIDA))
		channel->block -= (uint32_t)size;
}

/* Move a piece of at most size bytes to or from storage, one of the pointers being NULL. 0: a check. */
static size_t move_piece(struct channel *channel, uint8_t *to, const uint8_t *from, size_t size)
{
	uint64_t room = room_here(channel, from != NULL);
	uint8_t *place;

	if (!room)
		return 0;
	if (from && channel->skip_block) {
		size = size < room ? size : (size_t)room;
	} else {
		place = locate(channel, &size, room, from != NULL);
		if (!place)
			return 0;
		if (from)
			memcpy(place, from, size);
		else
			memcpy(to, place, size);
	}
	advance(channel, size);
	return size;
}

/* Move up to size bytes; the next CCW of a data chain becomes current as soon as a count is used up. */
static size_t move(struct channel *channel, uint8_t *to, const uint8_t *from, size_t size)
{
	size_t done = 0;

	channel->moved = true;
	while (done < size && channel->count && !channel_failed(channel)) {
		size_t piece = size - done < channel->count ? size - done : channel->count;

		if (from && channel->flags & CCW_SKIP)
			channel->count = (uint16_t)(channel->count - piece);
		else
			piece = move_piece(channel, to ? to + done : NULL, from ? from + done : NULL, piece);
		if (!piece)
			break;
		done += piece;
		if (!channel->count && channel->flags & CCW_CD && !channel_chain_data(channel))
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
