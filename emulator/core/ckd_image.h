/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disk images in the CKD file format of Hercules (header cckd devhdr "CKD_P370", one fixed-size slot per track),
 * mapped into memory.
 *
 * A track: home address (5 bytes: 0, cylinder, head), records (count 8 bytes: cylinder, head, record, key length,
 * data length; key; data), 8 bytes FF. Record 0 comes first.
 */
#ifndef CCWEMU_CKD_IMAGE_H
#define CCWEMU_CKD_IMAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CKD_HEADER_SIZE 512u
#define CKD_HOME_SIZE 5u
#define CKD_COUNT_SIZE 8u
#define CKD_END_SIZE 8u
#define CKD_3390_TRACK_SIZE 56832u
#define CKD_3390_HEADS 15u
#define CKD_3390_TYPE 0x90u
#define CKD_3390_CELLS 1729u        /* what a 3390 track holds, in units of 34 bytes */
#define CKD_MAX_CYLINDERS 262668u   /* 3390 model A */

/* What is being written to one track (ckd_stage.c): bytes from..to of it, or the track as a whole. */
struct ckd_stage {
	uint8_t *bytes;             /* as the track: the same offsets */
	uint8_t *journal;           /* mapped; NULL: not yet, or not possible */
	uint8_t *spare;             /* for a track, when there is no journal */
	uint32_t track, from, to;
	bool active, whole;
	atomic_flag busy;
	atomic_bool lost;           /* the journal was cut off */
};

struct ckd_image {
	uint8_t *base;
	size_t size;                /* without a journal */
	size_t mapped;              /* with it, if there was one */
	struct ckd_stage stage;
	atomic_bool lost;           /* bytes of the file are not there any more */
	uint32_t cylinders;
	uint32_t heads;
	uint32_t track_size;
	int fd;
	bool writable;
	bool sparse;                /* has null tracks (ckd_null.c), with: */
	uint8_t null_records;
	uint16_t null_length;
	atomic_flag filling;
};

/* What is wrong with an image, and where. error: an errno, EILSEQ for a file that is not a sound image. */
struct ckd_problem {
	int error;
	uint64_t offset;
	char text[200];
};

/*
 * Map the image behind fd, which the image owns from now on (also on failure). writable takes an exclusive lock.
 * Checks the header, the file's size, and home address and record 0 of each track.
 */
bool ckd_image_open(struct ckd_image *image, int fd, bool writable, struct ckd_problem *problem);

/* The same for a look into an image whose tracks may be damaged: for reading only, and no track is checked. */
bool ckd_image_open_damaged(struct ckd_image *image, int fd, struct ckd_problem *problem);
void ckd_image_close(struct ckd_image *image);

/* Are all bytes of the file still there? Those that are not read as zeros. */
bool ckd_image_complete(const struct ckd_image *image, struct ckd_problem *problem);

/* Write a new image to the empty file fd: each track holds a home address and record 0. */
bool ckd_image_create(int fd, uint32_t cylinders, uint32_t heads, struct ckd_problem *problem);

/*
 * The same for a sparse image, whose tracks, but for the first, are holes until somebody looks at them, and hold so many
 * records of `length` bytes of zeros then. Its header is not that of Hercules' format.
 */
bool ckd_image_create_sparse(int fd, uint32_t cylinders, uint32_t heads, uint8_t records, uint16_t length,
			     struct ckd_problem *problem);

/* Check every record of every track. The number of damaged tracks; the first `room` (1 or more) are described. */
uint32_t ckd_image_problems(const struct ckd_image *image, struct ckd_problem *problems, uint32_t room);

/* The same, up to the first: is there none? */
bool ckd_image_check(const struct ckd_image *image, struct ckd_problem *problem);

/* For the opening: home address and record 0 of a track, which lies in the image or is about to be put there. */
bool ckd_check_home(const struct ckd_image *image, uint32_t number, const uint8_t *track, struct ckd_problem *problem);

/* Describe a problem. Always false. */
__attribute__((format(printf, 4, 5)))
bool ckd_wrong(struct ckd_problem *problem, int error, uint64_t offset, const char *format, ...);

/*
 * The place for new bytes from..to of a track; they are written by ckd_commit (or when another track is staged),
 * all of them or none, should the process be killed. What is between two such pieces is kept.
 */
uint8_t *ckd_stage(struct ckd_image *image, uint32_t track, uint32_t from, uint32_t to);

/* The same with the whole old track on the stage, which ckd_view shows from then on. Nothing is to be written yet. */
uint8_t *ckd_stage_track(struct ckd_image *image, uint32_t track);

/* The old bytes after all. */
void ckd_restage(struct ckd_image *image, uint32_t from, uint32_t to);

void ckd_commit(struct ckd_image *image);

/* Forget what is on the stage. */
void ckd_discard(struct ckd_image *image);

/*
 * For open and close: is there a journal behind the image; was its writer killed in a commit; put the track back on
 * the stage (false: the journal makes no sense); commit it once more and say so in the journal (false: an errno); cut
 * the journal off; cut it off and let the stage go.
 */
bool ckd_journal_found(const struct ckd_image *image, uint64_t file_size);
bool ckd_journal_pending(const struct ckd_image *image);
bool ckd_journal_restage(struct ckd_image *image);
bool ckd_journal_finish(struct ckd_image *image);
void ckd_journal_cut(struct ckd_image *image);
void ckd_journal_remove(struct ckd_image *image);

/*
 * Null tracks: does what a header says of them fit on a track; write it to a header; read it from the image's; have the
 * counts of one in place; the next track, this one or a later one, that may have been written.
 */
bool ckd_null_fits(uint8_t records, uint16_t length);
void ckd_null_put(uint8_t *header, uint8_t records, uint16_t length);
bool ckd_null_read(struct ckd_image *image, struct ckd_problem *problem);
void ckd_null_fill(struct ckd_image *image, uint32_t number);
uint32_t ckd_next_written(const struct ckd_image *image, uint32_t number);

/* The place of a track, whatever is there. */
static inline uint8_t *ckd_slot(const struct ckd_image *image, uint32_t track)
{
	return image->base + CKD_HEADER_SIZE + (size_t)track * image->track_size;
}

/* Every track but the first, which is none, has an address other than zeros. */
static inline bool ckd_is_null(const struct ckd_image *image, uint32_t track)
{
	static const uint8_t none[CKD_HOME_SIZE];
	bool null = image->sparse && track && !memcmp(ckd_slot(image, track), none, sizeof(none));

	atomic_thread_fence(memory_order_acquire);
	return null;
}

/* A track of the image. */
static inline uint8_t *ckd_track(struct ckd_image *image, uint32_t track)
{
	if (ckd_is_null(image, track))
		ckd_null_fill(image, track);
	return ckd_slot(image, track);
}

/* A track as the program that is writing to it must see it. */
static inline uint8_t *ckd_view(struct ckd_image *image, uint32_t track)
{
	if (image->stage.whole && image->stage.active && image->stage.track == track)
		return image->stage.bytes;
	return ckd_track(image, track);
}

/* Offset, inside the track, of record 0's count field. */
#define CKD_FIRST_RECORD CKD_HOME_SIZE

static inline uint32_t ckd_key_length(const uint8_t *count)
{
	return count[5];
}

static inline uint32_t ckd_data_length(const uint8_t *count)
{
	return ((uint32_t)count[6] << 8) | count[7];
}

/* Bytes that a record takes in the image. */
static inline uint32_t ckd_record_size(const uint8_t *count)
{
	return CKD_COUNT_SIZE + ckd_key_length(count) + ckd_data_length(count);
}

enum ckd_walk { CKD_RECORD, CKD_END, CKD_BAD };

/* Is there a sound record at this offset of a track, or the end of the track? Reads inside the track only. */
static inline enum ckd_walk ckd_record_at(const uint8_t *track, uint32_t track_size, uint32_t offset)
{
	uint64_t count;

	if (offset > track_size - CKD_END_SIZE)
		return CKD_BAD;
	memcpy(&count, track + offset, sizeof(count));
	if (count == UINT64_MAX) /* the end mark */
		return CKD_END;
	return ckd_record_size(track + offset) <= track_size - CKD_END_SIZE - offset ? CKD_RECORD : CKD_BAD;
}

/* Cells of a 3390 track that a record takes (IBM 3390 reference, formula 2 with its factors). */
uint32_t ckd_record_cells(uint32_t key_length, uint32_t data_length);

/* Home address, record 0 and end mark of an empty track. */
#define CKD_EMPTY_TRACK_SIZE (CKD_HOME_SIZE + CKD_COUNT_SIZE + 8u + CKD_END_SIZE)
void ckd_empty_track(uint8_t *bytes, uint32_t cylinder, uint32_t head);

/* Cylinder and head as count fields and channel parameters hold them: 28 bits of cylinder, 4 of head. */
static inline void ckd_put_address(uint8_t *p, uint32_t cylinder, uint32_t head)
{
	p[0] = (uint8_t)(cylinder >> 8);
	p[1] = (uint8_t)cylinder;
	p[2] = (uint8_t)(cylinder >> 20);
	p[3] = (uint8_t)(((cylinder >> 12) & 0xf0) | head);
}

#endif
