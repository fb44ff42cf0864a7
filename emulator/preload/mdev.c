/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include "mdev.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "byteorder.h"

void mdev_enter(struct mdev *mdev)
{
	pthread_mutex_lock(&mdev->lock);
	pthread_mutex_lock(&mdev->group->container->lock);
}

void mdev_leave(struct mdev *mdev)
{
	pthread_mutex_unlock(&mdev->group->container->lock);
	pthread_mutex_unlock(&mdev->lock);
}

void mdev_signal(struct mdev *mdev, enum vfio_irq irq)
{
	const uint64_t one = 1;

	/* Nobody is told of a full counter: 2^64 - 2 interrupts that nobody took. */
	if (mdev->irqs[irq] >= 0 && write(mdev->irqs[irq], &one, sizeof(one)) < 0 && errno != EAGAIN)
		fprintf(stderr, "ccwemu-vfio: interrupt %d cannot be signalled: %s\n", irq, strerror(errno));
}

static void signal_program(void *context, enum vfio_irq irq)
{
	mdev_signal(context, irq);
}

/* ---- regions ---- */

static const uint32_t region_sizes[VFIO_REGIONS] = {VFIO_IO_SIZE, VFIO_ASYNC_SIZE, VFIO_SCHIB_SIZE, VFIO_CRW_SIZE};

/* The region that an access lies in wholly, and where in it. False: there is none. */
static bool find_region(uint64_t offset, size_t size, enum vfio_region *region, size_t *at)
{
	uint64_t index = offset >> VFIO_REGION_SHIFT;

	*at = (size_t)(offset & ((1u << VFIO_REGION_SHIFT) - 1));
	if (index >= VFIO_REGIONS || *at > region_sizes[index] || size > region_sizes[index] - *at)
		return false;
	*region = (enum vfio_region)index;
	return true;
}

/* A whole region in this machine's order. 0 or an errno. */
static int read_region(struct mdev *mdev, enum vfio_region region, uint8_t *bytes)
{
	int error = vfio_ccw_read(&mdev->vfio, (uint64_t)region << VFIO_REGION_SHIFT, bytes, region_sizes[region]);

	if (!error)
		region_convert(region, bytes);
	return error;
}

static ssize_t mdev_read(struct node *node, void *data, size_t size, uint64_t offset)
{
	struct mdev *mdev = (struct mdev *)node;
	uint8_t bytes[1u << VFIO_REGION_SHIFT];
	enum vfio_region region;
	size_t at;
	int error;

	if (!find_region(offset, size, &region, &at))
		return -EINVAL;
	if (!size)
		return 0;
	mdev_enter(mdev);
	error = read_region(mdev, region, bytes);
	mdev_leave(mdev);
	if (error)
		return -error;
	memcpy(data, bytes + at, size);
	return (ssize_t)size;
}

static int write_region(struct mdev *mdev, enum vfio_region region, size_t at, const void *data, size_t size)
{
	uint8_t bytes[1u << VFIO_REGION_SHIFT];
	int error = read_region(mdev, region, bytes);

	if (error)
		return error;
	memcpy(bytes + at, data, size);
	region_convert(region, bytes);
	return vfio_ccw_write(&mdev->vfio, (uint64_t)region << VFIO_REGION_SHIFT, bytes, region_sizes[region]);
}

/* The host keeps account of the faults that it has armed. */
static void tell_counts(struct mdev *mdev)
{
	struct fault fault;

	while (fault_take_change(&mdev->eckd.device.faults, &fault))
		host_tell_count(&mdev->host, &fault);
}

static ssize_t mdev_write(struct node *node, const void *data, size_t size, uint64_t offset)
{
	struct mdev *mdev = (struct mdev *)node;
	enum vfio_region region;
	size_t at;
	int error;

	if (!find_region(offset, size, &region, &at) || (region != VFIO_IO && region != VFIO_ASYNC))
		return -EINVAL;
	if (region == VFIO_ASYNC)
		atomic_store(&mdev->sch.stop, true); /* a program in progress in another thread ends first */
	mdev_enter(mdev);
	atomic_store(&mdev->sch.stop, false);
	error = write_region(mdev, region, at, data, size);
	if (mdev->eckd.device.faults.changed)
		tell_counts(mdev);
	mdev_leave(mdev);
	return error ? -error : (ssize_t)size;
}

/* ---- open and close ---- */

static void free_device(struct mdev *mdev)
{
	pthread_mutex_destroy(&mdev->lock);
	free(mdev);
}

static void release(struct node *node)
{
	struct mdev *mdev = (struct mdev *)node;
	struct group *group = mdev->group;

	mdev_stop_listening(mdev);
	mdev_enter(mdev);
	if (mdev->vfio.state != VFIO_STANDBY && mdev->vfio.state != VFIO_NOT_OPER)
		vfio_ccw_close(&mdev->vfio);
	subchannel_detach(&mdev->sch);
	mdev_leave(mdev);
	ckd_image_close(&mdev->image);
	host_close(&mdev->host);
	for (int irq = 0; irq < VFIO_IRQS; irq++)
		if (mdev->irqs[irq] >= 0)
			close(mdev->irqs[irq]);
	free_device(mdev);
	group_device_closed(group);
	node_release(&group->node);
}

static const struct node_class mdev_class = {
	.control = mdev_control, .read = mdev_read, .write = mdev_write, .release = release};

static int open_image(struct mdev *mdev, const char *uuid, const struct host_device *description)
{
	struct ckd_problem problem = {0};

	if (ckd_image_open(&mdev->image, description->image, !description->read_only, &problem))
		return 0;
	fprintf(stderr, "ccwemu-vfio: mediated device %s: its disk image: %s (at byte %llu); see ccwemu disk info\n", uuid,
		problem.text, (unsigned long long)problem.offset);
	return ENODEV;
}

static int start_core(struct mdev *mdev, struct host_device *description)
{
	const struct vfio_kernel kernel = host_kernel();
	struct subchannel_config config = description->paths;
	int error;

	eckd_init(&mdev->eckd, &mdev->image, &description->identity, description->read_only);
	for (size_t i = 0; i < description->refused_count; i++)
		device_refuse(&mdev->eckd.device, description->refused[i]);
	for (size_t i = 0; i < description->refused_page_count; i++)
		eckd_refuse_page(&mdev->eckd, description->refused_pages[i]);
	mdev->eckd.other_systems = description->other_systems;
	if (description->reserved)
		mdev->eckd.reserved_by = ECKD_ANOTHER_SYSTEM;
	for (size_t i = 0; i < description->fault_count; i++)
		fault_arm(&mdev->eckd.device.faults, &description->faults[i]); /* as many as there are slots */
	config.device = &mdev->eckd.device;
	error = subchannel_init(&mdev->sch, &config);
	if (error)
		return error;
	memcpy(mdev->chpids, config.chpids, sizeof(mdev->chpids));
	mdev->pam = config.pam;
	vfio_ccw_init(&mdev->vfio, &mdev->sch, &mdev->group->container->storage, &kernel);
	mdev->vfio.signal = signal_program;
	mdev->vfio.context = mdev;
	return vfio_ccw_open(&mdev->vfio);
}

/* 0 or an errno; then nothing is left open. */
static int open_device(struct mdev *mdev, const char *uuid)
{
	struct host_device description;
	int error = host_open(&mdev->host, uuid, &description);

	if (error)
		return error;
	error = open_image(mdev, uuid, &description);
	if (!error) {
		error = start_core(mdev, &description);
		if (!error)
			error = mdev_listen(mdev);
		if (error)
			ckd_image_close(&mdev->image);
	}
	if (error)
		host_close(&mdev->host);
	return error;
}

int mdev_open(struct group *group, const char *uuid)
{
	struct mdev *mdev = calloc(1, sizeof(*mdev));
	int error, fd;

	if (!mdev)
		return -ENOMEM;
	node_init(&mdev->node, &mdev_class);
	pthread_mutex_init(&mdev->lock, NULL);
	mdev->group = group;
	for (int irq = 0; irq < VFIO_IRQS; irq++)
		mdev->irqs[irq] = -1;
	error = open_device(mdev, uuid);
	if (error) {
		free_device(mdev);
		return -error;
	}
	node_hold(&group->node);
	fd = node_install(&mdev->node);
	if (fd < 0) {
		group->devices++; /* closing takes it off again */
		pthread_mutex_unlock(&group->lock);
		node_release(&mdev->node);
		pthread_mutex_lock(&group->lock);
	}
	return fd;
}
