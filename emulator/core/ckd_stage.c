/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing tracks so that a process that is killed leaves no track half old and half new.
 *
 * What a channel program writes to a track is first put together in a stage, which lies in a journal behind the end
 * of the image. To commit is to set the journal's flag, copy the stage over the track, and clear the flag. Whoever
 * opens an image whose flag is set copies once more. The pages are the page cache's, so that they outlive the process;
 * they are not forced to the disk, and a crash of the machine itself is another matter.
 *
 * The journal is made by the first write and cut off at close, or where it was left, at the next opening for writing:
 * an image at rest is nothing but its tracks.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ckd_image.h"
#include "fault_guard.h"

#define JOURNAL_PAGE 4096u
#define JOURNAL_BODY 57344u /* a track, in whole pages */
#define JOURNAL_SIZE (JOURNAL_PAGE + JOURNAL_BODY)

_Static_assert(JOURNAL_BODY >= CKD_3390_TRACK_SIZE, "a track fits");

struct ckd_journal {
	char magic[8];
	_Atomic uint32_t valid;
	uint32_t track, from, to;
};

static const char journal_magic[8] = {'C', 'C', 'W', 'E', 'M', 'U', 'J', '1'};

static uint64_t journal_offset(const struct ckd_image *image)
{
	return (image->size + JOURNAL_PAGE - 1) / JOURNAL_PAGE * JOURNAL_PAGE;
}

bool ckd_journal_found(const struct ckd_image *image, uint64_t file_size)
{
	uint64_t offset = journal_offset(image);
	char magic[sizeof(journal_magic)];

	return file_size >= offset + JOURNAL_PAGE && file_size <= offset + JOURNAL_SIZE &&
	       pread(image->fd, magic, sizeof(magic), (off_t)offset) == (ssize_t)sizeof(magic) &&
	       !memcmp(magic, journal_magic, sizeof(magic));
}

/* Make the journal, or take the one that is there. False: there can be none (no room on the disk). */
static bool map_journal(struct ckd_image *image)
{
	struct ckd_stage *stage = &image->stage;
	off_t offset = (off_t)journal_offset(image);
	uint8_t page[JOURNAL_PAGE] = {0};
	void *base;

	memcpy(page, journal_magic, sizeof(journal_magic));
	if (pwrite(image->fd, page, sizeof(page), offset) != (ssize_t)sizeof(page) ||
	    ftruncate(image->fd, offset + (off_t)JOURNAL_SIZE))
		return false;
	base = mmap(NULL, JOURNAL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, image->fd, offset);
	if (base == MAP_FAILED)
		return false;
	atomic_store(&stage->lost, false);
	stage->journal = base;
	stage->bytes = stage->journal + JOURNAL_PAGE;
	guard_add(base, JOURNAL_SIZE, &stage->lost);
	return true;
}

static void unmap_journal(struct ckd_stage *stage)
{
	if (!stage->journal)
		return;
	guard_remove(stage->journal);
	munmap(stage->journal, JOURNAL_SIZE);
	stage->journal = NULL;
	stage->bytes = NULL;
}

static struct ckd_journal *journal_of(const struct ckd_stage *stage)
{
	return (struct ckd_journal *)(void *)stage->journal;
}

/* Begin with an empty stage for a track. Other devices on the same image wait until it has been committed. */
static void begin(struct ckd_image *image, uint32_t track)
{
	struct ckd_stage *stage = &image->stage;

	while (atomic_flag_test_and_set_explicit(&stage->busy, memory_order_acquire))
		sched_yield();
	if (atomic_load_explicit(&stage->lost, memory_order_relaxed)) /* cut off by another process */
		unmap_journal(stage);
	if (!stage->journal && !map_journal(image))
		stage->bytes = stage->spare; /* without a journal: better than not at all */
	stage->track = track;
	stage->from = stage->to = 0;
	stage->whole = false;
	stage->active = true;
}

static void end(struct ckd_stage *stage)
{
	stage->active = false;
	atomic_flag_clear_explicit(&stage->busy, memory_order_release);
}

/* Take the old bytes of the track from..to onto the stage. */
static void take_old(struct ckd_image *image, uint32_t from, uint32_t to)
{
	if (from < to)
		memcpy(image->stage.bytes + from, ckd_track(image, image->stage.track) + from, to - from);
}

uint8_t *ckd_stage(struct ckd_image *image, uint32_t track, uint32_t from, uint32_t to)
{
	struct ckd_stage *stage = &image->stage;

	if (stage->active && stage->track != track)
		ckd_commit(image);
	if (!stage->active)
		begin(image, track);
	if (stage->from == stage->to) {
		stage->from = from;
		stage->to = to;
		return stage->bytes + from;
	}
	if (!stage->whole) {
		take_old(image, stage->to, from);
		take_old(image, to, stage->from);
	}
	stage->from = from < stage->from ? from : stage->from;
	stage->to = to > stage->to ? to : stage->to;
	return stage->bytes + from;
}

uint8_t *ckd_stage_track(struct ckd_image *image, uint32_t track)
{
	struct ckd_stage *stage = &image->stage;

	if (stage->active && (stage->track != track || !stage->whole))
		ckd_commit(image);
	if (!stage->active) {
		begin(image, track);
		take_old(image, 0, image->track_size);
		stage->whole = true;
	}
	return stage->bytes;
}

void ckd_restage(struct ckd_image *image, uint32_t from, uint32_t to)
{
	if (!image->stage.whole)
		take_old(image, from, to);
}

void ckd_commit(struct ckd_image *image)
{
	struct ckd_stage *stage = &image->stage;
	struct ckd_journal *journal = journal_of(stage);

	if (!stage->active)
		return;
	if (journal) {
		journal->track = stage->track;
		journal->from = stage->from;
		journal->to = stage->to;
		atomic_store_explicit(&journal->valid, 1, memory_order_release);
	}
	atomic_signal_fence(memory_order_seq_cst);
	memcpy(ckd_track(image, stage->track) + stage->from, stage->bytes + stage->from, stage->to - stage->from);
	if (journal)
		atomic_store_explicit(&journal->valid, 0, memory_order_release);
	end(stage);
}

void ckd_discard(struct ckd_image *image)
{
	if (image->stage.active)
		end(&image->stage);
}

/* Is this the description of a piece of a track of the image? */
static bool plausible(const struct ckd_image *image, const struct ckd_journal *journal)
{
	return journal->track < image->cylinders * image->heads && journal->from <= journal->to &&
	       journal->to <= image->track_size;
}

bool ckd_journal_pending(const struct ckd_image *image)
{
	struct ckd_journal journal;
	off_t offset = (off_t)journal_offset(image);

	return pread(image->fd, &journal, sizeof(journal), offset) == (ssize_t)sizeof(journal) &&
	       !memcmp(journal.magic, journal_magic, sizeof(journal_magic)) && atomic_load(&journal.valid);
}

bool ckd_journal_restage(struct ckd_image *image)
{
	struct ckd_stage *stage = &image->stage;
	off_t offset = (off_t)journal_offset(image);
	struct ckd_journal journal;
	size_t size;

	if (pread(image->fd, &journal, sizeof(journal), offset) != (ssize_t)sizeof(journal) ||
	    !plausible(image, &journal))
		return false;
	size = journal.to - journal.from;
	memcpy(stage->spare, ckd_track(image, journal.track), image->track_size);
	if (pread(image->fd, stage->spare + journal.from, size, offset + (off_t)(JOURNAL_PAGE + journal.from)) !=
	    (ssize_t)size)
		return false;
	atomic_flag_test_and_set(&stage->busy);
	stage->bytes = stage->spare;
	stage->track = journal.track;
	stage->from = journal.from;
	stage->to = journal.to;
	stage->whole = stage->active = true;
	return true;
}

bool ckd_journal_finish(struct ckd_image *image)
{
	const char not_valid[sizeof(uint32_t)] = {0};
	off_t flag = (off_t)(journal_offset(image) + offsetof(struct ckd_journal, valid));

	ckd_commit(image);
	return !image->writable || pwrite(image->fd, not_valid, sizeof(not_valid), flag) == (ssize_t)sizeof(not_valid);
}

void ckd_journal_cut(struct ckd_image *image)
{
	struct stat status;

	unmap_journal(&image->stage);
	if (image->writable && image->size && !fstat(image->fd, &status) &&
	    ckd_journal_found(image, (uint64_t)status.st_size) && ftruncate(image->fd, (off_t)image->size)) {
		/* it stays, and does no harm: the next one to open the image finds it */
	}
}

void ckd_journal_remove(struct ckd_image *image)
{
	ckd_journal_cut(image);
	free(image->stage.spare);
	image->stage.spare = NULL;
}
