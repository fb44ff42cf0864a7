/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disk images. The input: how long the file is, and changes to a sound image: place, n, n bytes each. One that is
 * refused must not be written to; on one that is accepted, programs read and write all over. What lies behind the
 * tracks, from the next page on, may be taken for the journal of writes that were cut short.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bytes.h"
#include "machine.h"

enum { CYLINDER = 1, BUFFER_AT = 0x2000, EXTENT_AT = 0x1800, LOCATE_AT = 0x1820, MOST_CHANGES = 32, STORAGE = 0x6000,
       PAGE = 4096, JOURNAL_SIZE = PAGE + 57344 };

static uint8_t *sound, *file;   /* what the file holds at first, and what was made of it */
static uint8_t *main_storage;
static struct storage storage;
static size_t sound_size;       /* of the image, and with the room for a journal */
static size_t file_room;
static int fd;

static void set_up(void)
{
	sound = sound_image(CYLINDER, &sound_size);
	file_room = (sound_size + PAGE - 1) / PAGE * PAGE + JOURNAL_SIZE;
	file = malloc(file_room);
	main_storage = malloc(STORAGE);
	fd = memfd_create("image", 0);
	MUST(file && main_storage && fd >= 0);
	storage_init(&storage);
	MUST(!storage_map(&storage, &(struct storage_area){.size = STORAGE, .host = main_storage}));
}

/* A place: in the header, in the journal (0x40), or in a track (0x80). */
static size_t place_of(struct input *input)
{
	uint16_t place = take16(input);
	uint8_t track = take8(input);

	if ((track & 0xc0) == 0x40)
		return file_room - JOURNAL_SIZE + place % JOURNAL_SIZE;
	if (!(track & 0x80))
		return place % CKD_HEADER_SIZE;
	return CKD_HEADER_SIZE + (size_t)(track & 15) % CKD_3390_HEADS * CKD_3390_TRACK_SIZE + place % CKD_3390_TRACK_SIZE;
}

/* How long the file is: 0 as it should be, 1 with room for a journal, else anything. */
static size_t size_of(struct input *input)
{
	switch (take8(input)) {
	case 0:
		return sound_size;
	case 1:
		return file_room;
	default:
		return take32(input) % (file_room + 1);
	}
}

/* The file of this input. Returns its size. */
static size_t write_file(struct input *input)
{
	size_t size = size_of(input);

	memcpy(file, sound, sound_size);
	memset(file + sound_size, 0, file_room - sound_size);
	for (unsigned changes = 0; changes < MOST_CHANGES && input->left > 3; changes++) {
		size_t place = place_of(input);
		uint8_t count = take8(input);

		if (count <= file_room - place)
			take(input, file + place, count);
	}
	MUST(!ftruncate(fd, 0) && pwrite(fd, file, size, 0) == (ssize_t)size);
	return size;
}

static void put_ccw(unsigned index, uint8_t command, uint8_t flags, uint16_t count, uint32_t address)
{
	uint8_t *to = main_storage + PROGRAM_AT + index * CSS_CCW_SIZE;

	to[0] = command;
	to[1] = flags;
	put_be16(to + 2, count);
	put_be32(to + 4, address);
}

/* Define Extent (all of the disk, everything allowed), Locate Record or Seek to a track, then twice the command. */
static void run(struct subchannel *sch, unsigned head, uint8_t operation, uint8_t command)
{
	struct channel_orb orb = {.flags = ORB_FORMAT1 | 0xff00u, .cpa = PROGRAM_AT};
	uint8_t irb[CSS_IRB_SIZE];

	memset(main_storage + PROGRAM_AT, 0, STORAGE - PROGRAM_AT);
	main_storage[EXTENT_AT] = 0xc0;
	main_storage[EXTENT_AT + 1] = 0xc0;
	main_storage[EXTENT_AT + 15] = CKD_3390_HEADS - 1;
	main_storage[LOCATE_AT] = operation;
	main_storage[LOCATE_AT + 3] = operation ? 2 : 0;
	main_storage[LOCATE_AT + 7] = main_storage[LOCATE_AT + 11] = (uint8_t)head;
	put_ccw(0, 0x63, CCW_CC, 16, EXTENT_AT);
	put_ccw(1, 0x47, CCW_CC, 16, LOCATE_AT);
	for (unsigned i = 2; i < 5; i++)
		put_ccw(i, command, CCW_CC | CCW_SLI, 0x3000, BUFFER_AT);
	put_ccw(5, 0x03, CCW_SLI, 1, 0);
	main_storage[BUFFER_AT + 4] = 1;   /* the count field of a record that is formatted */
	main_storage[BUFFER_AT + 7] = 100;
	MUST(subchannel_start(sch, &orb, &storage, channel_ccw_from_storage, &storage) == 0);
	MUST(subchannel_test(sch, irb) == 0);
}

static void use(struct ckd_image *image)
{
	static const struct {
		uint8_t operation, command;
	} uses[] = {{0x06, 0x86}, {0x16, 0x92}, {0x16, 0x9e}, {0x00, 0xb1}, {0x00, 0x29}, {0x00, 0x5e}, {0x01, 0x85},
		    {0x01, 0x8d}, {0x03, 0x1d}, {0x03, 0x9d}, {0x0b, 0x11}, {0x43, 0x15}};
	static const struct eckd_identity identity = {.cu_model = 0xe9, .dev_model = 0x0a, .serial = "750000000FUZZ1"};
	const struct subchannel_config config = {.devno = 1, .pim = 0x80, .pam = 0x80, .pom = 0xff, .enabled = true,
						 .concurrent_sense = true};
	static struct eckd disk;
	struct subchannel_config with_disk = config;
	struct subchannel sch;

	eckd_init(&disk, image, &identity, false);
	with_disk.device = &disk.device;
	MUST(!subchannel_init(&sch, &with_disk));
	for (unsigned i = 0; i < sizeof(uses) / sizeof(uses[0]); i++)
		for (unsigned head = 0; head < CKD_3390_HEADS; head++)
			run(&sch, head, uses[i].operation, uses[i].command);
}

/* Does the file still hold what was written to it? */
static void check_untouched(size_t size)
{
	uint8_t *now;

	MUST(lseek(fd, 0, SEEK_END) == (off_t)size);
	if (!size)
		return;
	now = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	MUST(now != MAP_FAILED);
	MUST(!memcmp(now, file, size));
	munmap(now, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};
	struct ckd_problem problem;
	struct ckd_image image;
	size_t file_size;
	bool was_sound;

	if (!sound)
		set_up();
	file_size = write_file(&input);
	if (!ckd_image_open(&image, dup(fd), true, &problem)) {
		MUST(problem.error && memchr(problem.text, 0, sizeof(problem.text)));
		check_untouched(file_size);
		return 0;
	}
	was_sound = ckd_image_check(&image, &problem);
	if (file_size == sound_size) /* else there is a journal, which may have been carried out */
		check_untouched(file_size);
	use(&image);
	MUST(!was_sound || ckd_image_check(&image, &problem));
	ckd_image_close(&image);
	return 0;
}
