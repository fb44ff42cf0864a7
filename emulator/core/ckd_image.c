/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include "ckd_image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "fault_guard.h"

static const uint8_t magic[8] = {'C', 'K', 'D', '_', 'P', '3', '7', '0'};
static const uint8_t sparse_magic[8] = {'C', 'K', 'D', '_', 'N', '3', '7', '0'}; /* Hercules refuses it */

/* The header: magic, heads (LE32), track size (LE32), device type, file sequence, highest cylinder (LE16). */
enum { HEADER_HEADS = 8, HEADER_TRACK_SIZE = 12, HEADER_TYPE = 16, HEADER_SEQUENCE = 17 };

uint32_t ckd_record_cells(uint32_t key_length, uint32_t data_length)
{
	uint32_t cells = 10 + 9 + (data_length + 6 * ((data_length + 6 + 231) / 232 + 1) + 33) / 34;

	if (key_length)
		cells += 9 + (key_length + 6 * ((key_length + 6 + 231) / 232 + 1) + 33) / 34;
	return cells;
}

void ckd_empty_track(uint8_t *bytes, uint32_t cylinder, uint32_t head)
{
	memset(bytes, 0, CKD_EMPTY_TRACK_SIZE);
	ckd_put_address(bytes + 1, cylinder, head);
	ckd_put_address(bytes + CKD_FIRST_RECORD, cylinder, head);
	bytes[CKD_FIRST_RECORD + 7] = 8;
	memset(bytes + CKD_EMPTY_TRACK_SIZE - CKD_END_SIZE, 0xff, CKD_END_SIZE);
}

/* A journal behind the tracks is no part of the image. */
static void cut_journal_off(struct ckd_image *image)
{
	struct ckd_image tracks = *image;
	size_t cylinder = (size_t)image->heads * image->track_size;

	tracks.size = CKD_HEADER_SIZE + (image->size - CKD_HEADER_SIZE) / cylinder * cylinder;
	if (tracks.size < image->size && ckd_journal_found(&tracks, image->size))
		image->size = tracks.size;
}

static bool check_header(struct ckd_image *image, struct ckd_problem *problem)
{
	const uint8_t *header = image->base;
	uint64_t tracks;

	if (!memcmp(header, sparse_magic, sizeof(sparse_magic))) {
		if (!ckd_null_read(image, problem))
			return false;
	} else if (memcmp(header, magic, sizeof(magic))) {
		if (!memcmp(header, "CKD_C370", 8) || !memcmp(header, "CKD_S370", 8))
			return ckd_wrong(problem, EILSEQ, 0, "this is a compressed CKD image; only uncompressed ones "
				     "(CKD_P370) are supported: convert it with Hercules' dasdcopy");
		return ckd_wrong(problem, EILSEQ, 0, "not a CKD disk image: it does not begin with CKD_P370");
	}
	image->heads = get_le32(header + HEADER_HEADS);
	image->track_size = get_le32(header + HEADER_TRACK_SIZE);
	if (header[HEADER_TYPE] != CKD_3390_TYPE)
		return ckd_wrong(problem, EILSEQ, HEADER_TYPE, "device type %02x in the header, expected 90 (3390)",
			     header[HEADER_TYPE]);
	if (image->heads != CKD_3390_HEADS)
		return ckd_wrong(problem, EILSEQ, HEADER_HEADS, "%u heads in the header, expected 15", image->heads);
	if (image->track_size != CKD_3390_TRACK_SIZE)
		return ckd_wrong(problem, EILSEQ, HEADER_TRACK_SIZE, "track size %u in the header, expected %u",
			     image->track_size, CKD_3390_TRACK_SIZE);
	if (header[HEADER_SEQUENCE] > 1)
		return ckd_wrong(problem, EILSEQ, HEADER_SEQUENCE, "file %u of an image of several files; images of one "
			     "file only are supported", header[HEADER_SEQUENCE]);
	cut_journal_off(image);
	tracks = (image->size - CKD_HEADER_SIZE) / image->track_size;
	image->cylinders = (uint32_t)(tracks / image->heads);
	if (!image->cylinders || tracks % image->heads ||
	    (image->size - CKD_HEADER_SIZE) % image->track_size)
		return ckd_wrong(problem, EILSEQ, image->size, "truncated: the file ends after %llu tracks and %llu bytes, "
			     "expected whole cylinders of %u tracks of %u bytes", (unsigned long long)tracks,
			     (unsigned long long)((image->size - CKD_HEADER_SIZE) % image->track_size), image->heads,
			     image->track_size);
	if (image->cylinders > CKD_MAX_CYLINDERS)
		return ckd_wrong(problem, EILSEQ, image->size, "%u cylinders, at most %u are possible", image->cylinders,
			     CKD_MAX_CYLINDERS);
	return true;
}

static bool map(struct ckd_image *image, struct ckd_problem *problem)
{
	struct stat status;
	void *base;

	if (fstat(image->fd, &status))
		return ckd_wrong(problem, errno, 0, "cannot be examined: %s", strerror(errno));
	if (!S_ISREG(status.st_mode))
		return ckd_wrong(problem, EILSEQ, 0, "not a regular file");
	if ((uint64_t)status.st_size < CKD_HEADER_SIZE)
		return ckd_wrong(problem, EILSEQ, (uint64_t)status.st_size, "truncated: %lld bytes, shorter than the "
			     "header of a CKD disk image (%u)", (long long)status.st_size, CKD_HEADER_SIZE);
	image->size = image->mapped = (size_t)status.st_size;
	/* a private mapping is written to by a recovery at most: a disk larger than the memory can be looked at */
	base = mmap(NULL, image->mapped, PROT_READ | PROT_WRITE,
		    image->writable ? MAP_SHARED : MAP_PRIVATE | MAP_NORESERVE, image->fd, 0);
	if (base == MAP_FAILED)
		return ckd_wrong(problem, errno, 0, "cannot be mapped%s: %s", image->writable ? " for writing" : "",
			     strerror(errno));
	image->base = base;
	if (!guard_add(base, image->mapped, &image->lost))
		return ckd_wrong(problem, EMFILE, 0, "more images are open than one process can have");
	return true;
}

static bool lock(const struct ckd_image *image, struct ckd_problem *problem)
{
	if (!image->writable || !flock(image->fd, LOCK_EX | LOCK_NB))
		return true;
	if (errno == EWOULDBLOCK)
		return ckd_wrong(problem, EWOULDBLOCK, 0, "in use: another program has the image open for writing");
	return ckd_wrong(problem, errno, 0, "cannot be locked: %s", strerror(errno));
}

static bool make_spare(struct ckd_image *image, struct ckd_problem *problem)
{
	image->stage.spare = malloc(image->track_size);
	return image->stage.spare || ckd_wrong(problem, ENOMEM, 0, "%s", strerror(ENOMEM));
}

/*
 * Did a writer leave a track unfinished that this opening is to finish? Not while the writer is alive, who does it
 * himself.
 */
static bool unfinished(const struct ckd_image *image)
{
	if (!ckd_journal_pending(image))
		return false;
	if (image->writable)
		return true;
	if (flock(image->fd, LOCK_SH | LOCK_NB))
		return false;
	flock(image->fd, LOCK_UN);
	return true;
}

/* Put the unfinished track on the stage, where the checks that follow see it; nothing is written yet. */
static bool begin_recovery(struct ckd_image *image, struct ckd_problem *problem)
{
	if (!unfinished(image) || ckd_journal_restage(image))
		return true;
	return ckd_wrong(problem, EILSEQ, image->size, "the journal behind the tracks is damaged: a track may be half "
		     "written; restore the image from a copy");
}

/* An image that is open for reading only gets the track in its own memory. */
static bool end_recovery(struct ckd_image *image, struct ckd_problem *problem)
{
	if (!image->stage.active || ckd_journal_finish(image))
		return true;
	return ckd_wrong(problem, errno, image->size, "the journal behind the tracks cannot be written: %s", strerror(errno));
}

/* Of null tracks, which are as the header says, there may be very many: holes are not looked at. */
static bool check_tracks(struct ckd_image *image, struct ckd_problem *problem)
{
	for (uint32_t number = 0; number < image->cylinders * image->heads; number = ckd_next_written(image, number + 1))
		if (!ckd_is_null(image, number) && !ckd_check_home(image, number, ckd_view(image, number), problem))
			return false;
	return true;
}

static bool open_image(struct ckd_image *image, int fd, bool writable, bool damaged, struct ckd_problem *problem)
{
	*image = (struct ckd_image){.fd = fd, .writable = writable};
	atomic_flag_clear(&image->stage.busy);
	atomic_flag_clear(&image->filling);
	if (lock(image, problem) && map(image, problem) && check_header(image, problem) && make_spare(image, problem) &&
	    begin_recovery(image, problem) && ckd_image_complete(image, problem) &&
	    (damaged || check_tracks(image, problem)) && end_recovery(image, problem)) {
		ckd_journal_cut(image); /* of a writer that was killed */
		return true;
	}
	ckd_discard(image);
	image->writable = false; /* what is refused is left as it is, a journal included */
	ckd_image_close(image);
	return false;
}

bool ckd_image_open(struct ckd_image *image, int fd, bool writable, struct ckd_problem *problem)
{
	return open_image(image, fd, writable, false, problem);
}

bool ckd_image_open_damaged(struct ckd_image *image, int fd, struct ckd_problem *problem)
{
	return open_image(image, fd, false, true, problem);
}

void ckd_image_close(struct ckd_image *image)
{
	ckd_journal_remove(image);
	if (image->base) {
		guard_remove(image->base);
		munmap(image->base, image->mapped);
	}
	if (image->fd >= 0)
		close(image->fd); /* releases the lock, unless another descriptor of the same open file is left */
	*image = (struct ckd_image){.fd = -1};
}

static bool write_at(int fd, const uint8_t *bytes, size_t size, uint64_t offset, struct ckd_problem *problem)
{
	while (size) {
		ssize_t done = pwrite(fd, bytes, size, (off_t)offset);

		if (done < 0) {
			if (errno == EINTR)
				continue;
			return ckd_wrong(problem, errno, offset, "cannot be written: %s", strerror(errno));
		}
		bytes += done;
		size -= (size_t)done;
		offset += (uint64_t)done;
	}
	return true;
}

static bool make_room(int fd, uint32_t cylinders, uint32_t heads, struct ckd_problem *problem)
{
	uint64_t size = CKD_HEADER_SIZE + (uint64_t)cylinders * heads * CKD_3390_TRACK_SIZE;

	if (!cylinders || cylinders > CKD_MAX_CYLINDERS)
		return ckd_wrong(problem, EINVAL, 0, "%u cylinders, expected 1 to %u", cylinders, CKD_MAX_CYLINDERS);
	if (heads != CKD_3390_HEADS)
		return ckd_wrong(problem, EINVAL, 0, "%u heads, a 3390 has 15", heads);
	if (ftruncate(fd, (off_t)size))
		return ckd_wrong(problem, errno, 0, "cannot be made %llu bytes long: %s", (unsigned long long)size,
			     strerror(errno));
	return true;
}

static bool write_empty_track(int fd, uint32_t number, uint32_t heads, struct ckd_problem *problem)
{
	uint8_t bytes[CKD_EMPTY_TRACK_SIZE];

	ckd_empty_track(bytes, number / heads, number % heads);
	return write_at(fd, bytes, sizeof(bytes), CKD_HEADER_SIZE + (uint64_t)number * CKD_3390_TRACK_SIZE, problem);
}

/* Last: an unfinished file is not an image. */
static bool write_header(int fd, uint8_t *bytes, const uint8_t *kind, uint32_t heads, struct ckd_problem *problem)
{
	memcpy(bytes, kind, sizeof(magic));
	put_le32(bytes + HEADER_HEADS, heads);
	put_le32(bytes + HEADER_TRACK_SIZE, CKD_3390_TRACK_SIZE);
	bytes[HEADER_TYPE] = CKD_3390_TYPE;
	return write_at(fd, bytes, CKD_HEADER_SIZE, 0, problem);
}

bool ckd_image_create(int fd, uint32_t cylinders, uint32_t heads, struct ckd_problem *problem)
{
	uint8_t header[CKD_HEADER_SIZE] = {0};

	if (!make_room(fd, cylinders, heads, problem))
		return false;
	for (uint32_t number = 0; number < cylinders * heads; number++)
		if (!write_empty_track(fd, number, heads, problem))
			return false;
	return write_header(fd, header, magic, heads, problem);
}

bool ckd_image_create_sparse(int fd, uint32_t cylinders, uint32_t heads, uint8_t records, uint16_t length,
			     struct ckd_problem *problem)
{
	uint8_t header[CKD_HEADER_SIZE] = {0};

	if (!ckd_null_fits(records, length))
		return ckd_wrong(problem, EINVAL, 0, "%u records of %u bytes are more than a 3390 track holds", records,
			     length);
	ckd_null_put(header, records, length);
	return make_room(fd, cylinders, heads, problem) && write_empty_track(fd, 0, heads, problem) &&
	       write_header(fd, header, sparse_magic, heads, problem);
}
