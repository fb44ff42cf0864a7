/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Linux drivers/vfio/vfio_main.c (groups), as seen from outside. */
#define _GNU_SOURCE
#include "group.h"

#include <errno.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mdev.h"
#include "paths.h"

static long get_status(const struct group *group, void *argument)
{
	struct vfio_group_status status;

	memcpy(&status, argument, sizeof(status));
	if (status.argsz < sizeof(status))
		return -EINVAL;
	status.flags = VFIO_GROUP_FLAGS_VIABLE | (group->container ? VFIO_GROUP_FLAGS_CONTAINER_SET : 0u);
	memcpy(argument, &status, sizeof(status));
	return 0;
}

static long set_container(struct group *group, const void *argument)
{
	int fd;

	if (group->container)
		return -EINVAL;
	memcpy(&fd, argument, sizeof(fd));
	group->container = container_of(fd);
	if (!group->container)
		return -EINVAL;
	container_attach(group->container);
	return 0;
}

static void leave_container(struct group *group)
{
	if (!group->container)
		return;
	container_detach(group->container);
	node_release(&group->container->node);
	group->container = NULL;
}

static long unset_container(struct group *group)
{
	if (!group->container)
		return -EINVAL;
	if (group->devices)
		return -EBUSY;
	leave_container(group);
	return 0;
}

/* A name that is in the group, and only such, may become part of a question to the host. */
static int check_member(const struct group *group, const char *name)
{
	char path[PATH_MAX];
	size_t size = strlen(name);
	int error;

	if (size != 36 || strspn(name, "0123456789abcdef-") != size)
		return -ENODEV;
	error = host_path(path, "/sys/kernel/iommu_groups/%u/devices/%s", group->number, name);
	return error ? error : access(path, F_OK) ? -ENODEV : 0;
}

static long get_device(struct group *group, const char *name)
{
	int result;

	if (!group->container || !container_ready(group->container))
		return -EINVAL;
	result = check_member(group, name);
	if (!result)
		result = mdev_open(group, name);
	if (result >= 0)
		group->devices++;
	return result;
}

static long control_locked(struct group *group, unsigned long request, void *argument)
{
	switch (request) {
	case VFIO_GROUP_GET_STATUS:
		return get_status(group, argument);
	case VFIO_GROUP_SET_CONTAINER:
		return set_container(group, argument);
	case VFIO_GROUP_UNSET_CONTAINER:
		return unset_container(group);
	case VFIO_GROUP_GET_DEVICE_FD:
		return get_device(group, argument);
	default:
		return -ENOTTY;
	}
}

static long control(struct node *node, unsigned long request, void *argument)
{
	struct group *group = (struct group *)node;
	long result;

	pthread_mutex_lock(&group->lock);
	result = control_locked(group, request, argument);
	pthread_mutex_unlock(&group->lock);
	return result;
}

static void release(struct node *node)
{
	struct group *group = (struct group *)node;

	leave_container(group);
	close(group->file);
	pthread_mutex_destroy(&group->lock);
	free(group);
}

static const struct node_class group_class = {.control = control, .release = release};

struct group *group_new(unsigned number, int file)
{
	struct group *group = calloc(1, sizeof(*group));

	if (!group) {
		close(file);
		return NULL;
	}
	node_init(&group->node, &group_class);
	pthread_mutex_init(&group->lock, NULL);
	group->number = number;
	group->file = file;
	return group;
}

void group_device_closed(struct group *group)
{
	pthread_mutex_lock(&group->lock);
	group->devices--;
	pthread_mutex_unlock(&group->lock);
}
