/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests of a kernel that knows no rules, while the tree changes. The input: steps, each a code and its operands. A
 * node or an open file is named by one byte, so that most of those that are asked for are there.
 */
#include <stdlib.h>
#include <string.h>

#include "machine.h"
#include "mirror.h"

enum { NODES = 24, FILES = 8, LONGEST_BODY = 255, HEADER = 40, FIRST_OWNER = 1000 };
enum { KIND = 0170000, DIRECTORY = 0040755, REGULAR = 0100644, SYMBOLIC = 0120777 };

static unsigned owned; /* owners that the mirror holds */

static void release(void *owner)
{
	MUST((uintptr_t)owner >= FIRST_OWNER);
	owned--;
}

static uint64_t take_node(struct input *input)
{
	return take8(input) % NODES;
}

static void add(struct mirror *mirror, struct input *input)
{
	static const uint32_t modes[] = {DIRECTORY, REGULAR, SYMBOLIC, REGULAR & ~0444u, 0060600};
	struct mirror_entry entry = {.size = 4096};
	char name[2] = {0};
	uint64_t parent = take_node(input);
	uint8_t settings;

	entry.id = take_node(input);
	name[0] = (char)('a' + take8(input) % 4);
	settings = take8(input);
	entry.name = name;
	entry.name_length = settings >> 6;
	if (entry.name_length > sizeof(name))
		entry.name_length = 1;
	entry.mode = modes[settings % 5];
	entry.target = take_node(input);
	entry.owner = (void *)(uintptr_t)(FIRST_OWNER + entry.id);
	if (settings & 0x20) {
		entry.content = input->data;
		entry.content_size = input->left < 16 ? input->left : 16;
	}
	owned += !mirror_add(mirror, parent, &entry);
}

static void make_content(struct mirror *mirror, struct input *input, bool supply)
{
	uint8_t number = take8(input), size = take8(input);
	int error = size & 0x80 ? 22 : 0;
	size_t length = input->left < (size & 0x7fu) ? input->left : (size & 0x7fu);

	if (supply)
		MUST(mirror_supply(mirror, MIRROR_HANDLE | number % FILES, input->data, length, error, size) != 12);
	else
		MUST(!mirror_keep(mirror, number % NODES, input->data, length, error));
}

static void request(struct mirror *mirror, struct input *input)
{
	static _Alignas(8) uint8_t reply[MIRROR_REPLY_SIZE];
	uint8_t opcode = take8(input), node = take8(input), size = take8(input), handle = take8(input);
	/* a block of its own, so that the sanitizer sees what reads over its end */
	uint8_t *bytes = calloc(1, HEADER + (size_t)size);
	size_t reply_size = 0;
	uint32_t header[2] = {HEADER + (uint32_t)size, opcode % 64};
	uint64_t id = node % NODES, open = MIRROR_HANDLE | handle % FILES, unique = 7;

	if (!bytes)
		return;
	memcpy(bytes, header, sizeof(header));
	memcpy(bytes + 8, &unique, sizeof(unique));
	memcpy(bytes + 16, &id, sizeof(id));
	take(input, bytes + HEADER, size);
	if (handle & 0x80 && size >= sizeof(open))
		memcpy(bytes + HEADER, &open, sizeof(open));
	if (mirror_request(mirror, bytes, handle & 0x40 ? size % HEADER : HEADER + (size_t)size, reply, &reply_size) ==
	    MIRROR_REPLY) {
		uint32_t length;

		memcpy(&length, reply, sizeof(length));
		MUST(length == reply_size && reply_size >= 16 && reply_size <= sizeof(reply));
		MUST(!memcmp(reply + 8, &unique, sizeof(unique)));
	}
	free(bytes);
}

static void take_released(struct mirror *mirror)
{
	void *owners[3];
	size_t count = mirror_take_released(mirror, owners, 3);

	for (size_t i = 0; i < count; i++)
		release(owners[i]);
}

static void step(struct mirror *mirror, struct input *input)
{
	unsigned char entry[MIRROR_ENTRY_SIZE];

	switch (take8(input) % 10) {
	case 0:
	case 1:
		add(mirror, input);
		break;
	case 2:
		mirror_remove(mirror, take_node(input));
		break;
	case 3:
		mirror_set_changing(mirror, take8(input) & 1);
		break;
	case 4:
		make_content(mirror, input, take8(input) & 1);
		break;
	case 5:
		take_released(mirror);
		break;
	case 6:
		mirror_entry(mirror, take_node(input), entry);
		mirror_set_attributes(mirror, take_node(input), take16(input), 0, 0, 0);
		break;
	default:
		request(mirror, input);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};
	struct mirror_entry root = {.mode = DIRECTORY, .owner = (void *)(uintptr_t)FIRST_OWNER};
	struct mirror *mirror = mirror_new(&root);

	MUST(mirror);
	owned = 1;
	while (input.left)
		step(mirror, &input);
	mirror_free(mirror, release);
	MUST(!owned);
	return 0;
}
