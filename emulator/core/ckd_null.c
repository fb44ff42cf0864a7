/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Null tracks: those of a sparse image that were never written, and are holes in its file. The header says what is on
 * them: nothing but record 0, or as many records of zeros as formatting makes. (Hercules' compressed images have the
 * same idea and the same name.)
 *
 * The first access puts a null track's counts into the mapping, so that whoever reads or writes tracks sees a track
 * like any other. Its home address comes last: a process that is killed in between leaves a null track.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "ckd_image.h"

/* In the header of a sparse image: records of a null track (8 bits), bytes of data of each (LE16). */
enum { HEADER_RECORDS = 24, HEADER_LENGTH = 26 };

bool ckd_null_fits(uint8_t records, uint16_t length)
{
	return records * ckd_record_cells(0, length) <= CKD_3390_CELLS &&
	       CKD_EMPTY_TRACK_SIZE + records * (CKD_COUNT_SIZE + (uint32_t)length) <= CKD_3390_TRACK_SIZE;
}

void ckd_null_put(uint8_t *header, uint8_t records, uint16_t length)
{
	header[HEADER_RECORDS] = records;
	header[HEADER_LENGTH] = (uint8_t)length;
	header[HEADER_LENGTH + 1] = (uint8_t)(length >> 8);
}

bool ckd_null_read(struct ckd_image *image, struct ckd_problem *problem)
{
	const uint8_t *header = image->base;

	image->sparse = true;
	image->null_records = header[HEADER_RECORDS];
	image->null_length = (uint16_t)(header[HEADER_LENGTH] | header[HEADER_LENGTH + 1] << 8);
	if (ckd_null_fits(image->null_records, image->null_length))
		return true;
	return ckd_wrong(problem, EILSEQ, HEADER_RECORDS, "%u records of %u bytes on tracks that were never written, more "
			 "than a 3390 track holds", image->null_records, image->null_length);
}

static void fill(const struct ckd_image *image, uint32_t number, uint8_t *track)
{
	uint32_t cylinder = number / image->heads, head = number % image->heads;
	uint8_t bytes[CKD_EMPTY_TRACK_SIZE], *at = track + CKD_EMPTY_TRACK_SIZE - CKD_END_SIZE;

	ckd_empty_track(bytes, cylinder, head);
	memcpy(track + CKD_HOME_SIZE, bytes + CKD_HOME_SIZE, sizeof(bytes) - CKD_HOME_SIZE - CKD_END_SIZE);
	for (unsigned record = 1; record <= image->null_records; record++) {
		ckd_put_address(at, cylinder, head);
		at[4] = (uint8_t)record;
		at[5] = 0;
		at[6] = (uint8_t)(image->null_length >> 8);
		at[7] = (uint8_t)image->null_length;
		at += CKD_COUNT_SIZE + image->null_length;
	}
	memset(at, 0xff, CKD_END_SIZE);
	atomic_thread_fence(memory_order_release);
	memcpy(track, bytes, CKD_HOME_SIZE);
}

void ckd_null_fill(struct ckd_image *image, uint32_t number)
{
	while (atomic_flag_test_and_set_explicit(&image->filling, memory_order_acquire))
		sched_yield(); /* another device on the same image */
	if (ckd_is_null(image, number))
		fill(image, number, ckd_slot(image, number));
	atomic_flag_clear_explicit(&image->filling, memory_order_release);
}

uint32_t ckd_next_written(const struct ckd_image *image, uint32_t number)
{
	uint32_t tracks = image->cylinders * image->heads, next;
	off_t data;

	if (!image->sparse || number >= tracks)
		return number;
	data = lseek(image->fd, ckd_slot(image, number) - image->base, SEEK_DATA);
	if (data < 0)
		return errno == ENXIO ? tracks : number; /* a file system that cannot tell */
	next = data < (off_t)CKD_HEADER_SIZE ? 0 : (uint32_t)(((uint64_t)data - CKD_HEADER_SIZE) / image->track_size);
	return next > number ? next : number;
}
