/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Faults: what a program meets, on purpose, that a healthy device does not do. Who tests arms them on the device;
 * each counts the starts that it lets pass and those that it hits.
 */
#ifndef CCWEMU_FAULT_H
#define CCWEMU_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "css.h"

#define FAULT_SLOTS 16
#define FAULT_ANY_COMMAND 0x100u  /* the first command of a start, whatever it is; Basic Sense is left alone */

enum fault_kind {
	FAULT_UNIT_CHECK,       /* the command ends with unit check and these sense bytes, and is not carried out */
	FAULT_LOST_INTERRUPT,   /* the program is carried out; its status never becomes pending */
};

struct fault {
	uint32_t id;            /* by which who armed it knows it; 0: a free slot */
	enum fault_kind kind;
	uint16_t command;       /* a command code, or FAULT_ANY_COMMAND */
	uint32_t skip;          /* starts that would be hit and pass */
	uint32_t left;          /* starts that are hit after those */
	uint8_t sense[CSS_ECW_SIZE];
	bool met;               /* by the start in progress, which counts once */
	bool changed;           /* skip or left have, since this was told last */
};

struct faults {
	unsigned armed;         /* slots with starts left: nothing else is looked at while this is zero */
	unsigned changed;
	bool begun;             /* the start in progress has had its first command */
	struct fault slots[FAULT_SLOTS];
};

/* 0, EEXIST (an id twice), EINVAL (id or left are zero), ENOSPC. */
int fault_arm(struct faults *faults, const struct fault *fault);

/* Forget the fault of this id; 0: all of them. */
void fault_disarm(struct faults *faults, uint32_t id);

/* A start begins. */
void fault_begin(struct faults *faults);

/* The fault that a command of the start meets, counted; NULL: none. */
const struct fault *fault_meet(struct faults *faults, uint8_t command);

/* Take a fault whose counts have changed; one without starts left is then forgotten. False: there is none. */
bool fault_take_change(struct faults *faults, struct fault *taken);

#endif
