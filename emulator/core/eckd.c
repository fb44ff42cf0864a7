/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command table of the disk, and what all commands share. */
#include "eckd.h"

#include <string.h>

#include "channel.h"

static uint8_t no_operation(struct device *device, struct channel *channel)
{
	(void)device;
	(void)channel;
	return UNIT_END;
}

static uint8_t read_sense(struct device *device, struct channel *channel)
{
	struct device_sense *sense = eckd_of(device)->sense;
	struct device_sense given = *sense;

	device_forget_sense(sense);
	channel_store(channel, given.bytes, sizeof(given.bytes));
	return UNIT_END;
}

/* The high-order bit of a data command is "multitrack". */
static const device_command commands[256] = {
	[0x02] = eckd_read_ipl,
	[0x03] = no_operation,
	[0x04] = read_sense,
	[0x05] = eckd_write_record,	[0x85] = eckd_write_record,
	[0x06] = eckd_read_record,	[0x86] = eckd_read_record,
	[0x07] = eckd_seek,
	[0x0b] = eckd_seek,
	[0x0d] = eckd_write_record,	[0x8d] = eckd_write_record,
	[0x0e] = eckd_read_record,	[0x8e] = eckd_read_record,
	[0x11] = eckd_erase,
	[0x12] = eckd_read_count,	[0x92] = eckd_read_count,
	[0x13] = eckd_recalibrate,
	[0x14] = eckd_steal_lock,
	[0x15] = eckd_write_r0,
	[0x16] = eckd_read_r0,		[0x96] = eckd_read_r0,
	[0x19] = eckd_write_home,
	[0x1a] = eckd_read_home,	[0x9a] = eckd_read_home,
	[0x1b] = eckd_seek,
	[0x1d] = eckd_write_ckd,	[0x9d] = eckd_write_ckd,
	[0x1e] = eckd_read_record,	[0x9e] = eckd_read_record,
	[0x1f] = eckd_set_file_mask,
	[0x23] = eckd_set_sector,
	[0x27] = eckd_perform_function,
	[0x29] = eckd_search_key,	[0xa9] = eckd_search_key,
	[0x31] = eckd_search_id,	[0xb1] = eckd_search_id,
	[0x34] = eckd_sense_pgid,
	[0x39] = eckd_search_home,	[0xb9] = eckd_search_home,
	[0x3e] = eckd_read_subsystem_data,
	[0x47] = eckd_locate_record,
	[0x4b] = eckd_locate_record_extended,
	[0x49] = eckd_search_key,	[0xc9] = eckd_search_key,
	[0x51] = eckd_search_id,	[0xd1] = eckd_search_id,
	[0x5e] = eckd_read_multiple,
	[0x63] = eckd_define_extent,
	[0x64] = eckd_read_characteristics,
	[0x69] = eckd_search_key,	[0xe9] = eckd_search_key,
	[0x71] = eckd_search_id,	[0xf1] = eckd_search_id,
	[0x94] = eckd_release,
	[0x95] = eckd_write_full_track,
	[0xa5] = eckd_write_track_data,
	[0xa6] = eckd_read_track_data,
	[0xaf] = eckd_set_pgid,
	[0xb4] = eckd_reserve,
	[0xde] = eckd_read_track,
	[0xe4] = eckd_sense_id,
	[0xe7] = eckd_prefix,
	[0xfa] = eckd_read_configuration,
};

/* Program action codes of the 32-byte format, as Linux' dasd_3990_erp.c takes them. */
enum { ACTION_PERMANENT = 0x01, ACTION_OUTSIDE_EXTENT = 0x15 };

/* Bytes 4 to 6 and 27 of the 24-byte format: unit, cylinder (12 bits of it) and head. */
static void put_short_format(const struct eckd *eckd, uint8_t *bytes, uint32_t cylinder, uint32_t head)
{
	bytes[4] = eckd->identity.unit_address;
	bytes[5] = (uint8_t)cylinder;
	bytes[6] = (uint8_t)(((cylinder >> 4) & 0xf0) | head);
	bytes[27] = 0x80;
}

/* The 32-byte format: what the program should do, and the track in the form that reaches beyond 65535 cylinders. */
static void put_long_format(const struct eckd *eckd, uint8_t *bytes, uint32_t cylinder, uint32_t head)
{
	bytes[4] = eckd->identity.unit_address;
	bytes[25] = bytes[1] & SENSE1_FILE_PROTECTED ? ACTION_OUTSIDE_EXTENT : ACTION_PERMANENT;
	bytes[27] = 0x30; /* the track is valid, in its extended form */
	ckd_put_address(bytes + 28, cylinder, head);
}

uint8_t eckd_check(struct eckd *eckd, uint8_t sense0, uint8_t sense1, uint8_t message)
{
	struct device_sense *sense = eckd->sense;
	uint32_t cylinder = eckd->chain->track / eckd->image->heads;
	uint32_t head = eckd->chain->track % eckd->image->heads;

	device_forget_sense(sense);
	sense->bytes[0] = sense0;
	sense->bytes[1] = sense1;
	sense->bytes[7] = message;
	if (eckd->long_sense)
		put_long_format(eckd, sense->bytes, cylinder, head);
	else
		put_short_format(eckd, sense->bytes, cylinder, head);
	sense->pending = true;
	return UNIT_END | UNIT_CHECK;
}

uint8_t eckd_reject(struct eckd *eckd, uint8_t message)
{
	return eckd_check(eckd, SENSE0_REJECT, 0, message);
}

uint8_t eckd_fetch_parameters(struct eckd *eckd, struct channel *channel, uint8_t *data, size_t size)
{
	size_t got = channel_fetch(channel, data, size);

	if (channel_failed(channel))
		return UNIT_END;
	return got < size ? eckd_reject(eckd, MESSAGE_COUNT) : 0;
}

static void reject(struct device *device)
{
	eckd_reject(eckd_of(device), MESSAGE_COMMAND);
}

static void chain_begin(struct device *device, unsigned path)
{
	struct eckd *eckd = eckd_of(device);

	eckd_attend(eckd, path / CSS_PATHS);
	memset(eckd->chain, 0, sizeof(*eckd->chain));
	eckd->chain->last = eckd->image->cylinders * eckd->image->heads - 1;
}

static void chain_end(struct device *device)
{
	ckd_commit(eckd_of(device)->image);
}

/* Equipment check, whatever came of the command, apart from Sense, which tells it. */
static uint8_t report_loss(struct device *device, uint8_t command, uint8_t status)
{
	return command == 0x04 ? status : eckd_check(eckd_of(device), SENSE0_EQUIPMENT, SENSE1_PERMANENT, MESSAGE_NONE);
}

static const struct device_class class = {
	.chain_begin = chain_begin,
	.chain_end = chain_end,
	.report_loss = report_loss,
	.select = eckd_select_path,
	.reject = reject,
	.reset = eckd_reset_paths,
};

void eckd_init(struct eckd *eckd, struct ckd_image *image, const struct eckd_identity *identity,
	       bool read_only)
{
	memset(eckd, 0, sizeof(*eckd));
	eckd->device.class = &class;
	memcpy(eckd->device.commands, commands, sizeof(commands));
	eckd->image = image;
	eckd->device.lost = &image->lost;
	eckd->identity = *identity;
	eckd->read_only = read_only || !image->writable;
	eckd_attend(eckd, 0);
	eckd->reserved_by = -1;
	chain_begin(&eckd->device, 0);
}

uint8_t eckd_model_of(uint32_t cylinders)
{
	static const struct {
		uint32_t cylinders;
		uint8_t model;
	} models[] = {{1113, 0x02}, {2226, 0x06}, {3339, 0x0a}, {65520, 0x0c}};

	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++)
		if (cylinders <= models[i].cylinders)
			return models[i].model;
	return 0x0e;
}
