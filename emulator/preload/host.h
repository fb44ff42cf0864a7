/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The emulated host, as a program on it reaches it: /run/ccwemu/host.sock, JSON lines, descriptors beside them. */
#ifndef CCWEMU_PRELOAD_HOST_H
#define CCWEMU_PRELOAD_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "eckd.h"
#include "subchannel.h"
#include "vfio_program.h"

/* An open mediated device is a connection; its end gives the device back. */
struct host_connection {
	int socket;
	size_t size;                    /* bytes in text */
	char text[8192];
};

/* What the host tells of the device behind a subchannel. */
struct host_device {
	int image;                      /* descriptor of the disk image */
	bool read_only;
	struct eckd_identity identity;
	struct subchannel_config paths; /* all but the device */
	uint8_t refused[256];           /* command codes that this unit does not know */
	size_t refused_count;
	uint8_t refused_pages[256];     /* subsystem data that it does not have */
	size_t refused_page_count;
	uint8_t other_systems;          /* that have a path group to it */
	bool reserved;                  /* by one of them */
	struct fault faults[FAULT_SLOTS]; /* that are armed on it */
	size_t fault_count;
};

/* Open a mediated device. 0 or an errno; what the host said of it is printed. */
int host_open(struct host_connection *connection, const char *uuid, struct host_device *device);
void host_close(struct host_connection *connection);

enum host_event {
	HOST_PATHS,                     /* pam is the new path-available mask */
	HOST_REQUEST,                   /* it wants the device back */
	HOST_FAULT,                     /* fault is to be armed */
	HOST_FAULTS_CLEARED,
	HOST_DEVICE_GONE,               /* no device is behind the subchannel any more */
	HOST_OTHER,
	HOST_ENDED,
};

struct host_news {
	enum host_event event;
	uint8_t pam;
	struct fault fault;
};

/* Wait for what the host tells unasked. */
void host_listen(struct host_connection *connection, struct host_news *news);

/* Tell the host what has come of a fault. It does not wait: the host that takes nothing learns nothing. */
void host_tell_count(const struct host_connection *connection, const struct fault *fault);

/* What differs between kernels, by the release that the host has. */
struct vfio_kernel host_kernel(void);

#endif
