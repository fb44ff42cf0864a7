/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Channel-report words (Principles of Operation, chapter 17), in a queue that can overflow. */
#ifndef CCWEMU_CRW_H
#define CCWEMU_CRW_H

#include <stdbool.h>
#include <stdint.h>

#define CRW_OVERFLOW 0x20000000u    /* reports behind this one were lost */
#define CRW_CHAINED 0x10000000u     /* the next word belongs to the same report */
#define CRW_PATH 0x04000000u        /* reporting source: channel path */
#define CRW_SUBCHANNEL 0x03000000u
#define CRW_INITIALIZED 0x00020000u /* error-recovery code */
#define CRW_PERMANENT_ERROR 0x00060000u
#define CRW_SOURCE_FIELDS 0x0fbfffffu /* what a report may set: source, ancillary, recovery code, id */

#define CRW_QUEUE_SIZE 16

struct crw_queue {
	uint32_t words[CRW_QUEUE_SIZE];
	unsigned count;
};

/*
 * Queue a report of one or several words, chained. False: there is no room for all of it; it is lost, and the newest
 * report in the queue says so.
 */
bool crw_report(struct crw_queue *queue, const uint32_t *words, unsigned count);

/* Take the oldest word; zero without one. */
uint32_t crw_take(struct crw_queue *queue);

#endif
