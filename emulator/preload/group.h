/* SPDX-License-Identifier: GPL-2.0-or-later */
/* /dev/vfio/N */
#ifndef CCWEMU_PRELOAD_GROUP_H
#define CCWEMU_PRELOAD_GROUP_H

#include <pthread.h>

#include "container.h"
#include "node.h"

struct group {
	struct node node;            /* first, as in struct container */
	pthread_mutex_t lock;
	int file;                    /* the emulated host's node: nobody else can open it meanwhile */
	unsigned number;
	unsigned devices;            /* open */
	struct container *container; /* attached to */
};

/* Takes the file over. NULL: no memory; the file is closed. */
struct group *group_new(unsigned number, int file);

/* A device of the group was closed. */
void group_device_closed(struct group *group);

#endif
