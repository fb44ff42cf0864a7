/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the heads are: moving over the records of a track, and from track to track. */
#include <string.h>

#include "eckd.h"

#define MASK_SEEK 0x18u
#define MASK_NO_SEEK 0x18u

bool eckd_track_number(const struct eckd *eckd, const uint8_t address[4], uint32_t *track)
{
	uint32_t cylinder = ((uint32_t)address[0] << 8) | address[1];
	uint32_t head = address[3] & 0x0fu;

	cylinder |= ((uint32_t)address[2] << 20) | ((uint32_t)(address[3] & 0xf0) << 12);
	if (cylinder >= eckd->image->cylinders || head >= eckd->image->heads)
		return false;
	*track = cylinder * eckd->image->heads + head;
	return true;
}

uint8_t eckd_move_to(struct eckd *eckd, uint32_t track)
{
	struct eckd_chain *chain = eckd->chain;

	chain->track = track;
	chain->record = 0;
	chain->orientation = AT_INDEX;
	if (track < chain->first || track > chain->last)
		return eckd_check(eckd, 0, SENSE1_FILE_PROTECTED, MESSAGE_NONE);
	return 0;
}

/* To the track that follows, across cylinders only for the operations of a Locate Record. */
uint8_t eckd_next_track(struct eckd *eckd)
{
	struct eckd_chain *chain = eckd->chain;

	if (!chain->in_domain) {
		if ((chain->mask & MASK_SEEK) == MASK_NO_SEEK)
			return eckd_check(eckd, 0, SENSE1_FILE_PROTECTED, MESSAGE_NONE);
		if (chain->track % eckd->image->heads == eckd->image->heads - 1)
			return eckd_check(eckd, 0, SENSE1_END_OF_CYLINDER, MESSAGE_NONE);
	}
	if (chain->track >= chain->last)
		return eckd_check(eckd, 0, SENSE1_FILE_PROTECTED, MESSAGE_NONE);
	return eckd_move_to(eckd, chain->track + 1);
}

/* The end of the track went by. A search over several tracks ends with the cylinder, everything else on its second. */
static uint8_t pass_index(struct eckd *eckd, bool multitrack, bool searching)
{
	struct eckd_chain *chain = eckd->chain;

	if (!(multitrack && searching) && ++chain->index_passes > 1)
		return eckd_check(eckd, 0, SENSE1_NO_RECORD, MESSAGE_NONE);
	if (multitrack)
		return eckd_next_track(eckd);
	chain->orientation = AT_INDEX;
	return 0;
}

/* eckd_next_record's way on from where there is no record. */
uint8_t eckd_pass_end(struct eckd *eckd, enum ckd_walk walk, bool multitrack, bool searching)
{
	uint8_t status;

	for (; walk != CKD_RECORD; walk = eckd_step(eckd)) {
		if (walk == CKD_BAD) /* the image is damaged here: never touched, and said so */
			return eckd_check(eckd, SENSE0_EQUIPMENT, SENSE1_PERMANENT, MESSAGE_NONE);
		status = pass_index(eckd, multitrack, searching);
		if (status)
			return status;
	}
	return 0;
}

uint32_t eckd_end_of_track(const struct eckd *eckd)
{
	const uint8_t *track = eckd_track_bytes(eckd);
	uint32_t offset = CKD_FIRST_RECORD;

	for (;;) {
		switch (ckd_record_at(track, eckd->image->track_size, offset)) {
		case CKD_RECORD:
			offset += ckd_record_size(track + offset);
			break;
		case CKD_END:
			return offset;
		case CKD_BAD:
			return 0;
		}
	}
}
