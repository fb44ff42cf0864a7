/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands that say which tracks, which record, and what will be done: extents, masks, seeks, searches. */
#include <string.h>

#include "bytes.h"
#include "channel.h"
#include "eckd.h"

#define MASK_SEEK 0x18u
#define CKD_CONVERSION 0x20u
#define SECTORS 224u
#define ANY_SECTOR 0xffu

/* What a Locate Record's search orients to. */
enum { ORIENT_COUNT = 0x00, ORIENT_HOME = 0x40, ORIENT_DATA = 0x80, ORIENT_INDEX = 0xc0 };

uint8_t eckd_set_extent(struct eckd *eckd, const uint8_t data[ECKD_EXTENT_SIZE])
{
	struct eckd_chain *chain = eckd->chain;
	uint32_t first, last;

	if (chain->extent_defined || chain->mask_set || chain->ipl_read)
		return eckd_reject(eckd, MESSAGE_SEQUENCE);
	if ((data[1] & 0xc0) != 0xc0) /* only ECKD mode */
		return eckd_reject(eckd, MESSAGE_PARAMETER);
	if (!eckd_track_number(eckd, data + 8, &first) || !eckd_track_number(eckd, data + 12, &last) || first > last)
		return eckd_reject(eckd, MESSAGE_PARAMETER);
	chain->extent_defined = true;
	chain->mask = data[0];
	chain->conversion = data[1] & CKD_CONVERSION;
	chain->first = first;
	chain->last = last;
	chain->track = first;
	chain->orientation = AT_INDEX;
	return 0;
}

uint8_t eckd_define_extent(struct device *device, struct channel *channel)
{
	struct eckd *eckd = eckd_of(device);
	uint8_t data[ECKD_EXTENT_SIZE];
	uint8_t status = eckd_fetch_parameters(eckd, channel, data, sizeof(data));

	if (!status)
		status = eckd_set_extent(eckd, data);
	return status ? status : UNIT_END;
}

static bool valid_sector(uint8_t sector)
{
	return sector == ANY_SECTOR || sector < SECTORS;
}

/* Look for the record with this id on the track. 0, or the unit status of a check (no record found). */
static uint8_t find_record(struct eckd *eckd, const uint8_t id[5])
{
	uint8_t status;

	eckd->chain->index_passes = 1; /* the search begins at the index: one time round is enough */
	do {
		status = eckd_next_record(eckd, false, true);
	} while (!status && memcmp(eckd_count_field(eckd), id, 5));
	eckd->chain->index_passes = 0;
	return status;
}

static uint8_t orient(struct eckd *eckd, const uint8_t *data)
{
	uint8_t status = 0;

	switch (data[0] & 0xc0) {
	case ORIENT_HOME:
		eckd->chain->orientation = AT_HOME;
		break;
	case ORIENT_INDEX:
		eckd->chain->orientation = AT_INDEX;
		break;
	case ORIENT_DATA:
		status = find_record(eckd, data + 8);
		if (!status)
			eckd->chain->orientation = AT_DATA;
		break;
	case ORIENT_COUNT:
		status = find_record(eckd, data + 8);
	}
	return status;
}

static bool known_operation(uint8_t operation)
{
	switch (operation) {
	case LOCATE_ORIENT:
	case LOCATE_WRITE_DATA:
	case LOCATE_FORMAT_WRITE:
	case LOCATE_READ_DATA:
	case LOCATE_WRITE_TRACK:
	case LOCATE_READ:
		return true;
	default:
		return false;
	}
}

/* Where the operations can begin that a Locate Record announces. */
static bool possible_orientation(uint8_t orientation, uint8_t operation)
{
	switch (orientation) {
	case ORIENT_HOME:
		return operation == LOCATE_ORIENT || operation == LOCATE_FORMAT_WRITE ||
		       operation == LOCATE_READ_DATA || operation == LOCATE_READ_TRACKS || operation == LOCATE_READ;
	case ORIENT_DATA:
		return operation == LOCATE_ORIENT || operation == LOCATE_WRITE_DATA ||
		       operation == LOCATE_READ_DATA || operation == LOCATE_READ;
	case ORIENT_INDEX:
		return operation == LOCATE_FORMAT_WRITE || operation == LOCATE_READ;
	default:
		return true;
	}
}

static bool writes(uint8_t operation)
{
	return operation == LOCATE_WRITE_DATA || operation == LOCATE_FORMAT_WRITE || operation == LOCATE_WRITE_TRACK ||
	       operation == LOCATE_EXTENDED;
}

enum { AUXILIARY = 1, RESERVED = 2, COUNT = 3, SECTOR = 13, LENGTH = 14, LENGTH_VALID = 0x80,
       COUNT_SUFFIX = 0x01 };

/* Only a transfer-length factor can be there, and, behind other commands, a Read Count. */
static bool valid_auxiliary(uint8_t auxiliary, uint8_t operation, uint8_t count)
{
	if (auxiliary & COUNT_SUFFIX && (count < 2 || (operation != LOCATE_WRITE_DATA && operation != LOCATE_READ)))
		return false;
	return !(auxiliary & ~(LENGTH_VALID | COUNT_SUFFIX));
}

static bool valid_location(const uint8_t data[ECKD_LOCATE_SIZE])
{
	uint8_t operation = data[0] & 0x3f;

	return possible_orientation(data[0] & 0xc0, operation) && !data[RESERVED] &&
	       valid_auxiliary(data[AUXILIARY], operation, data[COUNT]) &&
	       (operation == LOCATE_ORIENT) == !data[COUNT] && valid_sector(data[SECTOR]) &&
	       (data[AUXILIARY] & LENGTH_VALID || !get_be16(data + LENGTH));
}

uint8_t eckd_set_location(struct eckd *eckd, const uint8_t data[ECKD_LOCATE_SIZE])
{
	struct eckd_chain *chain = eckd->chain;
	uint8_t operation = data[0] & 0x3f, status;
	uint32_t track;

	if (!valid_location(data) || !eckd_track_number(eckd, data + 4, &track))
		return eckd_reject(eckd, MESSAGE_PARAMETER);
	if (writes(operation) && (chain->mask & MASK_WRITE) == MASK_NO_WRITE)
		return eckd_reject(eckd, MESSAGE_SEQUENCE);
	chain->index_passes = 0;
	chain->positioned = true;
	status = eckd_move_to(eckd, track);
	if (!status)
		status = orient(eckd, data);
	if (status)
		return status;
	chain->in_domain = operation != LOCATE_ORIENT;
	chain->operation = operation;
	chain->operations_left = data[COUNT];
	chain->length = get_be16(data + LENGTH);
	chain->count_suffix = data[AUXILIARY] & COUNT_SUFFIX;
	chain->single = data[COUNT] == 1 + chain->count_suffix && (data[0] & 0xc0) == ORIENT_COUNT;
	chain->update = 0;
	chain->track_passed = false;
	return 0;
}

uint8_t eckd_locate_record(struct device *device, struct channel *channel)
{
	struct eckd *eckd = eckd_of(device);
	uint8_t data[ECKD_LOCATE_SIZE];
	uint8_t status = eckd_fetch_parameters(eckd, channel, data, sizeof(data));

	if (status)
		return status;
	if (!eckd->chain->extent_defined)
		return eckd_reject(eckd, MESSAGE_SEQUENCE);
	if (!known_operation(data[0] & 0x3f))
		return eckd_reject(eckd, MESSAGE_PARAMETER);
	status = eckd_set_location(eckd, data);
	return status ? status : UNIT_END;
}

static uint8_t file_protected(struct eckd *eckd)
{
	return eckd_check(eckd, 0, SENSE1_FILE_PROTECTED, MESSAGE_NONE);
}

static uint8_t arm_moves(const struct eckd *eckd)
{
	return eckd->ends_apart ? UNIT_CE : UNIT_END;
}

/* Seek, Seek Cylinder (0B), Seek Head (1B), as far as the file mask permits. */
uint8_t eckd_seek(struct device *device, struct channel *channel)
{
	enum { SEEK_CYLINDER = 0x0b, SEEK_HEAD = 0x1b };
	struct eckd *eckd = eckd_of(device);
	struct eckd_chain *chain = eckd->chain;
	uint8_t data[6];
	uint8_t status = eckd_fetch_parameters(eckd, channel, data, sizeof(data));
	uint32_t track, heads = eckd->image->heads;
	uint8_t least = channel->command == SEEK_HEAD ? 0x10 : channel->command == SEEK_CYLINDER ? 0x08 : 0x00;

	if (status)
		return status;
	if ((chain->mask & MASK_SEEK) > least)
		return file_protected(eckd);
	if (data[0] || data[1] || !eckd_track_number(eckd, data + 2, &track))
		return eckd_reject(eckd, MESSAGE_PARAMETER);
	if (channel->command == SEEK_HEAD)
		track = chain->track / heads * heads + track % heads;
	chain->index_passes = 0;
	chain->positioned = true;
	status = eckd_move_to(eckd, track);
	return status ? status : arm_moves(eckd);
}

uint8_t eckd_recalibrate(struct device *device, struct channel *channel)
{
	struct eckd *eckd = eckd_of(device);
	uint8_t status;

	(void)channel;
	if (eckd->chain->mask & MASK_SEEK)
		return file_protected(eckd);
	eckd->chain->index_passes = 0;
	eckd->chain->positioned = true;
	status = eckd_move_to(eckd, 0);
	return status ? status : arm_moves(eckd);
}

uint8_t eckd_set_file_mask(struct device *device, struct channel *channel)
{
	struct eckd *eckd = eckd_of(device);
	uint8_t mask;
	uint8_t status = eckd_fetch_parameters(eckd, channel, &mask, sizeof(mask));

	if (status)
		return status;
	if (eckd->chain->extent_defined || eckd->chain->mask_set)
		return eckd_reject(eckd, MESSAGE_SEQUENCE);
	eckd->chain->mask = mask;
	eckd->chain->mask_set = true;
	return UNIT_END;
}

/* A hint about the angle, of no use here. */
uint8_t eckd_set_sector(struct device *device, struct channel *channel)
{
	uint8_t sector;
	uint8_t status = eckd_fetch_parameters(eckd_of(device), channel, &sector, sizeof(sector));

	if (status)
		return status;
	if (!valid_sector(sector))
		return eckd_reject(eckd_of(device), MESSAGE_PARAMETER);
	return UNIT_END;
}

/* Equal (x1/x9 with 0x20), high (0x40), or either (0x60): bits of the search commands' codes. */
static bool satisfied(uint8_t command, int compared)
{
	return (command & 0x20 && compared == 0) || (command & 0x40 && compared > 0);
}

/* A write may follow when all bytes of the field compared equal. */
static uint8_t search_ends(struct eckd *eckd, bool match, bool all_equal, uint8_t ready)
{
	eckd->chain->ready = all_equal ? ready : 0;
	return match ? UNIT_END | UNIT_MODIFIER : UNIT_END;
}

/* Compare the next record's id with the argument; satisfied, the CCW that follows is skipped. */
uint8_t eckd_search_id(struct device *device, struct channel *channel)
{
	struct eckd *eckd = eckd_of(device);
	uint8_t argument[5];
	uint8_t status = eckd_next_record(eckd, channel->command & 0x80, true);
	size_t size;
	int compared;

	if (status)
		return status;
	size = channel_fetch(channel, argument, sizeof(argument));
	if (channel_failed(channel))
		return UNIT_END;
	if (!size)
		return eckd_reject(eckd, MESSAGE_COUNT);
	compared = memcmp(eckd_count_field(eckd), argument, size);
	return search_ends(eckd, satisfied(channel->command, compared), !compared && size == sizeof(argument),
			   READY_DATA | READY_KEY_DATA | READY_FORMAT_BY_ID);
}

/* To the key of the record whose count field has just gone by, else of the next record that has one. */
static uint8_t next_key(struct eckd *eckd, bool multitrack)
{
	uint8_t status = 0;

	if (eckd->chain->orientation != AT_COUNT)
		status = eckd_next_record(eckd, multitrack, true);
	while (!status && (!ckd_key_length(eckd_count_field(eckd)) || eckd->chain->record == CKD_FIRST_RECORD))
		status = eckd_next_record(eckd, multitrack, true);
	return status;
}

uint8_t eckd_search_key(struct device *device, struct channel *channel)
{
	struct eckd *eckd = eckd_of(device);
	uint8_t argument[255];
	uint8_t status = next_key(eckd, channel->command & 0x80);
	const uint8_t *count;
	size_t size;
	int compared;

	if (status)
		return status;
	count = eckd_count_field(eckd);
	eckd->chain->orientation = AT_KEY;
	size = channel_fetch(channel, argument, ckd_key_length(count));
	if (channel_failed(channel))
		return UNIT_END;
	compared = memcmp(count + CKD_COUNT_SIZE, argument, size);
	return search_ends(eckd, size && satisfied(channel->command, compared),
			   !compared && size == ckd_key_length(count), READY_DATA | READY_FORMAT_BY_KEY);
}

uint8_t eckd_search_home(struct device *device, struct channel *channel)
{
	struct eckd *eckd = eckd_of(device);
	uint8_t argument[4], status = 0;
	size_t size;
	bool equal;

	if (channel->command & 0x80 && eckd->chain->orientation != AT_INDEX)
		status = eckd_next_track(eckd);
	if (status)
		return status;
	size = channel_fetch(channel, argument, sizeof(argument));
	if (channel_failed(channel))
		return UNIT_END;
	eckd->chain->orientation = AT_HOME;
	equal = size && !memcmp(eckd_track_bytes(eckd) + 1, argument, size);
	return search_ends(eckd, equal, equal && size == sizeof(argument), READY_HOME | READY_R0);
}
