/* SPDX-License-Identifier: GPL-2.0-or-later */
/* z/Architecture Principles of Operation, chapter 15: where the bytes of an operation lie, and moving them. */
#include <string.h>

#include "bytes.h"
#include "channel.h"

/* Whether bytes are stored is known where it is called: two versions without that question come of it. */
#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Fetch a word of a list of indirect addresses. False: a check. */
ALWAYS_INLINE bool fetch_word(struct channel *channel, uint8_t *word, size_t size)
{
	enum storage_access access = STORAGE_UNAVAILABLE;

	if (channel->idaw <= channel->reach)
		access = storage_fetch_near(channel->storage, channel->idaw, channel_key(channel), word, size,
					    &channel->lists);
	if (access != STORAGE_DONE)
		channel->status |= channel_check_of(channel, access, channel->idaw);
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
	uint32_t block = wide && !(channel->orb.flags & ORB_IDA2K) ? 4096 : 2048, offset;
	uint8_t word[8];

	if (!(wide ? fetch_word(channel, word, 8) : fetch_word(channel, word, 4)))
		return false;
	channel->address = wide ? get_be64(word) : get_be32(word);
	if (!wide && channel->address > 0x7fffffffu)
		return invalid(channel);
	offset = (uint32_t)channel->address & (block - 1);
	if (!channel->first_idaw && offset)
		return invalid(channel);
	channel->idaw += wide ? 8 : 4;
	channel->block = block - offset;
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

/* The block that the address is in has been used up. False: a check. */
static bool next_block(struct channel *channel, bool store)
{
	if (channel->flags & CCW_MIDA)
		return next_midaw(channel, store);
	if (channel->flags & CCW_IDA)
		return next_idaw(channel);
	return invalid(channel);
}

/* Find out what lies around the current address, as far as the program may store there or fetch. False: a check. */
static bool find_data(struct channel *channel, bool store)
{
	const struct storage_area *area = NULL;
	uint64_t address = channel->address, first, last;

	if (address >= channel->lowest && address <= channel->highest)
		area = storage_find(channel->storage, address);
	if (!area)
		return invalid(channel);
	if (!storage_permits(area, channel_key(channel), store)) {
		channel->status |= SCH_PROTECTION;
		return false;
	}
	if (area->damaged) {
		channel->status |= SCH_DATA;
		channel->failing = address;
		channel->failing_store = store;
		return false;
	}
	first = area->start > channel->lowest ? area->start : channel->lowest;
	last = area->start + (area->size - 1);
	if (last > channel->highest)
		last = channel->highest;
	channel->data[store] = (struct storage_window){
		.start = first, .size = last - first + 1, .host = area->host + (first - area->start)};
	return true;
}

/* Move a piece of at most size bytes: store it from `bytes`, or fetch it to there. 0: a check. */
ALWAYS_INLINE size_t move_piece(struct channel *channel, uint8_t *bytes, size_t size, const bool store)
{
	const struct storage_window *window = &channel->data[store];
	uint64_t left;

	if (!channel->block && !next_block(channel, store))
		return 0;
	if (size > channel->block)
		size = channel->block;
	if (!store || !channel->skip_block) {
		left = storage_window_left(window, channel->address);
		if (!left) {
			if (!find_data(channel, store))
				return 0;
			left = storage_window_left(window, channel->address);
		}
		if (size > left)
			size = (size_t)left;
		if (store)
			memcpy(storage_window_host(window, channel->address), bytes, size);
		else
			memcpy(bytes, storage_window_host(window, channel->address), size);
	}
	channel->address += size;
	channel->block -= (uint32_t)size;
	return size;
}

/* Move up to size bytes; the next CCW of a data chain becomes current as soon as a count is used up. */
ALWAYS_INLINE size_t move(struct channel *channel, uint8_t *bytes, size_t size, const bool store)
{
	size_t done = 0;

	channel->moved = true;
	while (done < size && channel->count && !channel_failed(channel)) {
		size_t piece = size - done < channel->count ? size - done : channel->count;

		if (!store || !(channel->flags & CCW_SKIP))
			piece = move_piece(channel, bytes + done, piece, store);
		if (!piece)
			break;
		done += piece;
		channel->count = (uint16_t)(channel->count - piece);
		if (!channel->count && channel->flags & CCW_CD && !channel_chain_data(channel))
			break;
	}
	channel_spend(channel, done);
	return done;
}

/*
 * Move all bytes at once, as nearly every command can: they are a part of the CCW and of the current block, and lie in
 * the window. False: nothing has been done.
 */
ALWAYS_INLINE bool move_whole(struct channel *channel, uint8_t *bytes, size_t size, const bool store)
{
	const struct storage_window *window = &channel->data[store];
	uint8_t *place;

	/* nothing at all is no part of a window either: there may be none */
	if (size > channel->count || size > channel->block ||
	    (uint64_t)size - 1 >= storage_window_left(window, channel->address) ||
	    channel->flags & (CCW_CD | CCW_SKIP | CCW_MIDA) || channel_failed(channel))
		return false;
	place = storage_window_host(window, channel->address);
	channel->moved = true;
	channel->count = (uint16_t)(channel->count - size);
	channel->address += size;
	channel->block -= (uint32_t)size;
	channel_spend(channel, size);
	if (store)
		memcpy(place, bytes, size);
	else
		memcpy(bytes, place, size);
	return true;
}

static __attribute__((noinline)) size_t store_pieces(struct channel *channel, const void *data, size_t size)
{
	size_t done = move(channel, (uint8_t *)data, size, true); /* which only reads it */

	if (done < size)
		channel->wants_more = true;
	return done;
}

static __attribute__((noinline)) size_t fetch_pieces(struct channel *channel, void *data, size_t size)
{
	return move(channel, data, size, false);
}

size_t channel_store(struct channel *channel, const void *data, size_t size)
{
	return move_whole(channel, (uint8_t *)data, size, true) ? size : store_pieces(channel, data, size);
}

size_t channel_fetch_upto(struct channel *channel, void *data, size_t size)
{
	return move_whole(channel, data, size, false) ? size : fetch_pieces(channel, data, size);
}

size_t channel_fetch(struct channel *channel, void *data, size_t size)
{
	size_t done = channel_fetch_upto(channel, data, size);

	if (done < size)
		channel->wants_more = true;
	return done;
}
