/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writing: updating records in place, and formatting a track from a record on. */
#include <string.h>

#include "channel.h"
#include "eckd.h"

#define MULTITRACK 0x80u

static uint8_t inhibited(struct eckd *eckd)
{
	return eckd_check(eckd, SENSE0_REJECT, SENSE1_WRITE_INHIBITED, MESSAGE_NONE);
}

uint8_t eckd_invalid_format(struct eckd *eckd)
{
	return eckd_check(eckd, 0, SENSE1_TRACK_FORMAT, MESSAGE_NONE);
}

static bool mask_permits(uint8_t mask, enum eckd_access access)
{
	switch (access) {
	case ACCESS_FORMAT:
	case ACCESS_ERASE:
		return (mask & MASK_WRITE) != MASK_NO_WRITE && (mask & MASK_WRITE) != MASK_UPDATE_ONLY;
	case ACCESS_FORMAT_R0:
	case ACCESS_WRITE_TRACK:
		return (mask & MASK_WRITE) == MASK_ALL;
	default:
		return (mask & MASK_WRITE) != MASK_NO_WRITE;
	}
}

uint8_t eckd_permit_write(struct eckd *eckd, enum eckd_access access, uint8_t ready)
{
	const struct eckd_chain *chain = eckd->chain;

	if (eckd->read_only)
		return inhibited(eckd);
	if (!mask_permits(chain->mask, access) || (!chain->in_domain && !(chain->ready & ready)))
		return eckd_reject(eckd, MESSAGE_SEQUENCE);
	return chain->in_domain ? eckd_enter_domain(eckd, access) : 0;
}

/* The write is over; outside of a domain it leaves the chain ready for these writes. */
static void done(struct eckd *eckd, uint8_t ready)
{
	eckd->chain->orientation = AT_DATA;
	eckd->chain->ready = eckd->chain->in_domain ? 0 : ready;
	eckd_use_operation(eckd);
}

void eckd_fill(struct eckd *eckd, struct channel *channel, uint32_t offset, uint32_t size)
{
	uint8_t *to = ckd_stage(eckd->image, eckd->chain->track, offset, offset + size);
	size_t got = channel_fetch(channel, to, size);

	if (channel_failed(channel) && !got) /* nothing came at all: leave the record alone */
		ckd_restage(eckd->image, offset, offset + size);
	else
		memset(to + got, 0, size - got);
}

/*
 * In a domain: one record can be written by any of the commands; else it is the update commands (85, 8D), and all of a
 * domain are the same.
 */
static bool permit_update(struct eckd_chain *chain, uint8_t command)
{
	if (!(command & MULTITRACK))
		return chain->single;
	if (!chain->update)
		chain->update = command;
	return chain->update == command;
}

/* In a domain, is this the length that the transfer-length factor announced? */
static bool announced_length(const struct eckd_chain *chain, uint32_t size)
{
	return !chain->in_domain || !chain->length || chain->conversion || chain->length == size;
}

/* Write Data (05), Write Key and Data (0D): the record keeps its lengths. */
uint8_t eckd_write_record(struct device *device, struct channel *channel)
{
	struct eckd *eckd = eckd_of(device);
	struct eckd_chain *chain = eckd->chain;
	bool with_key = channel->command & 0x08, update = channel->command & MULTITRACK;
	uint8_t ready = update ? 0 : with_key ? READY_KEY_DATA : READY_DATA; /* the update commands are for domains */
	uint8_t status = eckd_permit_write(eckd, ACCESS_UPDATE, ready);
	bool here = chain->orientation == AT_COUNT || (!with_key && chain->orientation == AT_KEY);
	uint32_t key, length, body;

	if (!status && chain->in_domain && !permit_update(chain, channel->command))
		status = eckd_reject(eckd, MESSAGE_SEQUENCE);
	if (!status && !here)
		status = eckd_next_user_record(eckd, update);
	if (status)
		return status;
	key = ckd_key_length(eckd_count_field(eckd));
	length = ckd_data_length(eckd_count_field(eckd));
	body = chain->record + CKD_COUNT_SIZE;
	if (!announced_length(chain, with_key ? key + length : length))
		return eckd_invalid_format(eckd);
	if (with_key)
		eckd_fill(eckd, channel, body, key + length);
	else
		eckd_fill(eckd, channel, body + key, length);
	done(eckd, chain->ready & (with_key ? READY_AFTER_KEY_DATA : READY_AFTER_DATA));
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
bool eckd_looks_like_end(const uint8_t count[CKD_COUNT_SIZE])
{
	for (unsigned i = 0; i < CKD_COUNT_SIZE; i++)
		if (count[i] != 0xff)
			return false;
	return true;
}

/* Stage the end mark of the current track. */
static void put_end(struct eckd *eckd, struct channel *channel, uint32_t offset)
{
	ckd_stage_track(eckd->image, eckd->chain->track);
	channel_spend(channel, eckd->image->track_size);
	memset(ckd_stage(eckd->image, eckd->chain->track, offset, offset + CKD_END_SIZE), 0xff, CKD_END_SIZE);
}

/* Write a record at an offset of the track and end the track behind it. */
static void format(struct eckd *eckd, struct channel *channel, uint32_t offset, const uint8_t *count)
{
	uint32_t size = ckd_record_size(count), track = eckd->chain->track;

	put_end(eckd, channel, offset + size);
	memset(ckd_stage(eckd->image, track, offset, offset + size) + CKD_COUNT_SIZE, 0, size - CKD_COUNT_SIZE);
	eckd_fill(eckd, channel, offset + CKD_COUNT_SIZE, size - CKD_COUNT_SIZE);
	memcpy(ckd_stage(eckd->image, track, offset, offset + CKD_COUNT_SIZE), count, CKD_COUNT_SIZE);
	eckd->chain->record = offset;
}

/* Get the count field of a record to be formatted; bytes that do not come are zeros. 0, or the status to end with. */
static uint8_t fetch_count(struct eckd *eckd, struct channel *channel, uint8_t count[CKD_COUNT_SIZE])
{
	memset(count, 0, CKD_COUNT_SIZE);
	channel_fetch(channel, count, CKD_COUNT_SIZE);
	if (channel_failed(channel))
		return UNIT_END;
	return eckd_looks_like_end(count) ? eckd_reject(eckd, MESSAGE_PARAMETER) : 0;
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
	bool next_track = channel->command & MULTITRACK;
	uint8_t count[CKD_COUNT_SIZE];
	uint8_t status = eckd_permit_write(eckd, ACCESS_FORMAT, next_track ? 0 : READY_TO_FORMAT);
	uint32_t offset;

	if (!status && next_track) {
		status = eckd_next_track(eckd);
		if (!status)
			status = eckd_next_record(eckd, false, false);
	}
	if (status)
		return status;
	if (eckd->chain->orientation < AT_COUNT)
		return eckd_reject(eckd, MESSAGE_SEQUENCE);
	status = fetch_count(eckd, channel, count);
	if (status)
		return status;
	offset = eckd->chain->record + ckd_record_size(eckd_count_field(eckd));
	if (!fits_track(eckd, offset, count, cells_used(eckd)))
		return eckd_invalid_format(eckd);
	format(eckd, channel, offset, count);
	done(eckd, READY_FORMAT_MORE);
	return UNIT_END;
}

/* Record 0, and with it the end of everything else on the track. */
uint8_t eckd_write_r0(struct device *device, struct channel *channel)
{
	struct eckd *eckd = eckd_of(device);
	uint8_t count[CKD_COUNT_SIZE];
	uint8_t status = eckd_permit_write(eckd, ACCESS_FORMAT_R0, READY_R0);

	if (status)
		return status;
	if (eckd->chain->orientation > AT_HOME)
		return eckd_reject(eckd, MESSAGE_SEQUENCE);
	status = eckd_fetch_parameters(eckd, channel, count, sizeof(count));
	if (status)
		return status;
	if (count[4])
		return eckd_reject(eckd, MESSAGE_PARAMETER);
	if (!fits_track(eckd, CKD_FIRST_RECORD, count, 0))
		return eckd_invalid_format(eckd);
	format(eckd, channel, CKD_FIRST_RECORD, count);
	done(eckd, READY_FORMAT_MORE);
	return UNIT_END;
}

/*
 * Home address. It says where the track is, so that it cannot be another one than it was; a track has nothing but an
 * empty record 0 behind a new home address.
 */
uint8_t eckd_write_home(struct device *device, struct channel *channel)
{
	struct eckd *eckd = eckd_of(device);
	uint8_t address[CKD_HOME_SIZE], *track;
	uint8_t status = eckd_permit_write(eckd, ACCESS_FORMAT_R0, READY_HOME);

	if (status)
		return status;
	if (eckd->chain->orientation > AT_HOME)
		return eckd_reject(eckd, MESSAGE_SEQUENCE);
	status = eckd_fetch_parameters(eckd, channel, address, sizeof(address));
	if (status)
		return status;
	if (memcmp(address, eckd_track_bytes(eckd), sizeof(address)))
		return eckd_reject(eckd, MESSAGE_PARAMETER);
	track = ckd_stage_track(eckd->image, eckd->chain->track);
	channel_spend(channel, eckd->image->track_size);
	ckd_empty_track(track, eckd->chain->track / eckd->image->heads, eckd->chain->track % eckd->image->heads);
	ckd_stage(eckd->image, eckd->chain->track, 0, CKD_EMPTY_TRACK_SIZE);
	done(eckd, READY_R0);
	eckd->chain->orientation = AT_HOME;
	return UNIT_END;
}

/* Erase what follows the record that has just gone by. The record that the channel sends is not written. */
uint8_t eckd_erase(struct device *device, struct channel *channel)
{
	struct eckd *eckd = eckd_of(device);
	uint8_t piece[256];
	uint8_t status = eckd_permit_write(eckd, ACCESS_ERASE, READY_TO_FORMAT);

	if (status)
		return status;
	if (eckd->chain->orientation < AT_COUNT)
		return eckd_reject(eckd, MESSAGE_SEQUENCE);
	for (uint32_t left = eckd->image->track_size / sizeof(piece); left; left--)
		if (channel_fetch_upto(channel, piece, sizeof(piece)) < sizeof(piece))
			break;
	if (channel_failed(channel))
		return UNIT_END;
	put_end(eckd, channel, eckd->chain->record + ckd_record_size(eckd_count_field(eckd)));
	done(eckd, READY_FORMAT_MORE);
	return UNIT_END;
}
