/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vfio-ccw device interface over a subchannel: what a program that has opened the mediated device reads and
 * writes. Regions are in the order of an s390x host, big-endian throughout.
 */
#ifndef CCWEMU_VFIO_CCW_H
#define CCWEMU_VFIO_CCW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crw.h"
#include "css.h"
#include "storage.h"
#include "subchannel.h"
#include "vfio_program.h"

#define VFIO_REGION_SHIFT 10
#define VFIO_IO_SIZE 124u       /* ORB 12, SCSW 12, IRB 96, return code 4 */
#define VFIO_ASYNC_SIZE 8u      /* command 4, return code 4 */
#define VFIO_SCHIB_SIZE CSS_SCHIB_SIZE
#define VFIO_CRW_SIZE 8u        /* CRW 4, padding 4 */

enum vfio_region { VFIO_IO, VFIO_ASYNC, VFIO_SCHIB, VFIO_CRW, VFIO_REGIONS };
enum vfio_irq { VFIO_IRQ_IO, VFIO_IRQ_CRW, VFIO_IRQ_REQUEST, VFIO_IRQS };
enum vfio_command { VFIO_HALT = 1, VFIO_CLEAR = 2 };
enum vfio_state { VFIO_NOT_OPER, VFIO_STANDBY, VFIO_IDLE, VFIO_CP_PROCESSING, VFIO_CP_PENDING, VFIO_STATES };

struct vfio_ccw {
	struct subchannel *sch;
	const struct storage *storage;
	struct vfio_kernel kernel;
	enum vfio_state state;
	uint8_t io[VFIO_IO_SIZE];
	uint8_t async[VFIO_ASYNC_SIZE];
	struct crw_queue crws;
	struct vfio_program program;
	/* Called for an interrupt; what it does must not come back into this device. */
	void (*signal)(void *context, enum vfio_irq irq);
	void *context;
};

void vfio_ccw_init(struct vfio_ccw *vfio, struct subchannel *sch, const struct storage *storage,
		   const struct vfio_kernel *kernel);

/* Open and close of the device. 0, EINVAL (not operational). */
int vfio_ccw_open(struct vfio_ccw *vfio);
void vfio_ccw_close(struct vfio_ccw *vfio);

/* VFIO_DEVICE_RESET. 0 or EINVAL. */
int vfio_ccw_reset(struct vfio_ccw *vfio);

/* The subchannel or its device went away. */
void vfio_ccw_not_operational(struct vfio_ccw *vfio);

/* Queue a channel report (see crw_report) and tell of it. False: it is lost. */
bool vfio_ccw_report(struct vfio_ccw *vfio, const uint32_t *words, unsigned count);

/* A channel path was configured off or on: queued as a channel-report word. */
void vfio_ccw_path_event(struct vfio_ccw *vfio, uint8_t chpid, bool online);

/* pread and pwrite on the device. 0 (all of it was done) or an errno. */
int vfio_ccw_read(struct vfio_ccw *vfio, uint64_t offset, uint8_t *data, size_t size);
int vfio_ccw_write(struct vfio_ccw *vfio, uint64_t offset, const uint8_t *data, size_t size);

#endif
