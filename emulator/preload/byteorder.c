/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fields: Linux include/uapi/linux/vfio_ccw.h; QEMU 7.2 include/hw/s390x/ioinst.h (ORB, SCSW, PMCW, SCHIB, CRW). */
#include "byteorder.h"

#include <stddef.h>

struct field {
	uint8_t offset, size;
};

/* A table ends with a field of no bytes. Bytes that are not in it are fields of one byte, or the IRB. */
static const struct field io_fields[] = {
	{0, 4}, {4, 2}, {8, 4},                 /* ORB: parameter, flags, (paths, flags), address */
	{12, 2}, {14, 2}, {16, 4}, {22, 2},     /* SCSW: flags, control, address, (status), count */
	{120, 4}, {0, 0},                       /* return code */
};
static const struct field async_fields[] = {{0, 4}, {4, 4}, {0, 0}};
static const struct field schib_fields[] = {
	{0, 4}, {4, 2}, {6, 2}, {12, 2}, {24, 4}, /* PMCW: parameter, flags, device number, MBI, characteristics */
	{28, 2}, {30, 2}, {32, 4}, {38, 2},       /* SCSW */
	{40, 8}, {0, 0},                          /* measurement block address */
};
static const struct field crw_fields[] = {{0, 2}, {2, 2}, {0, 0}};

static const struct field *const fields_of[VFIO_REGIONS] = {io_fields, async_fields, schib_fields, crw_fields};

static void reverse(uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size / 2; i++) {
		uint8_t byte = bytes[i];

		bytes[i] = bytes[size - 1 - i];
		bytes[size - 1 - i] = byte;
	}
}

void region_convert(enum vfio_region region, uint8_t *bytes)
{
	const uint16_t one = 1;

	if (!*(const uint8_t *)&one)
		return; /* big-endian: as the channel has it */
	for (const struct field *field = fields_of[region]; field->size; field++)
		reverse(bytes + field->offset, field->size);
}
