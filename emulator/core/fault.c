/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fault.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

enum { BASIC_SENSE = 0x04 };

static struct fault *find(struct faults *faults, uint32_t id)
{
	for (size_t i = 0; i < FAULT_SLOTS; i++)
		if (faults->slots[i].id == id)
			return &faults->slots[i];
	return NULL;
}

int fault_arm(struct faults *faults, const struct fault *fault)
{
	struct fault *slot;

	if (!fault->id || !fault->left)
		return EINVAL;
	if (find(faults, fault->id))
		return EEXIST;
	slot = find(faults, 0);
	if (!slot)
		return ENOSPC;
	*slot = *fault;
	slot->met = false;
	slot->changed = false;
	faults->armed++;
	return 0;
}

static void forget(struct faults *faults, struct fault *slot)
{
	faults->armed -= slot->left > 0;
	faults->changed -= slot->changed;
	memset(slot, 0, sizeof(*slot));
}

void fault_disarm(struct faults *faults, uint32_t id)
{
	for (size_t i = 0; i < FAULT_SLOTS; i++)
		if (faults->slots[i].id && (!id || faults->slots[i].id == id))
			forget(faults, &faults->slots[i]);
}

void fault_begin(struct faults *faults)
{
	faults->begun = false;
	for (size_t i = 0; i < FAULT_SLOTS; i++)
		faults->slots[i].met = false;
}

static bool concerns(const struct fault *fault, uint8_t command, bool first)
{
	if (!fault->left || fault->met)
		return false;
	return fault->command == FAULT_ANY_COMMAND ? first && command != BASIC_SENSE : fault->command == command;
}

static void note_change(struct faults *faults, struct fault *fault)
{
	faults->changed += !fault->changed;
	fault->changed = true;
}

const struct fault *fault_meet(struct faults *faults, uint8_t command)
{
	bool first = !faults->begun;

	faults->begun = true;
	for (size_t i = 0; i < FAULT_SLOTS; i++) {
		struct fault *fault = &faults->slots[i];

		if (!concerns(fault, command, first))
			continue;
		fault->met = true;
		note_change(faults, fault);
		if (fault->skip) {
			fault->skip--;
			continue;
		}
		faults->armed -= !--fault->left;
		return fault;
	}
	return NULL;
}

bool fault_take_change(struct faults *faults, struct fault *taken)
{
	for (size_t i = 0; faults->changed && i < FAULT_SLOTS; i++) {
		struct fault *fault = &faults->slots[i];

		if (!fault->changed)
			continue;
		fault->changed = false;
		faults->changed--;
		*taken = *fault;
		if (!fault->left)
			forget(faults, fault);
		return true;
	}
	return false;
}
