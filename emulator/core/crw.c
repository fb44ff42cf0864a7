/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "crw.h"

#include <string.h>

/* The overflow flag stands in each word of a report. */
static void mark_overflow(struct crw_queue *queue)
{
	unsigned i = queue->count;

	do {
		queue->words[--i] |= CRW_OVERFLOW;
	} while (i && queue->words[i - 1] & CRW_CHAINED);
}

bool crw_report(struct crw_queue *queue, const uint32_t *words, unsigned count)
{
	if (count > CRW_QUEUE_SIZE - queue->count) {
		if (queue->count)
			mark_overflow(queue);
		return false;
	}
	for (unsigned i = 0; i < count; i++)
		queue->words[queue->count++] = (words[i] & CRW_SOURCE_FIELDS) | (i + 1 < count ? CRW_CHAINED : 0);
	return true;
}

uint32_t crw_take(struct crw_queue *queue)
{
	uint32_t word = queue->words[0];

	if (!queue->count)
		return 0;
	memmove(queue->words, queue->words + 1, --queue->count * sizeof(queue->words[0]));
	return word;
}
