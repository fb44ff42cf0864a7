/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void storage_init(struct storage *storage)
{
	*storage = (struct storage){0};
}

void storage_free(struct storage *storage)
{
	free(storage->areas);
	storage_init(storage);
}

/* Index of the first area that ends beyond address. */
static size_t first_beyond(const struct storage *storage, uint64_t address)
{
	size_t low = 0, high = storage->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct storage_area *area = &storage->areas[middle];

		if (area->start + (area->size - 1) < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int make_room(struct storage *storage)
{
	struct storage_area *areas;
	size_t room;

	if (storage->count < storage->room)
		return 0;
	room = storage->room ? 2 * storage->room : 8;
	areas = realloc(storage->areas, room * sizeof(*areas));
	if (!areas)
		return ENOMEM;
	storage->areas = areas;
	storage->room = room;
	return 0;
}

int storage_map(struct storage *storage, const struct storage_area *area)
{
	uint64_t last = area->start + (area->size - 1);
	size_t at;
	int error;

	if (!area->size || last < area->start)
		return EINVAL;
	at = first_beyond(storage, area->start);
	if (at < storage->count && storage->areas[at].start <= last)
		return EEXIST;
	error = make_room(storage);
	if (error)
		return error;
	memmove(storage->areas + at + 1, storage->areas + at, (storage->count - at) * sizeof(*area));
	storage->areas[at] = *area;
	storage->count++;
	return 0;
}

int storage_unmap(struct storage *storage, uint64_t start, uint64_t size, void **owner)
{
	size_t at = first_beyond(storage, start);

	if (at == storage->count || storage->areas[at].start != start || storage->areas[at].size != size)
		return ENOENT;
	*owner = storage->areas[at].owner;
	storage->count--;
	memmove(storage->areas + at, storage->areas + at + 1, (storage->count - at) * sizeof(*storage->areas));
	return 0;
}

const struct storage_area *storage_find(const struct storage *storage, uint64_t address)
{
	size_t at = first_beyond(storage, address);

	if (at == storage->count || storage->areas[at].start > address)
		return NULL;
	return &storage->areas[at];
}

enum storage_access storage_fetch(const struct storage *storage, uint64_t address, uint8_t key, void *data,
				  size_t size)
{
	uint8_t *to = data;

	while (size) {
		const struct storage_area *area = storage_find(storage, address);
		uint64_t piece;

		if (!area)
			return STORAGE_UNAVAILABLE;
		if (!storage_permits(area, key, false))
			return STORAGE_PROTECTED;
		if (area->damaged)
			return STORAGE_DAMAGED;
		piece = area->size - (address - area->start);
		if (piece > size)
			piece = size;
		memcpy(to, area->host + (address - area->start), (size_t)piece);
		to += piece;
		address += piece;
		size -= (size_t)piece;
	}
	return STORAGE_DONE;
}

bool storage_find_window(const struct storage *storage, uint64_t address, uint8_t key, size_t size,
			 struct storage_window *window)
{
	const struct storage_area *area = storage_find(storage, address);

	if (!area || area->size - (address - area->start) < size || !storage_permits(area, key, false) || area->damaged)
		return false;
	*window = (struct storage_window){area->start, area->size, area->host};
	return true;
}

bool storage_read(const struct storage *storage, uint64_t address, void *data, size_t size)
{
	return storage_fetch(storage, address, 0, data, size) == STORAGE_DONE;
}

bool storage_mapped(const struct storage *storage, uint64_t address, uint64_t size)
{
	while (size) {
		const struct storage_area *area = storage_find(storage, address);
		uint64_t piece;

		if (!area)
			return false;
		piece = area->size - (address - area->start);
		if (piece >= size)
			return true;
		address += piece;
		size -= piece;
	}
	return true;
}
