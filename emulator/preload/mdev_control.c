/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ioctls of a vfio-ccw device: Linux drivers/s390/cio/vfio_ccw_ops.c, as seen from outside. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "mdev.h"

static long get_info(void *argument)
{
	struct vfio_device_info info = {0};
	const size_t least = offsetof(struct vfio_device_info, num_irqs) + sizeof(info.num_irqs);

	memcpy(&info, argument, least);
	if (info.argsz < least)
		return -EINVAL;
	info.flags = VFIO_DEVICE_FLAGS_CCW | VFIO_DEVICE_FLAGS_RESET;
	info.num_regions = VFIO_REGIONS;
	info.num_irqs = VFIO_IRQS;
	memcpy(argument, &info, least);
	return 0;
}

/* What kind of region it is; all but the first have this behind the fixed part, where the caller has room. */
static void put_kind(struct vfio_region_info *info, void *behind, uint32_t subtype)
{
	struct vfio_region_info_cap_type kind = {
		.header = {.id = VFIO_REGION_INFO_CAP_TYPE, .version = 1},
		.type = VFIO_REGION_TYPE_CCW,
		.subtype = subtype,
	};

	info->flags |= VFIO_REGION_INFO_FLAG_CAPS;
	if (info->argsz < sizeof(*info) + sizeof(kind)) {
		info->argsz = sizeof(*info) + sizeof(kind);
		info->cap_offset = 0;
		return;
	}
	memcpy(behind, &kind, sizeof(kind));
	info->cap_offset = sizeof(*info);
}

static long get_region_info(void *argument)
{
	static const struct {
		uint32_t size, flags, subtype;
	} regions[VFIO_REGIONS] = {
		[VFIO_IO] = {VFIO_IO_SIZE, VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE, 0},
		[VFIO_ASYNC] = {VFIO_ASYNC_SIZE, VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE,
				VFIO_REGION_SUBTYPE_CCW_ASYNC_CMD},
		[VFIO_SCHIB] = {VFIO_SCHIB_SIZE, VFIO_REGION_INFO_FLAG_READ, VFIO_REGION_SUBTYPE_CCW_SCHIB},
		[VFIO_CRW] = {VFIO_CRW_SIZE, VFIO_REGION_INFO_FLAG_READ, VFIO_REGION_SUBTYPE_CCW_CRW},
	};

	struct vfio_region_info info;

	memcpy(&info, argument, sizeof(info));
	if (info.argsz < sizeof(info) || info.index >= VFIO_REGIONS)
		return -EINVAL;
	info.offset = (uint64_t)info.index << VFIO_REGION_SHIFT;
	info.size = regions[info.index].size;
	info.flags = regions[info.index].flags;
	info.cap_offset = 0;
	if (regions[info.index].subtype)
		put_kind(&info, (uint8_t *)argument + sizeof(info), regions[info.index].subtype);
	memcpy(argument, &info, sizeof(info));
	return 0;
}

static long get_irq_info(void *argument)
{
	struct vfio_irq_info info;

	memcpy(&info, argument, sizeof(info));
	if (info.argsz < sizeof(info) || info.index >= VFIO_IRQS)
		return -EINVAL;
	info.flags = VFIO_IRQ_INFO_EVENTFD;
	info.count = 1;
	memcpy(argument, &info, sizeof(info));
	return 0;
}

/* The program's eventfd is kept under a descriptor of our own: it may close its. */
static long set_eventfd(struct mdev *mdev, uint32_t index, int fd)
{
	int own = -1;

	if (fd < -1)
		return -EINVAL;
	if (fd >= 0) {
		own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (own < 0)
			return -errno;
	}
	mdev_enter(mdev);
	if (mdev->irqs[index] >= 0)
		close(mdev->irqs[index]);
	mdev->irqs[index] = own;
	mdev_leave(mdev);
	return 0;
}

static void trigger(struct mdev *mdev, uint32_t index)
{
	mdev_enter(mdev);
	mdev_signal(mdev, (enum vfio_irq)index);
	mdev_leave(mdev);
}

static long set_irqs(struct mdev *mdev, const void *argument)
{
	const uint8_t *data = (const uint8_t *)argument + sizeof(struct vfio_irq_set);
	struct vfio_irq_set set;
	size_t room;
	int fd;

	memcpy(&set, argument, sizeof(set));
	room = set.argsz < sizeof(set) ? 0 : set.argsz - sizeof(set);
	if (set.argsz < sizeof(set) || set.index >= VFIO_IRQS || set.start || set.count > 1)
		return -EINVAL;
	if ((set.flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) != VFIO_IRQ_SET_ACTION_TRIGGER)
		return -EINVAL;
	switch (set.flags & VFIO_IRQ_SET_DATA_TYPE_MASK) {
	case VFIO_IRQ_SET_DATA_NONE:
		trigger(mdev, set.index);
		return 0;
	case VFIO_IRQ_SET_DATA_BOOL:
		if (!set.count || !room)
			return -EINVAL;
		if (*data)
			trigger(mdev, set.index);
		return 0;
	case VFIO_IRQ_SET_DATA_EVENTFD:
		if (!set.count || room < sizeof(fd))
			return -EINVAL;
		memcpy(&fd, data, sizeof(fd));
		return set_eventfd(mdev, set.index, fd);
	default:
		return -EINVAL;
	}
}

static long reset(struct mdev *mdev)
{
	int error;

	atomic_store(&mdev->sch.stop, true);
	mdev_enter(mdev);
	atomic_store(&mdev->sch.stop, false);
	error = vfio_ccw_reset(&mdev->vfio);
	mdev_leave(mdev);
	return -error;
}

long mdev_control(struct node *node, unsigned long request, void *argument)
{
	struct mdev *mdev = (struct mdev *)node;

	switch (request) {
	case VFIO_DEVICE_GET_INFO:
		return get_info(argument);
	case VFIO_DEVICE_GET_REGION_INFO:
		return get_region_info(argument);
	case VFIO_DEVICE_GET_IRQ_INFO:
		return get_irq_info(argument);
	case VFIO_DEVICE_SET_IRQS:
		return set_irqs(mdev, argument);
	case VFIO_DEVICE_RESET:
		return reset(mdev);
	default:
		return -ENOTTY;
	}
}
