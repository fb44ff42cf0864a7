/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the fuzz targets share: an input to take bytes from, and a machine that they are let loose on. */
#ifndef CCWEMU_FUZZ_MACHINE_H
#define CCWEMU_FUZZ_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ckd_image.h"
#include "eckd.h"
#include "storage.h"
#include "subchannel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Something that must hold does not: say what, and abort, which both kinds of runner report. */
#define MUST(condition) ((condition) ? (void)0 : must_failed(#condition, __FILE__, __LINE__))
_Noreturn void must_failed(const char *condition, const char *file, int line);

/* Bytes of the input, from the front; zeros once it is used up. */
struct input {
	const uint8_t *data;
	size_t left;
};

uint8_t take8(struct input *input);
uint16_t take16(struct input *input);
uint32_t take32(struct input *input);
void take(struct input *input, uint8_t *to, size_t size);

/*
 * Main storage: each area in a heap block of its own, so that the sanitizer sees what runs over its end. The first
 * two are adjacent, one ends at 2 GiB, one lies above 4 GiB, and the last is damaged.
 */
enum { AREAS = 6, LOW_SIZE = 0x6000, PROGRAM_AT = 0x1000, DATA_AT = 0x2000 };

enum { SUBCHANNELS = 2, CYLINDERS = 2 };

struct machine {
	struct storage storage;
	struct ckd_image image;
	struct eckd disk;
	struct subchannel sch[SUBCHANNELS];
	uint8_t *low;                   /* the first area's bytes */
	bool concurrent_sense;
};

/* A machine in its initial state, whatever the last input did. */
struct machine *machine_fresh(bool read_only, bool concurrent_sense);

/* After an input: the image is sound, its header and home addresses are what they were. */
void machine_check(struct machine *machine);

/* After START or RESUME SUBCHANNEL with this condition code: what the architecture wants to see. Takes the status. */
void machine_take_status(struct machine *machine, unsigned number, unsigned cc);

/* The bytes of an image of so many cylinders, with records of several kinds; the caller frees them. */
uint8_t *sound_image(unsigned cylinders, size_t *size);

#endif
