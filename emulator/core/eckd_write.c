/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writing: updating records in place, and formatting a track from a record on. */
#include <string.h>

#include "channel.h"
#include "eckd.h"

#define MULTITRACK 0x80u

/* File mask, bits 0-1: what may be written. */
#define MASK_WRITE 0xc0u
#define MASK_NO_WRITE 0x40u
#define MASK_UPDATE_ONLY 0x80u
#define MASK_ALL 0xc0u

static uint8_t inhibited(struct eckd *eckd)
{
	return eckd_check(eckd, SENSE0_REJECT, SENSE1_WRITE_INHIBITED, MESSAGE_NONE);
}

static uint8_t file_protected(struct eckd *eckd)
{
	return eckd_check(eckd, 0, SENSE1_FILE_PROTECTED, MESSAGE_NONE);
}

static uint8_t invalid_format(struct eckd *eckd)
{
	return eckd_check(eckd, 0, SENSE1_TRACK_FORMAT, MESSAGE_NONE);
}

/* May this chain write in this way, here and now? 0 or the unit status of a check. */
static uint8_t permit(struct eckd *eckd, enum eckd_access access)
{
	uint8_t write = eckd->chain->mask & MASK_WRITE;

	if (eckd->read_only)
		return inhibited(eckd);
	if (write == MASK_NO_WRITE || (access == ACCESS_FORMAT && write == MASK_UPDATE_ONLY))
		return file_protected(eckd);
	if (!eckd->chain->found)
		return eckd_check(eckd, SENSE0_REJECT, 0, MESSAGE_SEQUENCE);
	return eckd_enter_domain(eckd, access);
}

/* One operation of a Locate Record less. Outside of one, the next write needs a search of its own. */
static void done(struct eckd *eckd, bool formatted)
{
	struct eckd_chain *chain = eckd->chain;

	chain->index_passes = 0;
	chain->orientation = AT_DATA;
	if (!chain->in_domain)
		chain->found = formatted;
	else if (!--chain->operations_left)
		chain->in_domain = chain->found = false;
}

/* Fill size bytes of the track from the channel, and what the channel does not provide with zeros. */
static void fill(struct channel *channel, uint8_t *to, size_t size)
{
	size_t got = channel_fetch(channel, to, size);

	if (got < size && !(channel_failed(channel) && !got)) /* nothing came at all: leave the record alone */
		memset(to + got, 0, size - got);
}

/* Write Data (05), Write Key and Data (0D): the record keeps its lengths. */
uint8_t eckd_write_record(struct device *device, struct channel *channel)
{
	struct eckd *eckd = eckd_of(device);
	struct eckd_chain *chain = eckd->chain;
	bool with_key = channel->command & 0x08;
	uint8_t status = permit(eckd, ACCESS_UPDATE);
	bool here = chain->orientation == AT_COUNT || (!with_key && chain->orientation == AT_KEY);
	uint32_t key, length;
	uint8_t *count;

	if (!status && !here)
		status = eckd_next_user_record(eckd, channel->command & MULTITRACK);
	if (status)
		return status;
	count = eckd_count_field(eckd);
	key = ckd_key_length(count);
	length = ckd_data_length(count);
	if (with_key)
		fill(channel, count + CKD_COUNT_SIZE, key + length);
	else
		fill(channel, count + CKD_COUNT_SIZE + key, length);
	done(eckd, false);
	return length ? UNIT_END : UNIT_END | UNIT_EXCEPTION;
}

/* Cells that record 1 up to and with the current record take. */
static uint32_t cells_used(const struct eckd *eckd)
{
	const uint8_t *track = eckd_track_bytes(eckd);
	uint32_t offset = CKD_FIRST_RECORD + ckd_record_size(track + CKD_FIRST_RECORD);
	uint32_t cells = 0;

	for (; offset <= eckd->chain->record; offset += ckd_record_size(track + offset))
		cells += ckd_record_cells(ckd_key_length(track + offset), ckd_data_length(track + offset));
	return cells;
}

/* Would a record with this count field be mistaken for the end of the track? */
static bool looks_like_end(const uint8_t count[CKD_COUNT_SIZE])
{
	for (unsigned i = 0; i < CKD_COUNT_SIZE; i++)
		if (count[i] != 0xff)
			return false;
	return true;
}

static void put_end(uint8_t *to)
{
	memset(to, 0xff, CKD_END_SIZE);
}

/*
 * Write a record at an offset of the track and end the track behind it. The count field, which makes the record
 * part of the track, goes last.
 */
static void format(struct eckd *eckd, struct channel *channel, uint32_t offset, const uint8_t *count)
{
	uint8_t *to = eckd_track_bytes(eckd) + offset;
	uint32_t size = ckd_record_size(count);

	put_end(to + size);
	fill(channel, to + CKD_COUNT_SIZE, size - CKD_COUNT_SIZE);
	memcpy(to, count, CKD_COUNT_SIZE);
	eckd->chain->record = offset;
}

/* Get the count field of a record to be formatted. 0, or the status to end with. */
static uint8_t fetch_count(struct eckd *eckd, struct channel *channel, uint8_t count[CKD_COUNT_SIZE])
{
	size_t size = channel_fetch(channel, count, CKD_COUNT_SIZE);

	if (channel_failed(channel))
		return UNIT_END;
	if (size < CKD_COUNT_SIZE)
		return eckd_check(eckd, SENSE0_REJECT, 0, MESSAGE_COUNT);
	return looks_like_end(count) ? invalid_format(eckd) : 0;
}

static bool fits_track(const struct eckd *eckd, uint32_t offset, const uint8_t *count, uint32_t cells)
{
	return cells + ckd_record_cells(ckd_key_length(count), ckd_data_length(count)) <= CKD_3390_CELLS &&
	       offset + ckd_record_size(count) + CKD_END_SIZE <= eckd->image->track_size;
}

/*
 * Write Count, Key and Data (1D) behind the record that has just gone by; as the next track's first record (9D).
 * What follows on the track is gone.
 */
uint8_t eckd_write_ckd(struct device *device, struct channel *channel)
{
	struct eckd *eckd = eckd_of(device);
	uint8_t count[CKD_COUNT_SIZE];
	uint8_t status = permit(eckd, ACCESS_FORMAT);
	uint32_t offset;

	if (!status && channel->command & MULTITRACK) {
		status = eckd_next_track(eckd);
		if (!status)
			status = eckd_next_record(eckd, false, false);
	}
	if (status)
		return status;
	if (eckd->chain->orientation < AT_COUNT)
		return eckd_check(eckd, SENSE0_REJECT, 0, MESSAGE_SEQUENCE);
	status = fetch_count(eckd, channel, count);
	if (status)
		return status;
	offset = eckd->chain->record + ckd_record_size(eckd_count_field(eckd));
	if (!fits_track(eckd, offset, count, cells_used(eckd)))
		return invalid_format(eckd);
	format(eckd, channel, offset, count);
	done(eckd, true);
	return UNIT_END;
}

/* Record 0, and with it the end of everything else on the track. */
uint8_t eckd_write_r0(struct device *device, struct channel *channel)
{
	struct eckd *eckd = eckd_of(device);
	uint8_t count[CKD_COUNT_SIZE];
	uint8_t status = permit(eckd, ACCESS_FORMAT);

	if (status)
		return status;
	if ((eckd->chain->mask & MASK_WRITE) != MASK_ALL)
		return file_protected(eckd);
	if (eckd->chain->orientation > AT_HOME)
		return eckd_check(eckd, SENSE0_REJECT, 0, MESSAGE_SEQUENCE);
	status = fetch_count(eckd, channel, count);
	if (status)
		return status;
	if (count[4] || !fits_track(eckd, CKD_FIRST_RECORD, count, 0))
		return invalid_format(eckd);
	format(eckd, channel, CKD_FIRST_RECORD, count);
	done(eckd, true);
	return UNIT_END;
}

/* Erase what follows the record that has just gone by. The record that the channel sends is not written. */
uint8_t eckd_erase(struct device *device, struct channel *channel)
{
	struct eckd *eckd = eckd_of(device);
	uint8_t piece[256];
	uint8_t status = permit(eckd, ACCESS_FORMAT);

	if (status)
		return status;
	if (eckd->chain->orientation < AT_COUNT)
		return eckd_check(eckd, SENSE0_REJECT, 0, MESSAGE_SEQUENCE);
	for (uint32_t left = eckd->image->track_size / sizeof(piece); left; left--)
		if (channel_fetch_upto(channel, piece, sizeof(piece)) < sizeof(piece))
			break;
	if (channel_failed(channel))
		return UNIT_END;
	put_end(eckd_count_field(eckd) + ckd_record_size(eckd_count_field(eckd)));
	done(eckd, true);
	return UNIT_END;
}
