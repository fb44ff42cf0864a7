/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What may follow what in a channel program: the "chaining and restrictions" of each command (IBM 3990 Storage Control
 * Reference; Internal Disk Subsystem Reference, SA22-1025, chapter 4). Whatever stands in the wrong place is rejected
 * before any of its data move.
 */
#include "eckd.h"

#define POSITION 0x01u      /* needs a seek, a Locate Record or a Read IPL before it */
#define IN_DOMAIN 0x02u     /* may occur in the domain of a Locate Record */
#define FIRST 0x04u         /* is the first command of its program */
#define AFTER_SEARCH 0x08u  /* a search that was satisfied still counts behind it, or is what it asks for */

#define READ (POSITION | IN_DOMAIN)
#define WRITE (IN_DOMAIN | AFTER_SEARCH)

static const uint8_t rules[256] = {
	[0x05] = WRITE,             [0x85] = WRITE,
	[0x06] = READ | AFTER_SEARCH, [0x86] = READ | AFTER_SEARCH,
	[0x0d] = WRITE,             [0x8d] = WRITE,
	[0x0e] = READ | AFTER_SEARCH, [0x8e] = READ | AFTER_SEARCH,
	[0x11] = WRITE,
	[0x12] = READ,              [0x92] = READ,
	[0x14] = FIRST,
	[0x15] = WRITE,
	[0x16] = READ,              [0x96] = READ,
	[0x19] = WRITE,
	[0x1a] = READ,              [0x9a] = READ,
	[0x1b] = POSITION,
	[0x1d] = WRITE,             [0x9d] = WRITE,
	[0x1e] = READ,              [0x9e] = READ,
	[0x23] = POSITION,
	[0x29] = POSITION,          [0xa9] = POSITION,
	[0x31] = POSITION,          [0xb1] = POSITION,
	[0x39] = POSITION,          [0xb9] = POSITION,
	[0x49] = POSITION,          [0xc9] = POSITION,
	[0x51] = POSITION,          [0xd1] = POSITION,
	[0x5e] = POSITION,
	[0x69] = POSITION,          [0xe9] = POSITION,
	[0x71] = POSITION,          [0xf1] = POSITION,
	[0x95] = WRITE,
	[0xa5] = WRITE,
	[0xa6] = READ,
	[0xaf] = FIRST,
	[0xb4] = FIRST,
	[0xde] = READ,
};

uint8_t eckd_check_sequence(struct eckd *eckd, uint8_t command)
{
	enum { READ_SUBSYSTEM_DATA = 0x3e };
	struct eckd_chain *chain = eckd->chain;
	uint8_t rule = rules[command];
	bool misplaced = (chain->in_domain && !(rule & IN_DOMAIN)) || (rule & POSITION && !chain->positioned) ||
			 (rule & FIRST && chain->begun) || (chain->page && command != READ_SUBSYSTEM_DATA);

	chain->begun = true;
	if (!(rule & AFTER_SEARCH))
		chain->ready = 0;
	return misplaced ? eckd_reject(eckd, MESSAGE_SEQUENCE) : 0;
}
