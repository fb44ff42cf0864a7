/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The subchannel: what the I/O instructions do to it. All results are condition codes 0..3. */
#ifndef CCWEMU_SUBCHANNEL_H
#define CCWEMU_SUBCHANNEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "channel.h"
#include "css.h"
#include "device.h"

struct subchannel {
	uint8_t schib[CSS_SCHIB_SIZE];  /* PMCW; the SCSW is in scsw */
	uint8_t esw[CSS_ESW_SIZE];
	uint8_t ecw[CSS_ECW_SIZE];
	uint32_t scsw_flags;            /* SCSW word 0 */
	struct device *device;          /* NULL: no device number is valid here */
	unsigned initiator;             /* this subchannel's slot at the device */
	struct channel channel;         /* the program in progress, or the last one */
	atomic_bool stop;               /* a halt or clear waits for the running program to notice */
	atomic_uint available;          /* PAM, as a running program looks at it */
};

struct subchannel_config {
	struct device *device;
	uint16_t devno;
	uint8_t chpids[CSS_PATHS];
	uint8_t pim, pam, pom;
	bool enabled;                   /* as the operating system's MODIFY SUBCHANNEL leaves it */
	bool concurrent_sense;
};

/* 0, or ENOSPC: DEVICE_INITIATORS subchannels share the device already. */
int subchannel_init(struct subchannel *sch, const struct subchannel_config *config);
void subchannel_detach(struct subchannel *sch);

/*
 * The device has gone from under the subchannel (the device number is not valid any more: condition code 3), or come
 * back: it has been reset then, and the subchannel is disabled. A program that has not ended is forgotten.
 */
void subchannel_set_device_valid(struct subchannel *sch, bool valid);

/* Words 0..2 of the ORB. */
void subchannel_parse_orb(struct channel_orb *orb, const uint8_t bytes[CSS_ORB_SIZE]);

/*
 * START SUBCHANNEL, done when it returns. CCWs come from source (see channel_fetch_ccw).
 * cc 0 status will be (is) pending, 1 status was pending, 2 busy, 3 not operational.
 */
unsigned subchannel_start(struct subchannel *sch, const struct channel_orb *orb, const struct storage *storage,
			  channel_fetch_ccw fetch, const void *source);

/* RESUME SUBCHANNEL: 1 status pending, 2 nothing that could be resumed, 3 not operational */
unsigned subchannel_resume(struct subchannel *sch);

/* HALT SUBCHANNEL: 1 status pending, 2 a halt or clear is under way, 3 */
unsigned subchannel_halt(struct subchannel *sch);

/* CLEAR SUBCHANNEL: 0 or 3 */
unsigned subchannel_clear(struct subchannel *sch);

/* CANCEL SUBCHANNEL: 1 status pending, 2 nothing that could be cancelled, 3 */
unsigned subchannel_cancel(struct subchannel *sch);

/* TEST SUBCHANNEL: 0 the status that was pending is in irb and cleared, 1 none was pending, 3 */
unsigned subchannel_test(struct subchannel *sch, uint8_t irb[CSS_IRB_SIZE]);

/* STORE SUBCHANNEL */
void subchannel_store(const struct subchannel *sch, uint8_t schib[CSS_SCHIB_SIZE]);

/* MODIFY SUBCHANNEL: 1 status pending, 2 busy. The caller has checked the reserved bits. */
unsigned subchannel_modify(struct subchannel *sch, const uint8_t schib[CSS_SCHIB_SIZE]);

/* The bits of PMCW words 1 and 6 that must be zero are zero. */
bool subchannel_valid_schib(const uint8_t schib[CSS_SCHIB_SIZE]);

/*
 * The set of paths that are available (PAM) changed. A running program whose path is gone ends before its next CCW;
 * subchannel_announce_paths tells it so while another thread has the subchannel.
 */
void subchannel_set_paths(struct subchannel *sch, uint8_t pam);
void subchannel_announce_paths(struct subchannel *sch, uint8_t pam);

/* The first halfword of PMCW word 1. */
static inline uint16_t subchannel_flags(const struct subchannel *sch)
{
	return (uint16_t)(sch->schib[PMCW_FLAGS] << 8 | sch->schib[PMCW_FLAGS + 1]);
}

static inline bool subchannel_pending(const struct subchannel *sch)
{
	return sch->scsw_flags & SCSW_SC_PENDING;
}

#endif
