/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Linux drivers/vfio/{container,vfio_iommu_type1}.c, as seen from outside. */
#define _GNU_SOURCE
#include "container.h"

#include <errno.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE UINT64_C(4096)

static long set_iommu(struct container *container, unsigned long type)
{
	if (type != VFIO_TYPE1_IOMMU && type != VFIO_TYPE1v2_IOMMU)
		return -ENODEV;
	if (!container->groups || container->ready)
		return -EINVAL;
	container->ready = true;
	return 0;
}

static long get_info(void *argument)
{
	const size_t least = offsetof(struct vfio_iommu_type1_info, cap_offset);
	struct vfio_iommu_type1_info info = {0};

	memcpy(&info, argument, least);
	if (info.argsz < least)
		return -EINVAL;
	info.flags = VFIO_IOMMU_INFO_PGSIZES;
	info.iova_pgsizes = ~(PAGE - 1);
	memcpy(argument, &info, info.argsz >= sizeof(info) ? sizeof(info) : least);
	return 0;
}

static bool valid_range(uint64_t start, uint64_t size)
{
	return size && !((start | size) & (PAGE - 1)) && start + (size - 1) >= start;
}

static long map_dma(struct container *container, const void *argument)
{
	const uint32_t access = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
	struct vfio_iommu_type1_dma_map map;
	struct storage_area area = {0};

	memcpy(&map, argument, sizeof(map));
	if (map.argsz < sizeof(map) || map.flags & ~access || !(map.flags & access) || map.vaddr & (PAGE - 1) ||
	    !valid_range(map.iova, map.size))
		return -EINVAL;
	if ((map.flags & access) != access)
		return 0; /* vfio-ccw pins pages for both: to a channel program this is not there */
	area.start = map.iova;
	area.size = map.size;
	area.host = (uint8_t *)(uintptr_t)map.vaddr;
	return -storage_map(&container->storage, &area);
}

/* Take out what lies in the range. An area that only partly does is refused, as type 1 version 2 does. */
static long unmap_dma(struct container *container, void *argument)
{
	struct vfio_iommu_type1_dma_unmap unmap;
	const struct storage_area *edge;
	uint64_t last, done = 0;
	void *owner;

	memcpy(&unmap, argument, sizeof(unmap));
	if (unmap.argsz < sizeof(unmap) || unmap.flags || !valid_range(unmap.iova, unmap.size))
		return -EINVAL;
	last = unmap.iova + (unmap.size - 1);
	edge = storage_find(&container->storage, unmap.iova);
	if (edge && edge->start != unmap.iova)
		return -EINVAL;
	edge = storage_find(&container->storage, last);
	if (edge && edge->start + (edge->size - 1) != last)
		return -EINVAL;
	for (size_t i = container->storage.count; i-- > 0;) {
		const struct storage_area area = container->storage.areas[i];

		if (area.start < unmap.iova || area.start > last)
			continue;
		storage_unmap(&container->storage, area.start, area.size, &owner);
		done += area.size;
	}
	unmap.size = done;
	memcpy(argument, &unmap, sizeof(unmap));
	return 0;
}

static long control_locked(struct container *container, unsigned long request, void *argument)
{
	switch (request) {
	case VFIO_GET_API_VERSION:
		return VFIO_API_VERSION;
	case VFIO_CHECK_EXTENSION:
		return (uintptr_t)argument == VFIO_TYPE1_IOMMU || (uintptr_t)argument == VFIO_TYPE1v2_IOMMU;
	case VFIO_SET_IOMMU:
		return set_iommu(container, (uintptr_t)argument);
	}
	if (!container->ready)
		return -EINVAL;
	switch (request) {
	case VFIO_IOMMU_GET_INFO:
		return get_info(argument);
	case VFIO_IOMMU_MAP_DMA:
		return map_dma(container, argument);
	case VFIO_IOMMU_UNMAP_DMA:
		return unmap_dma(container, argument);
	default:
		return -ENOTTY;
	}
}

static long control(struct node *node, unsigned long request, void *argument)
{
	struct container *container = (struct container *)node;
	long result;

	pthread_mutex_lock(&container->lock);
	result = control_locked(container, request, argument);
	pthread_mutex_unlock(&container->lock);
	return result;
}

static void release(struct node *node)
{
	struct container *container = (struct container *)node;

	storage_free(&container->storage);
	close(container->file);
	pthread_mutex_destroy(&container->lock);
	free(container);
}

static const struct node_class container_class = {.control = control, .release = release};

struct container *container_new(int file)
{
	struct container *container = calloc(1, sizeof(*container));

	if (!container) {
		close(file);
		return NULL;
	}
	node_init(&container->node, &container_class);
	container->file = file;
	pthread_mutex_init(&container->lock, NULL);
	storage_init(&container->storage);
	return container;
}

struct container *container_of(int fd)
{
	struct node *node = node_of(fd);

	if (node && node->class != &container_class) {
		node_release(node);
		node = NULL;
	}
	return (struct container *)node;
}

void container_attach(struct container *container)
{
	pthread_mutex_lock(&container->lock);
	container->groups++;
	pthread_mutex_unlock(&container->lock);
}

/* The last group takes the mappings, and the choice of an IOMMU, with it. */
void container_detach(struct container *container)
{
	pthread_mutex_lock(&container->lock);
	if (!--container->groups) {
		storage_free(&container->storage);
		container->ready = false;
	}
	pthread_mutex_unlock(&container->lock);
}

bool container_ready(struct container *container)
{
	bool ready;

	pthread_mutex_lock(&container->lock);
	ready = container->ready;
	pthread_mutex_unlock(&container->lock);
	return ready;
}
