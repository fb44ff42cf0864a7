/* SPDX-License-Identifier: GPL-2.0-or-later */
/* /dev/vfio/vfio: the guest's main storage, as it is mapped for the devices of the groups in it. */
#ifndef CCWEMU_PRELOAD_CONTAINER_H
#define CCWEMU_PRELOAD_CONTAINER_H

#include <pthread.h>
#include <stdbool.h>

#include "node.h"
#include "storage.h"

struct container {
	struct node node;           /* first: a struct node * of this class is a struct container * */
	pthread_mutex_t lock;       /* taken after a device's */
	int file;                   /* the emulated host's node, open as long as this is */
	struct storage storage;
	unsigned groups;            /* attached */
	bool ready;                 /* VFIO_SET_IOMMU was done */
};

/* Takes the file over. NULL: no memory; the file is closed. */
struct container *container_new(int file);

/* The container behind a descriptor, with a reference; NULL: it is something else. */
struct container *container_of(int fd);

void container_attach(struct container *container);
void container_detach(struct container *container);
bool container_ready(struct container *container);

#endif
