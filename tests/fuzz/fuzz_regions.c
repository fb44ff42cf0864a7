/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vfio-ccw device: accesses to its regions at any offset, of any size, mixed with everything else that can happen
 * to it. The input: settings, the number of accesses and the size of their operands, those, then what main storage
 * holds from PROGRAM_AT on.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "machine.h"
#include "vfio_ccw.h"

enum { READ_ONLY = 1, IDA_2K = 2, NEEDS_PREFETCH = 4, MOST_ACCESSES = 48, MOST_BYTES = 300 };

static void signalled(void *context, enum vfio_irq irq)
{
	unsigned *interrupts = context;

	MUST(irq < VFIO_IRQS);
	++*interrupts;
}

/* Buffers have exactly the size that is asked for, so that the sanitizer sees what goes beyond it. */
static void read_region(struct vfio_ccw *vfio, struct input *input)
{
	uint16_t offset = take16(input) & 0x1fff;
	size_t size = take16(input) % MOST_BYTES;
	uint8_t *data = malloc(size + !size);

	MUST(data);
	MUST(vfio_ccw_read(vfio, offset, data, size) >= 0);
	free(data);
}

static void write_region(struct vfio_ccw *vfio, struct input *input)
{
	uint16_t offset = take16(input) & 0x1fff;
	size_t size = take8(input);
	uint8_t *data = malloc(size + !size);

	MUST(data);
	take(input, data, size);
	vfio_ccw_write(vfio, offset, data, size);
	free(data);
}

static void start(struct vfio_ccw *vfio, struct input *input)
{
	uint8_t region[VFIO_IO_SIZE] = {0}, answer[VFIO_IO_SIZE];
	int error;

	take(input, region, CSS_ORB_SIZE);
	put_be32(region + CSS_ORB_SIZE, SCSW_FC_START);
	error = vfio_ccw_write(vfio, VFIO_IO << VFIO_REGION_SHIFT, region, sizeof(region));
	MUST(!vfio_ccw_read(vfio, VFIO_IO << VFIO_REGION_SHIFT, answer, sizeof(answer)));
	MUST(get_be32(answer + sizeof(answer) - 4) == (uint32_t)-error);
}

static void command(struct vfio_ccw *vfio, struct input *input)
{
	uint8_t region[VFIO_ASYNC_SIZE] = {0};

	put_be32(region, take8(input) % 4);
	vfio_ccw_write(vfio, VFIO_ASYNC << VFIO_REGION_SHIFT, region, sizeof(region));
}

static void access_device(struct machine *machine, struct vfio_ccw *vfio, struct input *input)
{
	uint8_t code = take8(input);

	switch (code & 15) {
	default:
		start(vfio, input);
		break;
	case 1:
		read_region(vfio, input);
		break;
	case 2:
		write_region(vfio, input);
		break;
	case 3:
		command(vfio, input);
		break;
	case 4:
		vfio_ccw_reset(vfio);
		break;
	case 5:
		vfio_ccw_path_event(vfio, take8(input), code & 16);
		break;
	case 6:
		subchannel_set_paths(vfio->sch, take8(input));
		break;
	case 7:
		vfio_ccw_close(vfio);
		vfio_ccw_open(vfio);
		break;
	case 8:
		subchannel_resume(vfio->sch);
		break;
	case 9: /* the disk's other host */
		read_region(vfio, input);
		subchannel_clear(&machine->sch[1]);
		break;
	case 10:
		if (code & 16)
			vfio_ccw_not_operational(vfio);
	}
	MUST(vfio->state < VFIO_STATES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct vfio_ccw vfio;
	struct input input = {data, size}, program;
	uint8_t settings = take8(&input);
	unsigned accesses = take8(&input) % MOST_ACCESSES, interrupts = 0;
	size_t operands = take16(&input) % 1024;
	struct machine *machine = machine_fresh(settings & READ_ONLY, true);
	const struct vfio_kernel kernel = {.ida_2k = settings & IDA_2K, .needs_prefetch = settings & NEEDS_PREFETCH};

	vfio_ccw_init(&vfio, &machine->sch[0], &machine->storage, &kernel);
	vfio.signal = signalled;
	vfio.context = &interrupts;
	MUST(!vfio_ccw_open(&vfio));
	if (operands > input.left)
		operands = input.left;
	program = (struct input){input.data + operands, input.left - operands};
	take(&program, machine->low + PROGRAM_AT, program.left < LOW_SIZE - PROGRAM_AT ? program.left : LOW_SIZE - PROGRAM_AT);
	input.left = operands;
	while (accesses-- && input.left)
		access_device(machine, &vfio, &input);
	vfio_ccw_close(&vfio);
	machine_check(machine);
	return 0;
}
