/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ORBs and the other instructions, in any order, from two hosts that share the disk. The input: settings, the number
 * of instructions, those with their operands, then what main storage holds from PROGRAM_AT on.
 */
#include <string.h>

#include "bytes.h"
#include "machine.h"

enum { READ_ONLY = 1, NO_SENSE = 2, MOST_INSTRUCTIONS = 48 };

static void start(struct machine *machine, unsigned number, struct input *input)
{
	uint8_t bytes[CSS_ORB_SIZE];
	struct channel_orb orb;

	take(input, bytes, sizeof(bytes));
	subchannel_parse_orb(&orb, bytes);
	subchannel_start(&machine->sch[number], &orb, &machine->storage, channel_ccw_from_storage, &machine->storage);
}

/* MODIFY SUBCHANNEL with what STORE SUBCHANNEL gave, but for some bytes; reserved bits are the caller's to check. */
static void modify(struct subchannel *sch, struct input *input)
{
	uint8_t schib[CSS_SCHIB_SIZE];

	subchannel_store(sch, schib);
	for (unsigned changes = take8(input) % 4; changes; changes--) {
		uint8_t at = take8(input) % CSS_SCHIB_SIZE;

		schib[at] ^= take8(input);
	}
	if (subchannel_valid_schib(schib))
		MUST(subchannel_modify(sch, schib) <= 2);
}

static void test(struct subchannel *sch)
{
	uint8_t irb[CSS_IRB_SIZE];
	bool pending = subchannel_pending(sch);
	unsigned cc = subchannel_test(sch, irb);

	MUST(cc == 3 || cc == !pending);
	MUST(cc == 3 || !subchannel_pending(sch));
}

static void instruction(struct machine *machine, struct input *input)
{
	uint8_t code = take8(input);
	unsigned number = code & 1;
	struct subchannel *sch = &machine->sch[number];

	switch (code >> 1 & 15) {
	default:
		start(machine, number, input);
		break;
	case 1:
		test(sch);
		break;
	case 2:
		MUST(subchannel_halt(sch) <= 3);
		break;
	case 3:
		MUST(subchannel_clear(sch) % 3 == 0);
		break;
	case 4:
		MUST(subchannel_resume(sch) <= 3);
		break;
	case 5:
		MUST(subchannel_cancel(sch) <= 3);
		break;
	case 6:
		modify(sch, input);
		break;
	case 7:
		subchannel_set_paths(sch, take8(input));
		break;
	}
}

/* Whatever came before, a clear makes an enabled subchannel usable. */
static void recover(struct subchannel *sch)
{
	uint8_t irb[CSS_IRB_SIZE];

	if (subchannel_clear(sch) == 3)
		return;
	MUST(subchannel_test(sch, irb) == 0);
	MUST(get_be32(irb) & SCSW_FC_CLEAR);
	MUST(subchannel_test(sch, irb) == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size}, program;
	uint8_t settings = take8(&input);
	unsigned instructions = take8(&input) % MOST_INSTRUCTIONS;
	size_t operands = take16(&input) % 512;
	struct machine *machine = machine_fresh(settings & READ_ONLY, !(settings & NO_SENSE));

	if (operands > input.left)
		operands = input.left;
	program = (struct input){input.data + operands, input.left - operands};
	take(&program, machine->low + PROGRAM_AT, program.left < LOW_SIZE - PROGRAM_AT ? program.left : LOW_SIZE - PROGRAM_AT);
	input.left = operands;
	while (instructions-- && input.left)
		instruction(machine, &input);
	for (unsigned i = 0; i < SUBCHANNELS; i++)
		recover(&machine->sch[i]);
	machine_check(machine);
	return 0;
}
