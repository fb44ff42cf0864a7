/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is wrong with an image, and where. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ckd_image.h"

bool ckd_wrong(struct ckd_problem *problem, int error, uint64_t offset, const char *format, ...)
{
	va_list args;

	problem->error = error;
	problem->offset = offset;
	va_start(args, format);
	vsnprintf(problem->text, sizeof(problem->text), format, args);
	va_end(args);
	return false;
}

static uint64_t offset_of(const struct ckd_image *image, uint32_t number)
{
	return CKD_HEADER_SIZE + (uint64_t)number * image->track_size;
}

bool ckd_check_home(const struct ckd_image *image, uint32_t number, const uint8_t *track, struct ckd_problem *problem)
{
	uint64_t offset = offset_of(image, number);
	uint32_t cylinder = number / image->heads, head = number % image->heads;
	uint8_t expected[4];

	ckd_put_address(expected, cylinder, head);
	if (memcmp(track + 1, expected, sizeof(expected)))
		return ckd_wrong(problem, EILSEQ, offset, "cylinder %u head %u: home address %02x%02x %02x%02x, expected "
				 "%02x%02x %02x%02x", cylinder, head, track[1], track[2], track[3], track[4],
				 expected[0], expected[1], expected[2], expected[3]);
	if (ckd_record_at(track, image->track_size, CKD_FIRST_RECORD) != CKD_RECORD || track[CKD_FIRST_RECORD + 4])
		return ckd_wrong(problem, EILSEQ, offset + CKD_FIRST_RECORD, "cylinder %u head %u: no record 0 after the "
				 "home address", cylinder, head);
	return true;
}

/* All records up to the end of the track; index is their place on it. */
static bool check_records(const struct ckd_image *image, uint32_t number, struct ckd_problem *problem)
{
	const uint8_t *track = ckd_slot(image, number);
	uint32_t cylinder = number / image->heads, head = number % image->heads;
	uint32_t offset = CKD_FIRST_RECORD, cells = 0, index = 0;

	for (;; index++) {
		const uint8_t *count = track + offset;

		switch (ckd_record_at(track, image->track_size, offset)) {
		case CKD_END:
			return true;
		case CKD_BAD:
			return ckd_wrong(problem, EILSEQ, offset_of(image, number) + offset, "cylinder %u head %u: record %u "
					 "of the track (number %u, %u bytes of key, %u of data) runs over the end of the track",
					 cylinder, head, index, count[4], ckd_key_length(count), ckd_data_length(count));
		case CKD_RECORD:
			cells += index ? ckd_record_cells(ckd_key_length(count), ckd_data_length(count)) : 0;
			if (cells > CKD_3390_CELLS)
				return ckd_wrong(problem, EILSEQ, offset_of(image, number) + offset, "cylinder %u head %u: "
						 "record %u of the track is more than a 3390 track holds", cylinder, head, index);
			offset += ckd_record_size(count);
		}
	}
}

bool ckd_image_complete(const struct ckd_image *image, struct ckd_problem *problem)
{
	if (!atomic_load(&image->lost))
		return true;
	return ckd_wrong(problem, EILSEQ, 0, "bytes are missing: the file was truncated while it was open, or cannot be read");
}

uint32_t ckd_image_problems(const struct ckd_image *image, struct ckd_problem *problems, uint32_t room)
{
	struct ckd_problem problem;
	uint32_t found = 0;

	for (uint32_t number = 0; number < image->cylinders * image->heads; number = ckd_next_written(image, number + 1)) {
		if (ckd_is_null(image, number) || (ckd_check_home(image, number, ckd_slot(image, number), &problem) &&
						   check_records(image, number, &problem)))
			continue;
		if (!ckd_image_complete(image, &problem)) {
			problems[found < room ? found : room - 1] = problem;
			return found + 1;
		}
		if (found < room)
			problems[found] = problem;
		found++;
	}
	return found;
}

bool ckd_image_check(const struct ckd_image *image, struct ckd_problem *problem)
{
	return !ckd_image_problems(image, problem, 1) && ckd_image_complete(image, problem);
}
