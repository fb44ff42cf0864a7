/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest's main storage, as a set of mapped areas. */
#ifndef CCWEMU_STORAGE_H
#define CCWEMU_STORAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct storage_area {
	uint64_t start;
	uint64_t size;
	uint8_t *host;
	uint8_t key;        /* storage key, 0..15 */
	bool fetch_protected;
	bool damaged;       /* an uncorrectable error: none of its bytes can be used */
	void *owner;        /* for whoever mapped it */
};

/* Sorted by start, never overlapping. */
struct storage {
	struct storage_area *areas;
	size_t count;
	size_t room;
	uint64_t limit;     /* the address limit of SET ADDRESS LIMIT */
};

enum storage_access { STORAGE_DONE, STORAGE_UNAVAILABLE, STORAGE_PROTECTED, STORAGE_DAMAGED };

void storage_init(struct storage *storage);
void storage_free(struct storage *storage);

/* 0, EINVAL (empty or wraps), EEXIST (overlaps a mapped area), ENOMEM */
int storage_map(struct storage *storage, const struct storage_area *area);

/* Take out the area that starts at start and has this size. 0 (its owner in *owner), or ENOENT. */
int storage_unmap(struct storage *storage, uint64_t start, uint64_t size, void **owner);

/* The area that holds address, or NULL. */
const struct storage_area *storage_find(const struct storage *storage, uint64_t address);

/* Key-controlled protection: may a program with this key store into the area, or fetch from it? */
static inline bool storage_permits(const struct storage_area *area, uint8_t key, bool store)
{
	return !key || area->key == key || (!store && !area->fetch_protected);
}

/*
 * A range that an access before has shown to be mapped and permitted, for one kind of access with one key. Good as long
 * as the map stays as it is; size 0: nothing is known yet.
 */
struct storage_window {
	uint64_t start;
	uint64_t size;
	uint8_t *host;
};

/* Bytes of the window from address on; 0: it lies outside. */
static inline uint64_t storage_window_left(const struct storage_window *window, uint64_t address)
{
	uint64_t offset = address - window->start;

	return offset < window->size ? window->size - offset : 0;
}

static inline uint8_t *storage_window_host(const struct storage_window *window, uint64_t address)
{
	return window->host + (address - window->start);
}

/* Set the window to the area of address, if size bytes can be fetched from it there with the key. */
bool storage_find_window(const struct storage *storage, uint64_t address, uint8_t key, size_t size,
			 struct storage_window *window);

/* Fetch size bytes with a key, over the border of adjacent areas if need be. */
enum storage_access storage_fetch(const struct storage *storage, uint64_t address, uint8_t key, void *data,
				  size_t size);

/* The same, of which *window remembers the area. */
static inline enum storage_access storage_fetch_near(const struct storage *storage, uint64_t address, uint8_t key,
						     void *data, size_t size, struct storage_window *window)
{
	if (storage_window_left(window, address) < size && !storage_find_window(storage, address, key, size, window))
		return storage_fetch(storage, address, key, data, size);
	memcpy(data, storage_window_host(window, address), size);
	return STORAGE_DONE;
}

/* Copy out size bytes, over the border of adjacent areas if need be. False: some of it is not mapped. */
bool storage_read(const struct storage *storage, uint64_t address, void *data, size_t size);

/* Is the whole range mapped? */
bool storage_mapped(const struct storage *storage, uint64_t address, uint64_t size);

#endif
