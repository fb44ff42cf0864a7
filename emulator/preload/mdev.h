/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A mediated device of vfio-ccw: a subchannel of the core with its disk, in this process as long as it is open. */
#ifndef CCWEMU_PRELOAD_MDEV_H
#define CCWEMU_PRELOAD_MDEV_H

#include <pthread.h>
#include <stdbool.h>

#include "ckd_image.h"
#include "eckd.h"
#include "group.h"
#include "host.h"
#include "node.h"
#include "subchannel.h"
#include "vfio_ccw.h"

struct mdev {
	struct node node;               /* first, as in struct container */
	struct group *group;
	pthread_mutex_t lock;           /* of all that follows; the container's comes after it */
	struct ckd_image image;
	struct eckd eckd;
	struct subchannel sch;
	struct vfio_ccw vfio;
	int irqs[VFIO_IRQS];            /* eventfds, -1: none */
	struct host_connection host;
	uint8_t chpids[CSS_PATHS];
	uint8_t pam;
	int stop;                       /* an eventfd: the listener is to end */
	pthread_t listener;
};

/* Open a device of the group. A descriptor or a negative errno. */
int mdev_open(struct group *group, const char *uuid);

/* ---- between the parts of the device ---- */

/* Have the device, and the storage that its programs use, for oneself. */
void mdev_enter(struct mdev *mdev);
void mdev_leave(struct mdev *mdev);

/* An interrupt for the program that has the device open. */
void mdev_signal(struct mdev *mdev, enum vfio_irq irq);

/* mdev_control.c */
long mdev_control(struct node *node, unsigned long request, void *argument);

/* mdev_listen.c: a thread that turns what the host tells into interrupts. 0 or an errno. */
int mdev_listen(struct mdev *mdev);
void mdev_stop_listening(struct mdev *mdev);

#endif
