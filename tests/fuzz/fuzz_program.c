/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Channel programs. The input: settings, ORB word 1, then CCWs, each with its data:
 *   command, flags, count (2), place, n, n bytes
 * place 0: the data lie behind those of the CCW before; 1: an address of 4 bytes follows; else place * 16 + DATA_AT.
 * Suspended, the program goes on as the last bytes say: resume, halt, clear, cancel.
 */
#include <string.h>

#include "bytes.h"
#include "machine.h"

enum { READ_ONLY = 1, NO_SENSE = 2, TWICE = 4, ENDS_APART = 8, MOST_CCWS = 64 };

struct builder {
	struct input *input;
	uint8_t *low;
	uint32_t flags;        /* of the ORB */
	uint32_t free;         /* where the next data go */
};

static uint32_t place_of(struct builder *builder, size_t size)
{
	uint8_t place = take8(builder->input);
	uint32_t address;

	if (place == 1)
		return take32(builder->input);
	if (place)
		return DATA_AT + place * 16u;
	address = builder->free;
	builder->free += (uint32_t)(size + 7) & ~7u;
	return address;
}

static void put_ccw(struct builder *builder, unsigned index)
{
	uint8_t *to = builder->low + PROGRAM_AT + index * CSS_CCW_SIZE;
	uint8_t command = take8(builder->input), flags = take8(builder->input);
	uint16_t count = take16(builder->input);
	uint8_t size = take8(builder->input);
	uint32_t address = place_of(builder, size > count ? size : count);

	if (address < LOW_SIZE && size <= LOW_SIZE - address)
		take(builder->input, builder->low + address, size);
	if (builder->flags & ORB_FORMAT1) {
		to[0] = command;
		to[1] = flags;
		put_be16(to + 2, count);
		put_be32(to + 4, address);
	} else {
		put_be32(to, address);
		to[0] = command;
		to[4] = flags;
		to[5] = 0;
		put_be16(to + 6, count);
	}
}

static void go_on(struct machine *machine, struct input *input)
{
	struct subchannel *sch = &machine->sch[0];

	for (unsigned i = 0; i < 4 && sch->scsw_flags & SCSW_AC_SUSPENDED; i++) {
		switch (take8(input) % 4) {
		case 0:
			machine_take_status(machine, 0, subchannel_resume(sch));
			break;
		case 1:
			subchannel_halt(sch);
			break;
		case 2:
			subchannel_clear(sch);
			break;
		case 3:
			subchannel_cancel(sch);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};
	uint8_t settings = take8(&input);
	struct machine *machine = machine_fresh(settings & READ_ONLY, !(settings & NO_SENSE));
	struct channel_orb orb = {.intparm = 0x12345678, .flags = take32(&input), .cpa = PROGRAM_AT};
	struct builder builder = {&input, machine->low, orb.flags, DATA_AT};

	machine->disk.ends_apart = settings & ENDS_APART;
	for (unsigned index = 0; index < MOST_CCWS && input.left > 4; index++)
		put_ccw(&builder, index);
	for (unsigned times = settings & TWICE ? 2 : 1; times; times--) {
		machine_take_status(machine, 0, subchannel_start(&machine->sch[0], &orb, &machine->storage,
								 channel_ccw_from_storage, &machine->storage));
		go_on(machine, &input);
	}
	machine_check(machine);
	return 0;
}
