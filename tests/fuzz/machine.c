/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bytes.h"

static const struct {
	uint64_t start, size;
	uint8_t key;
	bool fetch_protected, damaged;
} areas[AREAS] = {
	{0, LOW_SIZE, 0, false, false},
	{LOW_SIZE, 0x2000, 5, true, false},
	{0x10000, 0x2000, 3, false, false},
	{0x7ffff000, 0x1000, 0, false, false},
	{UINT64_C(0x100000000), 0x1000, 0, false, false},
	{0x12000, 0x800, 0, false, true},
};

static const struct eckd_identity identity = {
	.cu_model = 0xe9, .dev_model = 0x0a, .unit_address = 0x34, .ssid = 0x0123, .serial = "750000000FUZZ1"};

_Noreturn void must_failed(const char *condition, const char *file, int line)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
	abort();
}

/* ---- input ---- */

void take(struct input *input, uint8_t *to, size_t size)
{
	size_t there = size < input->left ? size : input->left;

	memcpy(to, input->data, there);
	memset(to + there, 0, size - there);
	input->data += there;
	input->left -= there;
}

uint8_t take8(struct input *input)
{
	uint8_t byte;

	take(input, &byte, 1);
	return byte;
}

uint16_t take16(struct input *input)
{
	uint8_t bytes[2];

	take(input, bytes, sizeof(bytes));
	return get_be16(bytes);
}

uint32_t take32(struct input *input)
{
	uint8_t bytes[4];

	take(input, bytes, sizeof(bytes));
	return get_be32(bytes);
}

/* ---- the disk's content ---- */

static uint8_t *put_record(uint8_t *to, unsigned cylinder, unsigned head, unsigned number, unsigned key, unsigned data)
{
	ckd_put_address(to, cylinder, head);
	to[4] = (uint8_t)number;
	to[5] = (uint8_t)key;
	put_be16(to + 6, data);
	memset(to + CKD_COUNT_SIZE, (int)('A' + number), key + data);
	return to + CKD_COUNT_SIZE + key + data;
}

/* Tracks by head: full of blocks; keyed records and an end of file; a long record; the others empty. */
static void put_track(uint8_t *track, unsigned cylinder, unsigned head)
{
	uint8_t *end;

	ckd_empty_track(track, cylinder, head);
	end = track + CKD_EMPTY_TRACK_SIZE - CKD_END_SIZE;
	switch (head) {
	case 0:
	case 14:
		for (unsigned number = 1; number <= 12; number++)
			end = put_record(end, cylinder, head, number, 0, 4096);
		break;
	case 1:
		end = put_record(end, cylinder, head, 1, 4, 80);
		end = put_record(end, cylinder, head, 2, 44, 96);
		end = put_record(end, cylinder, head, 3, 0, 0);
		end = put_record(end, cylinder, head, 4, 4, 0);
		break;
	case 2:
		end = put_record(end, cylinder, head, 1, 0, 47000);
		break;
	}
	memset(end, 0xff, CKD_END_SIZE);
}

uint8_t *sound_image(unsigned cylinders, size_t *size)
{
	uint8_t *bytes;

	*size = CKD_HEADER_SIZE + (size_t)cylinders * CKD_3390_HEADS * CKD_3390_TRACK_SIZE;
	bytes = calloc(1, *size);
	MUST(bytes);
	memcpy(bytes, "CKD_P370", 8);
	put_le32(bytes + 8, CKD_3390_HEADS);
	put_le32(bytes + 12, CKD_3390_TRACK_SIZE);
	bytes[16] = CKD_3390_TYPE;
	for (unsigned track = 0; track < cylinders * CKD_3390_HEADS; track++)
		put_track(bytes + CKD_HEADER_SIZE + (size_t)track * CKD_3390_TRACK_SIZE, track / CKD_3390_HEADS,
			  track % CKD_3390_HEADS);
	return bytes;
}

/* ---- the machine ---- */

static uint8_t *sound;          /* what the image holds at first */
static uint8_t *seen;           /* the image's file, mapped a second time */
static size_t image_size;
static struct machine machine;

static void map_storage(void)
{
	storage_init(&machine.storage);
	for (unsigned i = 0; i < AREAS; i++) {
		struct storage_area area = {.start = areas[i].start, .size = areas[i].size, .key = areas[i].key,
					    .fetch_protected = areas[i].fetch_protected, .damaged = areas[i].damaged,
					    .host = malloc(areas[i].size)};

		MUST(area.host);
		MUST(!storage_map(&machine.storage, &area));
		if (!i)
			machine.low = area.host;
	}
}

static void make_image(void)
{
	int fd = memfd_create("disk", 0);
	struct ckd_problem problem;

	sound = sound_image(CYLINDERS, &image_size);
	MUST(fd >= 0 && write(fd, sound, image_size) == (ssize_t)image_size);
	seen = mmap(NULL, image_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	MUST(seen != MAP_FAILED);
	MUST(ckd_image_open(&machine.image, fd, true, &problem));
}

/* Put back the tracks that the last input wrote to. */
static void restore_image(void)
{
	memcpy(seen, sound, CKD_HEADER_SIZE);
	for (size_t at = CKD_HEADER_SIZE; at < image_size; at += CKD_3390_TRACK_SIZE)
		if (memcmp(seen + at, sound + at, CKD_3390_TRACK_SIZE))
			memcpy(seen + at, sound + at, CKD_3390_TRACK_SIZE);
}

struct machine *machine_fresh(bool read_only, bool concurrent_sense)
{
	if (!sound) {
		make_image();
		map_storage();
	}
	restore_image();
	for (unsigned i = 0; i < AREAS; i++)
		memset(machine.storage.areas[i].host, 0, machine.storage.areas[i].size);
	machine.concurrent_sense = concurrent_sense;
	eckd_init(&machine.disk, &machine.image, &identity, read_only);
	for (unsigned i = 0; i < SUBCHANNELS; i++) {
		const struct subchannel_config config = {
			.device = &machine.disk.device, .devno = (uint16_t)(0x7e52 + i), .chpids = {0x41, 0x42}, .pim = 0xc0,
			.pam = 0xc0, .pom = 0xff, .enabled = true, .concurrent_sense = concurrent_sense};

		MUST(!subchannel_init(&machine.sch[i], &config));
	}
	return &machine;
}

void machine_check(struct machine *used)
{
	struct ckd_problem problem;

	MUST(!memcmp(seen, sound, CKD_HEADER_SIZE));
	for (size_t at = CKD_HEADER_SIZE; at < image_size; at += CKD_3390_TRACK_SIZE)
		MUST(!memcmp(seen + at, sound + at, CKD_HOME_SIZE));
	if (!ckd_image_check(&used->image, &problem)) {
		fprintf(stderr, "offset %llu: %s\n", (unsigned long long)problem.offset, problem.text);
		MUST(!"a program left a track that is not sound");
	}
}

/* A start function that is over: activity gone, and the kinds of status that go with each other. */
static void check_ended(uint32_t flags, uint8_t unit, uint8_t status)
{
	bool alert = unit & ~UNIT_END || status & ~SCH_PCI, active = (unit & UNIT_END) == UNIT_CE;

	MUST(!(flags & SCSW_AC & ~SCSW_AC_DEVICE) || flags & SCSW_CC3);
	if (flags & SCSW_CC3)
		return;
	MUST(flags & (active ? SCSW_AC_DEVICE : SCSW_SC_SECONDARY));
	MUST(!alert || flags & SCSW_SC_ALERT);
	MUST(!(status & SCH_PCI) || flags & SCSW_SC_INTERMEDIATE);
}

void machine_take_status(struct machine *used, unsigned number, unsigned cc)
{
	struct subchannel *sch = &used->sch[number];
	uint8_t irb[CSS_IRB_SIZE];
	uint32_t flags = sch->scsw_flags;

	MUST(cc <= 3);
	if (cc)
		return;
	MUST(flags & SCSW_FC_START);
	if (flags & SCSW_AC_SUSPENDED) { /* status or none: the ORB says which */
		subchannel_test(sch, irb);
		return;
	}
	MUST(flags & SCSW_SC_PENDING);
	MUST(subchannel_test(sch, irb) == 0);
	MUST(get_be32(irb) == flags);
	if (flags & SCSW_SC_PRIMARY)
		check_ended(flags, irb[8], irb[9]);
	MUST(!(irb[8] & UNIT_CHECK) || flags & SCSW_ECTL || !used->concurrent_sense);
	MUST(!(irb[9] & SCH_MACHINE) || flags & SCSW_ESWF);
	if (flags & SCSW_AC_DEVICE) {
		MUST(sch->scsw_flags & SCSW_SC_SECONDARY && subchannel_test(sch, irb) == 0);
		MUST(irb[8] == UNIT_DE);
	}
	MUST(!subchannel_pending(sch));
}
