/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands that deal with a whole track at a time: those of a Locate Record Extended, as Linux uses them
 * (drivers/s390/block/dasd_eckd.c: raw-track access and track-based I/O), and Read Multiple Count, Key and Data.
 */
#include <string.h>

#include "channel.h"
#include "eckd.h"

static uint8_t damaged(struct eckd *eckd)
{
	return eckd_check(eckd, SENSE0_EQUIPMENT, SENSE1_PERMANENT, MESSAGE_NONE);
}

/* The first command of a domain is for the track that was located, each further one for the track that follows. */
static uint8_t next_in_domain(struct eckd *eckd)
{
	uint8_t status = 0;

	if (eckd->chain->track_passed)
		status = eckd_next_track(eckd);
	eckd->chain->track_passed = true;
	return status;
}

/* Read Track (DE): all records, record 0 first, as they lie on the track, and the end mark. */
uint8_t eckd_read_track(struct device *device, struct channel *channel)
{
	struct eckd *eckd = eckd_of(device);
	uint8_t status = eckd_enter_domain(eckd, ACCESS_READ_TRACK);
	uint32_t end;

	if (!status)
		status = next_in_domain(eckd);
	if (status)
		return status;
	end = eckd_end_of_track(eckd);
	if (!end)
		return damaged(eckd);
	channel_store(channel, eckd_track_bytes(eckd) + CKD_FIRST_RECORD, end + CKD_END_SIZE - CKD_FIRST_RECORD);
	eckd->chain->orientation = AT_INDEX;
	eckd_use_operation(eckd);
	return UNIT_END;
}

/* To the first record that a command for the data of a track deals with, on the track that is its. */
static uint8_t first_data(struct eckd *eckd)
{
	uint8_t status = next_in_domain(eckd);

	if (status || eckd->chain->orientation == AT_COUNT)
		return status;
	return eckd_next_user_record(eckd, false);
}

/* To the next record of the track, if there is one. */
static enum ckd_walk step(struct eckd *eckd)
{
	uint32_t next = eckd->chain->record + ckd_record_size(eckd_count_field(eckd));
	enum ckd_walk walk = ckd_record_at(eckd_track_bytes(eckd), eckd->image->track_size, next);

	if (walk == CKD_RECORD)
		eckd->chain->record = next;
	return walk;
}

/*
 * Read Track Data (A6): the data fields from the located record (on further tracks: from the first) to the end of the
 * track; of the last track no more than the transfer-length factor tells.
 */
uint8_t eckd_read_track_data(struct device *device, struct channel *channel)
{
	struct eckd *eckd = eckd_of(device);
	struct eckd_chain *chain = eckd->chain;
	uint8_t status = eckd_enter_domain(eckd, ACCESS_READ_TRACK);
	enum ckd_walk walk = CKD_RECORD;
	size_t left;

	if (!status)
		status = first_data(eckd);
	if (status)
		return status;
	left = chain->operations_left == 1 && chain->length ? chain->length : eckd->image->track_size;
	while (left && walk == CKD_RECORD) {
		const uint8_t *count = eckd_count_field(eckd);
		size_t size = ckd_data_length(count) < left ? ckd_data_length(count) : left;

		if (channel_store(channel, count + CKD_COUNT_SIZE + ckd_key_length(count), size) < size)
			break;
		left -= size;
		walk = step(eckd);
	}
	if (walk == CKD_BAD)
		return damaged(eckd);
	chain->orientation = AT_DATA;
	eckd_use_operation(eckd);
	return UNIT_END;
}

/* Read Multiple Count, Key and Data (5E): from the next record to the end of the track. */
uint8_t eckd_read_multiple(struct device *device, struct channel *channel)
{
	struct eckd *eckd = eckd_of(device);
	uint8_t status = eckd_next_user_record(eckd, false);
	uint32_t end;

	if (status)
		return status;
	end = eckd_end_of_track(eckd);
	if (!end)
		return damaged(eckd);
	channel_store(channel, eckd_count_field(eckd), end - eckd->chain->record);
	while (step(eckd) == CKD_RECORD)
		;
	eckd->chain->orientation = AT_DATA;
	eckd->chain->index_passes = 0;
	return UNIT_END;
}

/* Write Full Track goes to the next track of its set. */
static uint8_t next_of_set(struct eckd *eckd)
{
	struct eckd_chain *chain = eckd->chain;
	uint8_t status = 0;

	while (chain->track_passed && !status) {
		status = eckd_next_track(eckd);
		chain->track_set = (uint16_t)(chain->track_set << 1);
		if (chain->track_set & 0x8000u || !chain->track_set)
			break;
	}
	chain->track_passed = true;
	return status;
}

/*
 * Take a track's records from the channel: record 0 first, and a count field of ones behind the last. Offset of the
 * end; 0: they are no track.
 */
static uint32_t take_records(struct eckd *eckd, struct channel *channel, uint8_t *track)
{
	uint32_t offset = CKD_FIRST_RECORD, cells = 0;

	for (;;) {
		uint8_t *count = track + offset;
		size_t body;

		if (channel_fetch(channel, count, CKD_COUNT_SIZE) < CKD_COUNT_SIZE)
			return 0;
		if (eckd_looks_like_end(count))
			return offset > CKD_FIRST_RECORD ? offset : 0;
		if ((offset == CKD_FIRST_RECORD) != !count[4])
			return 0;
		if (offset > CKD_FIRST_RECORD)
			cells += ckd_record_cells(ckd_key_length(count), ckd_data_length(count));
		if (cells > CKD_3390_CELLS || offset + ckd_record_size(count) + CKD_END_SIZE > eckd->image->track_size)
			return 0;
		body = ckd_record_size(count) - CKD_COUNT_SIZE;
		if (channel_fetch(channel, count + CKD_COUNT_SIZE, body) < body)
			return 0;
		offset += ckd_record_size(count);
	}
}

/* Write Full Track (95): replaces all records, record 0 included. What is no track leaves the old one as it was. */
uint8_t eckd_write_full_track(struct device *device, struct channel *channel)
{
	struct eckd *eckd = eckd_of(device);
	uint8_t status = eckd_permit_write(eckd, ACCESS_WRITE_TRACK, 0);
	uint8_t *track;
	uint32_t end;

	if (!status)
		status = next_of_set(eckd);
	if (status)
		return status;
	track = ckd_stage_track(eckd->image, eckd->chain->track);
	end = take_records(eckd, channel, track);
	if (!end) {
		ckd_discard(eckd->image);
		return channel_failed(channel) ? UNIT_END : eckd_invalid_format(eckd);
	}
	ckd_stage(eckd->image, eckd->chain->track, CKD_FIRST_RECORD, end + CKD_END_SIZE);
	eckd->chain->orientation = AT_INDEX;
	eckd_use_operation(eckd);
	return UNIT_END;
}

/*
 * Write Track Data (A5): the data fields from the located record (on further tracks: from the first) as far as the
 * channel has data. All must be as long as the transfer-length factor tells.
 */
uint8_t eckd_write_track_data(struct device *device, struct channel *channel)
{
	struct eckd *eckd = eckd_of(device);
	struct eckd_chain *chain = eckd->chain;
	uint8_t status = eckd_permit_write(eckd, ACCESS_WRITE_TRACK_DATA, 0);
	enum ckd_walk walk = CKD_RECORD;

	if (!status)
		status = first_data(eckd);
	if (status)
		return status;
	for (bool first = true; walk == CKD_RECORD && (first || channel_has_more(channel)); first = false) {
		const uint8_t *count = eckd_count_field(eckd);
		uint32_t offset = chain->record + CKD_COUNT_SIZE + ckd_key_length(count);

		if (ckd_data_length(count) != chain->length)
			return eckd_invalid_format(eckd);
		eckd_fill(eckd, channel, offset, ckd_data_length(count));
		walk = step(eckd);
	}
	if (walk == CKD_BAD)
		return damaged(eckd);
	chain->orientation = AT_DATA;
	eckd_use_operation(eckd);
	return UNIT_END;
}
