/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading: data, key and data, count key and data, counts, record 0, home address, initial program load. */
#include "channel.h"
#include "eckd.h"

#define MULTITRACK 0x80u

static uint8_t ending(struct eckd *eckd, uint32_t data_length)
{
	eckd_use_operation(eckd);
	return data_length ? UNIT_END : UNIT_END | UNIT_EXCEPTION; /* an end-of-file record */
}

/* Read Data (06), Read Key and Data (0E), Read Count Key and Data (1E). */
uint8_t eckd_read_record(struct device *device, struct channel *channel)
{
	enum { DATA = 0x06, KEY_DATA = 0x0e, COUNT_KEY_DATA = 0x1e };
	struct eckd *eckd = eckd_of(device);
	struct eckd_chain *chain = eckd->chain;
	uint8_t kind = channel->command & 0x7f;
	uint8_t status = eckd_enter_domain(eckd, ACCESS_READ);
	const uint8_t *count, *from;
	uint32_t key, length;
	bool here = kind != COUNT_KEY_DATA &&
		    (chain->orientation == AT_COUNT || (kind == DATA && chain->orientation == AT_KEY));

	if (!status && !here)
		status = eckd_next_user_record(eckd, channel->command & MULTITRACK);
	if (status)
		return status;
	count = eckd_count_field(eckd);
	key = ckd_key_length(count);
	length = ckd_data_length(count);
	switch (kind) {
	case COUNT_KEY_DATA:
		from = count;
		break;
	case KEY_DATA:
		from = count + CKD_COUNT_SIZE;
		break;
	default:
		from = count + CKD_COUNT_SIZE + key;
	}
	channel_store(channel, from, (size_t)(count + CKD_COUNT_SIZE + key + length - from));
	chain->orientation = AT_DATA;
	chain->ready &= kind == DATA ? READY_AFTER_DATA : READY_AFTER_KEY_DATA;
	return ending(eckd, length);
}

uint8_t eckd_read_count(struct device *device, struct channel *channel)
{
	struct eckd *eckd = eckd_of(device);
	bool multitrack = channel->command & MULTITRACK;
	uint8_t status = eckd_enter_domain(eckd, multitrack ? ACCESS_READ_COUNT : ACCESS_READ);

	if (!status)
		status = eckd_next_user_record(eckd, multitrack);
	if (status)
		return status;
	channel_store(channel, eckd_count_field(eckd), CKD_COUNT_SIZE);
	eckd_use_operation(eckd);
	return UNIT_END;
}

uint8_t eckd_read_r0(struct device *device, struct channel *channel)
{
	struct eckd *eckd = eckd_of(device);
	struct eckd_chain *chain = eckd->chain;
	uint8_t status = eckd_enter_domain(eckd, ACCESS_READ);

	if (!status && channel->command & MULTITRACK && chain->orientation >= AT_COUNT)
		status = eckd_next_track(eckd);
	if (status)
		return status;
	chain->orientation = AT_INDEX;
	status = eckd_next_record(eckd, false, false);
	if (status)
		return status;
	channel_store(channel, eckd_count_field(eckd), ckd_record_size(eckd_count_field(eckd)));
	chain->orientation = AT_DATA;
	eckd_use_operation(eckd);
	return UNIT_END;
}

uint8_t eckd_read_home(struct device *device, struct channel *channel)
{
	struct eckd *eckd = eckd_of(device);
	uint8_t status = eckd_enter_domain(eckd, ACCESS_READ);

	if (!status && channel->command & MULTITRACK && eckd->chain->orientation != AT_INDEX)
		status = eckd_next_track(eckd);
	if (status)
		return status;
	channel_store(channel, eckd_track_bytes(eckd), CKD_HOME_SIZE);
	eckd->chain->orientation = AT_HOME;
	eckd_use_operation(eckd);
	return UNIT_END;
}

/* Record 1 of cylinder 0, head 0. */
uint8_t eckd_read_ipl(struct device *device, struct channel *channel)
{
	struct eckd *eckd = eckd_of(device);
	const uint8_t *count;
	uint8_t status;

	if (eckd->chain->extent_defined || eckd->chain->mask_set || eckd->chain->ipl_read)
		return eckd_reject(eckd, MESSAGE_SEQUENCE);
	eckd->chain->index_passes = 0;
	eckd->chain->positioned = eckd->chain->ipl_read = true;
	status = eckd_move_to(eckd, 0);
	if (!status)
		status = eckd_next_user_record(eckd, false);
	if (status)
		return status;
	count = eckd_count_field(eckd);
	channel_store(channel, count + CKD_COUNT_SIZE + ckd_key_length(count), ckd_data_length(count));
	eckd->chain->orientation = AT_DATA;
	return ending(eckd, ckd_data_length(count));
}
