/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Locate Record Extended, and Prefix, which is a Define Extent and (format 1) a Locate Record Extended in one CCW.
 * Layouts: struct LRE_eckd_data and struct PFX_eckd_data of Linux drivers/s390/block/dasd_eckd.h.
 */
#include "bytes.h"
#include "channel.h"
#include "eckd.h"

#define LRE_SIZE 20u
#define LRE_COUNT 3
#define LRE_EXTENDED_OPERATION 17
#define LRE_PARAMETER_LENGTH 18

#define PFX_EXTENT 12
#define PFX_LOCATE 44
#define PFX_SIZE 64u
#define VALID_EXTENT 0x80u
#define VERIFY_BASE 0x20u

static bool known_operation(uint8_t operation, uint8_t extended)
{
	switch (operation) {
	case LOCATE_ORIENT:
	case LOCATE_WRITE_DATA:
	case LOCATE_FORMAT_WRITE:
	case LOCATE_READ_DATA:
	case LOCATE_WRITE_TRACK:
	case LOCATE_READ_TRACKS:
	case LOCATE_READ:
		return true;
	case LOCATE_EXTENDED:
		return extended == EXTENDED_WRITE_FULL_TRACK || extended == EXTENDED_WRITE_TRACK_DATA;
	default:
		return false;
	}
}

static unsigned ones(uint16_t set)
{
	unsigned count = 0;

	for (; set; set &= (uint16_t)(set - 1))
		count++;
	return count;
}

/* Write Full Track comes with a bit for each track from the first on: written, or left as it is. */
static bool valid_track_set(const uint8_t *data, unsigned length, uint16_t set)
{
	return length && length <= 2 && set & 0x8000u && ones(set) == data[LRE_COUNT];
}

/* Carry out a Locate Record Extended; what its extended parameter is, is still to be fetched. */
static uint8_t locate(struct eckd *eckd, struct channel *channel, const uint8_t data[LRE_SIZE])
{
	uint8_t operation = data[0] & 0x3f, extended = data[LRE_EXTENDED_OPERATION], parameter[2] = {0}, status;
	unsigned length = get_be16(data + LRE_PARAMETER_LENGTH);

	if (!known_operation(operation, extended) || length > sizeof(parameter))
		return eckd_reject(eckd, MESSAGE_PARAMETER);
	status = length ? eckd_fetch_parameters(eckd, channel, parameter, length) : 0;
	if (status)
		return status;
	if (operation == LOCATE_EXTENDED && extended == EXTENDED_WRITE_FULL_TRACK &&
	    !valid_track_set(data, length, get_be16(parameter)))
		return eckd_reject(eckd, MESSAGE_PARAMETER);
	status = eckd_set_location(eckd, data);
	if (status)
		return status;
	eckd->chain->extended_operation = extended;
	eckd->chain->track_set = get_be16(parameter);
	return UNIT_END;
}

uint8_t eckd_locate_record_extended(struct device *device, struct channel *channel)
{
	struct eckd *eckd = eckd_of(device);
	uint8_t data[LRE_SIZE];
	uint8_t status = eckd_fetch_parameters(eckd, channel, data, sizeof(data));

	if (status)
		return status;
	if (!eckd->chain->extent_defined)
		return eckd_reject(eckd, MESSAGE_SEQUENCE);
	return locate(eckd, channel, data);
}

/* Byte 0 is the format, byte 1 says what is valid, byte 2 the unit address of the base device. */
uint8_t eckd_prefix(struct device *device, struct channel *channel)
{
	enum { EXTENT_ONLY = 0, EXTENT_AND_LOCATE = 1 };
	struct eckd *eckd = eckd_of(device);
	uint8_t data[PFX_SIZE];
	uint8_t status = eckd_fetch_parameters(eckd, channel, data, sizeof(data));

	if (status)
		return status;
	if (data[0] > EXTENT_AND_LOCATE || !(data[1] & VALID_EXTENT))
		return eckd_reject(eckd, MESSAGE_PARAMETER);
	if (data[1] & VERIFY_BASE && data[2] != eckd->identity.unit_address)
		return eckd_reject(eckd, MESSAGE_PARAMETER);
	status = eckd_set_extent(eckd, data + PFX_EXTENT);
	if (status)
		return status;
	return data[0] == EXTENT_ONLY ? UNIT_END : locate(eckd, channel, data + PFX_LOCATE);
}
