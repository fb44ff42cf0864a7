/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The behaviour of Linux drivers/s390/cio/vfio_ccw_{ops,fsm,async,chp}.c, as seen from outside. */
#include "vfio_ccw.h"

#include <errno.h>
#include <string.h>

#include "bytes.h"

enum { IO_ORB = 0, IO_SCSW = 12, IO_IRB = 24, IO_RETURN = 120, ASYNC_RETURN = 4 };
enum event { EVENT_NOT_OPER, EVENT_IO, EVENT_ASYNC, EVENT_INTERRUPT, EVENT_OPEN, EVENT_CLOSE, EVENTS };

static void fire(struct vfio_ccw *vfio, enum event event);

static void signal_irq(struct vfio_ccw *vfio, enum vfio_irq irq)
{
	if (vfio->signal)
		vfio->signal(vfio->context, irq);
}

/* ---- actions of the state machine ---- */

static void nothing(struct vfio_ccw *vfio)
{
	(void)vfio;
}

static void set_return(uint8_t *region, int error)
{
	put_be32(region, (uint32_t)-error);
}

static void io_error(struct vfio_ccw *vfio)
{
	set_return(vfio->io + IO_RETURN, EIO);
}

static void io_retry(struct vfio_ccw *vfio)
{
	set_return(vfio->io + IO_RETURN, EAGAIN);
}

static void io_busy(struct vfio_ccw *vfio)
{
	set_return(vfio->io + IO_RETURN, EBUSY);
}

static void async_error(struct vfio_ccw *vfio)
{
	set_return(vfio->async + ASYNC_RETURN, EIO);
}

static void async_retry(struct vfio_ccw *vfio)
{
	set_return(vfio->async + ASYNC_RETURN, EAGAIN);
}

static bool set_enabled(struct vfio_ccw *vfio, bool enabled)
{
	uint8_t schib[CSS_SCHIB_SIZE];
	uint16_t flags;

	subchannel_store(vfio->sch, schib);
	flags = get_be16(schib + PMCW_FLAGS);
	if (!(flags & PMCW_VALID))
		return false;
	put_be16(schib + PMCW_FLAGS, enabled ? flags | PMCW_ENABLED : flags & ~PMCW_ENABLED);
	return !subchannel_modify(vfio->sch, schib);
}

/* Nothing is in progress and no status is pending any more. */
static void quiesce(struct vfio_ccw *vfio)
{
	uint8_t irb[CSS_IRB_SIZE];

	subchannel_clear(vfio->sch);
	subchannel_test(vfio->sch, irb);
}

static void not_operational(struct vfio_ccw *vfio)
{
	vfio->state = VFIO_NOT_OPER;
	vfio->program.count = 0;
}

static void open_device(struct vfio_ccw *vfio)
{
	quiesce(vfio); /* what a driver before this one may have left */
	if (set_enabled(vfio, true))
		vfio->state = VFIO_IDLE;
	else
		fire(vfio, EVENT_NOT_OPER);
}

static void close_device(struct vfio_ccw *vfio)
{
	quiesce(vfio);
	set_enabled(vfio, false);
	vfio->state = VFIO_STANDBY;
	vfio->program.count = 0;
}

/* An interrupt: the IRB goes into the I/O region, and a program that is over is forgotten. */
static void interrupt(struct vfio_ccw *vfio)
{
	bool over;

	if (subchannel_test(vfio->sch, vfio->io + IO_IRB))
		return;
	over = !(get_be32(vfio->io + IO_IRB) & (SCSW_AC_SUBCHANNEL | SCSW_AC_DEVICE));
	if (vfio->state == VFIO_CP_PENDING && over) {
		vfio->program.count = 0;
		vfio->state = VFIO_IDLE;
	}
	signal_irq(vfio, VFIO_IRQ_IO);
}

static void take_pending_status(struct vfio_ccw *vfio)
{
	if (subchannel_pending(vfio->sch))
		fire(vfio, EVENT_INTERRUPT);
}

/* Condition code 3 takes the paths away that the program named. Are there others? */
static int not_operational_error(const struct vfio_ccw *vfio, uint8_t lpm)
{
	if (!vfio->sch->device)
		return ENODEV;
	return lpm && (vfio->sch->schib[PMCW_LPM] & ~lpm) ? EACCES : ENODEV;
}

static int start_program(struct vfio_ccw *vfio)
{
	struct channel_orb orb;
	uint8_t lpm;
	int error;

	subchannel_parse_orb(&orb, vfio->io + IO_ORB);
	if (orb.flags & ORB_TRANSPORT)
		return EOPNOTSUPP;
	if (!channel_valid_orb(&orb)) /* the host's START SUBCHANNEL ends with an exception */
		return EIO;
	error = vfio_program_copy(&vfio->program, &orb, vfio->storage, &vfio->kernel);
	if (error)
		return error;
	lpm = (uint8_t)(orb.flags >> ORB_LPM_SHIFT);
	if (!lpm)
		orb.flags |= (uint32_t)vfio->sch->schib[PMCW_LPM] << ORB_LPM_SHIFT;
	orb.flags |= ORB_FORMAT1;                      /* the copy is */
	orb.flags &= ~(0xfu << ORB_KEY_SHIFT);         /* the host's own key is used */
	switch (subchannel_start(vfio->sch, &orb, vfio->storage, vfio_program_ccw, &vfio->program)) {
	case 0:
		return 0;
	case 3:
		return not_operational_error(vfio, lpm);
	default:
		return EBUSY;
	}
}

static void io_request(struct vfio_ccw *vfio)
{
	uint32_t function = get_be32(vfio->io + IO_SCSW) & SCSW_FC;
	int error = 0;

	vfio->state = VFIO_CP_PROCESSING;
	if (function & SCSW_FC_START)
		error = start_program(vfio);
	else if (function)
		error = EOPNOTSUPP;
	set_return(vfio->io + IO_RETURN, error);
	if (error || !(function & SCSW_FC_START)) {
		vfio->program.count = 0;
		vfio->state = VFIO_IDLE;
		return;
	}
	vfio->state = VFIO_CP_PENDING;
	take_pending_status(vfio);
}

static int halt_error(unsigned cc)
{
	return cc == 0 ? 0 : cc == 3 ? ENODEV : EBUSY;
}

static void async_request(struct vfio_ccw *vfio)
{
	int error;

	switch (get_be32(vfio->async)) {
	case VFIO_HALT:
		error = halt_error(subchannel_halt(vfio->sch));
		break;
	case VFIO_CLEAR:
		error = halt_error(subchannel_clear(vfio->sch));
		break;
	default:
		error = EINVAL;
	}
	set_return(vfio->async + ASYNC_RETURN, error);
	take_pending_status(vfio);
}

typedef void (*action)(struct vfio_ccw *vfio);

/*                         NOT_OPER         IO          ASYNC          INTERRUPT  OPEN             CLOSE */
static const action table[VFIO_STATES][EVENTS] = {
	[VFIO_NOT_OPER] =      {nothing,         io_error,   async_error,   nothing,   nothing,         nothing},
	[VFIO_STANDBY] =       {not_operational, io_error,   async_error,   nothing,   open_device,     not_operational},
	[VFIO_IDLE] =          {not_operational, io_request, async_request, interrupt, not_operational, close_device},
	[VFIO_CP_PROCESSING] = {not_operational, io_retry,   async_retry,   interrupt, not_operational, close_device},
	[VFIO_CP_PENDING] =    {not_operational, io_busy,    async_request, interrupt, not_operational, close_device},
};

static void fire(struct vfio_ccw *vfio, enum event event)
{
	table[vfio->state][event](vfio);
}

/* ---- the interface ---- */

void vfio_ccw_init(struct vfio_ccw *vfio, struct subchannel *sch, const struct storage *storage,
		   const struct vfio_kernel *kernel)
{
	memset(vfio, 0, sizeof(*vfio));
	vfio->sch = sch;
	vfio->storage = storage;
	vfio->kernel = *kernel;
	vfio->state = VFIO_STANDBY;
}

int vfio_ccw_open(struct vfio_ccw *vfio)
{
	memset(vfio->io, 0, sizeof(vfio->io));
	memset(vfio->async, 0, sizeof(vfio->async));
	vfio->crws.count = 0;
	fire(vfio, EVENT_OPEN);
	return vfio->state == VFIO_NOT_OPER ? EINVAL : 0;
}

void vfio_ccw_close(struct vfio_ccw *vfio)
{
	fire(vfio, EVENT_CLOSE);
}

int vfio_ccw_reset(struct vfio_ccw *vfio)
{
	fire(vfio, EVENT_CLOSE);
	fire(vfio, EVENT_OPEN);
	return vfio->state == VFIO_NOT_OPER ? EINVAL : 0;
}

void vfio_ccw_not_operational(struct vfio_ccw *vfio)
{
	fire(vfio, EVENT_NOT_OPER);
}

bool vfio_ccw_report(struct vfio_ccw *vfio, const uint32_t *words, unsigned count)
{
	bool queued = crw_report(&vfio->crws, words, count);

	signal_irq(vfio, VFIO_IRQ_CRW);
	return queued;
}

void vfio_ccw_path_event(struct vfio_ccw *vfio, uint8_t chpid, bool online)
{
	uint32_t word = CRW_PATH | (online ? CRW_INITIALIZED : CRW_PERMANENT_ERROR) | chpid;

	vfio_ccw_report(vfio, &word, 1);
}

static int read_schib(struct vfio_ccw *vfio, uint64_t at, uint8_t *data, size_t size)
{
	uint8_t schib[CSS_SCHIB_SIZE];

	subchannel_store(vfio->sch, schib);
	if (!(get_be16(schib + PMCW_FLAGS) & PMCW_VALID))
		return ENODEV;
	memcpy(data, schib + at, size);
	return 0;
}

/* Takes the oldest report; zeros without one. */
static int read_crw(struct vfio_ccw *vfio, uint64_t at, uint8_t *data, size_t size)
{
	uint8_t region[VFIO_CRW_SIZE] = {0};

	put_be32(region, crw_take(&vfio->crws));
	memcpy(data, region + at, size);
	if (vfio->crws.count)
		signal_irq(vfio, VFIO_IRQ_CRW);
	return 0;
}

/* The region that an access lies in wholly; VFIO_REGIONS: there is none. */
static enum vfio_region region_of(uint64_t offset, size_t size, uint64_t *at)
{
	static const uint32_t sizes[VFIO_REGIONS] = {VFIO_IO_SIZE, VFIO_ASYNC_SIZE, VFIO_SCHIB_SIZE, VFIO_CRW_SIZE};
	uint64_t index = offset >> VFIO_REGION_SHIFT;

	*at = offset & ((1u << VFIO_REGION_SHIFT) - 1);
	if (index >= VFIO_REGIONS || *at > sizes[index] || size > sizes[index] - *at)
		return VFIO_REGIONS;
	return (enum vfio_region)index;
}

int vfio_ccw_read(struct vfio_ccw *vfio, uint64_t offset, uint8_t *data, size_t size)
{
	uint64_t at;

	switch (region_of(offset, size, &at)) {
	case VFIO_IO:
		memcpy(data, vfio->io + at, size);
		if (at <= IO_IRB && at + size >= IO_IRB + CSS_IRB_SIZE) /* taken: there is room for a device end */
			take_pending_status(vfio);
		return 0;
	case VFIO_ASYNC:
		memcpy(data, vfio->async + at, size);
		return 0;
	case VFIO_SCHIB:
		return read_schib(vfio, at, data, size);
	case VFIO_CRW:
		return read_crw(vfio, at, data, size);
	default:
		return EINVAL;
	}
}

static int return_code(const uint8_t *region)
{
	return -(int)get_be32(region);
}

int vfio_ccw_write(struct vfio_ccw *vfio, uint64_t offset, const uint8_t *data, size_t size)
{
	uint64_t at;

	switch (region_of(offset, size, &at)) {
	case VFIO_IO:
		memcpy(vfio->io + at, data, size);
		fire(vfio, EVENT_IO);
		return return_code(vfio->io + IO_RETURN);
	case VFIO_ASYNC:
		memcpy(vfio->async + at, data, size);
		fire(vfio, EVENT_ASYNC);
		return return_code(vfio->async + ASYNC_RETURN);
	default:
		return EINVAL;
	}
}
