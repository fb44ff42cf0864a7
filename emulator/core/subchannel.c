/* SPDX-License-Identifier: GPL-2.0-or-later */
/* z/Architecture Principles of Operation, chapters 14 (the instructions) and 16 (the status they leave). */
#include "subchannel.h"

#include <errno.h>
#include <string.h>

#include "bytes.h"

static bool operational(const struct subchannel *sch)
{
	return (subchannel_flags(sch) & (PMCW_VALID | PMCW_ENABLED)) == (PMCW_VALID | PMCW_ENABLED);
}

static void forget_program(struct subchannel *sch)
{
	sch->channel.cpa = 0;
	sch->channel.count = 0;
	sch->channel.unit_status = 0;
	sch->channel.status = 0;
	memset(sch->esw, 0, sizeof(sch->esw));
	memset(sch->ecw, 0, sizeof(sch->ecw));
}

int subchannel_init(struct subchannel *sch, const struct subchannel_config *config)
{
	uint16_t flags = 0;

	memset(sch, 0, sizeof(*sch));
	atomic_init(&sch->stop, false);
	atomic_init(&sch->available, config->pam);
	if (config->device) {
		while (config->device->initiators & (1u << sch->initiator))
			if (++sch->initiator == DEVICE_INITIATORS)
				return ENOSPC;
		config->device->initiators |= (uint8_t)(1u << sch->initiator);
		sch->device = config->device;
		flags = PMCW_VALID | (config->enabled ? PMCW_ENABLED : 0);
	}
	put_be16(sch->schib + PMCW_FLAGS, flags);
	put_be16(sch->schib + PMCW_DEVNO, config->devno);
	sch->schib[PMCW_LPM] = config->pim;
	sch->schib[PMCW_PIM] = config->pim;
	sch->schib[PMCW_POM] = config->pom;
	sch->schib[PMCW_PAM] = config->pam;
	memcpy(sch->schib + PMCW_CHPID, config->chpids, CSS_PATHS);
	put_be32(sch->schib + PMCW_CHARS, config->concurrent_sense ? PMCW_CSENSE : 0);
	return 0;
}

void subchannel_detach(struct subchannel *sch)
{
	if (!sch->device)
		return;
	sch->device->class->reset(sch->device, sch->initiator);
	sch->device->initiators &= (uint8_t)~(1u << sch->initiator);
	sch->device = NULL;
	put_be16(sch->schib + PMCW_FLAGS, subchannel_flags(sch) & (uint16_t)~PMCW_VALID);
}

void subchannel_set_device_valid(struct subchannel *sch, bool valid)
{
	uint16_t flags = subchannel_flags(sch) & (uint16_t)~(PMCW_VALID | PMCW_ENABLED);

	if (!sch->device)
		return;
	sch->device->class->reset(sch->device, sch->initiator);
	forget_program(sch);
	sch->scsw_flags = 0;
	put_be16(sch->schib + PMCW_FLAGS, valid ? flags | PMCW_VALID : flags);
}

void subchannel_parse_orb(struct channel_orb *orb, const uint8_t bytes[CSS_ORB_SIZE])
{
	orb->intparm = get_be32(bytes);
	orb->flags = get_be32(bytes + 4);
	orb->cpa = get_be32(bytes + 8);
}

/* The first path, from the left, that the program allows and that works; CSS_PATHS: none. */
static unsigned choose_path(const struct subchannel *sch, uint8_t lpm)
{
	uint8_t usable = lpm & sch->schib[PMCW_LPM] & sch->schib[PMCW_PIM] & sch->schib[PMCW_PAM];
	unsigned path = 0;

	while (path < CSS_PATHS && !(usable & (0x80u >> path)))
		path++;
	return path;
}

/* The subchannel logout of a check that the channel subsystem itself met: what it knows, and where it happened. */
static void log_out(struct subchannel *sch)
{
	const struct channel *channel = &sch->channel;
	uint32_t logout = (uint32_t)sch->schib[PMCW_LPUM] << 16 | ESW_LPUM_VALID, report = 0;

	if (channel->status & SCH_INTERFACE)
		logout |= ESW_SEQUENCE_VALID | ESW_COMMAND_NOT_SENT;
	if (channel->path_lost)
		report |= ERW_VERIFY_PATH;
	if (channel->status & (SCH_DATA | SCH_CONTROL)) {
		logout |= channel->failing_store ? ESW_STORING : ESW_FETCHING;
		report |= ERW_FAILING_ADDRESS;
		put_be32(sch->esw + 8, (uint32_t)(channel->failing >> 32));
		put_be32(sch->esw + 12, (uint32_t)channel->failing);
	}
	put_be32(sch->esw, logout);
	put_be32(sch->esw + 4, report);
	sch->scsw_flags |= SCSW_ESWF;
}

/* Extended status: ESW with the path used, and the device's sense data when they may come along. */
static void extend_status(struct subchannel *sch)
{
	struct device_sense *sense = &sch->device->sense[sch->initiator];

	memset(sch->esw, 0, sizeof(sch->esw));
	sch->esw[1] = sch->schib[PMCW_LPUM];
	if (sch->channel.status & SCH_MACHINE)
		log_out(sch);
	if (!(sch->channel.unit_status & UNIT_CHECK) || !sense->pending ||
	    !(get_be32(sch->schib + PMCW_CHARS) & PMCW_CSENSE))
		return;
	/*
	 * ERW: sense data in the ECW, 32 bytes. The count stands where a measured machine had it (bits 16-23);
	 * Principles of Operation put it in bits 10-15. Linux looks at the first bit only.
	 */
	put_be32(sch->esw + 4, get_be32(sch->esw + 4) | 0x01002000u);
	memcpy(sch->ecw, sense->bytes, sizeof(sch->ecw));
	device_forget_sense(sense);
	sch->scsw_flags |= SCSW_ESWF | SCSW_ECTL;
}

/* Status of a start function that has come to its end; without device end, the device is active for a while. */
static void end_start(struct subchannel *sch)
{
	const struct channel *channel = &sch->channel;
	bool active = (channel->unit_status & UNIT_END) == UNIT_CE;
	uint32_t flags = sch->scsw_flags & ~(SCSW_AC | SCSW_SC);

	flags |= SCSW_SC_PENDING | SCSW_SC_PRIMARY | (active ? SCSW_AC_DEVICE : SCSW_SC_SECONDARY);
	if (channel->unit_status & ~UNIT_END || channel->status & ~SCH_PCI)
		flags |= SCSW_SC_ALERT;
	if (channel->status & SCH_PCI)
		flags |= SCSW_SC_INTERMEDIATE;
	if (channel->orb.flags & ORB_INITIAL && channel->accepted)
		flags |= SCSW_ZCC | SCSW_SC_INTERMEDIATE;
	if (channel->path_lost) {
		flags |= SCSW_PNO;
		sch->schib[PMCW_PNOM] |= channel->path_mask;
	}
	sch->scsw_flags = flags;
	extend_status(sch);
}

/* A fault: the status is lost on the way. To the program the start function goes on, until it halts or clears it. */
static void lose_interrupt(struct subchannel *sch)
{
	sch->channel.unit_status = 0;
	sch->channel.status = 0;
	sch->scsw_flags = (sch->scsw_flags & ~(SCSW_AC | SCSW_SC)) | SCSW_AC_SUBCHANNEL | SCSW_AC_DEVICE;
}

static void suspend(struct subchannel *sch)
{
	uint32_t flags = (sch->scsw_flags & ~(SCSW_AC | SCSW_SC)) | SCSW_AC_SUSPENDED;

	if (!(sch->channel.orb.flags & ORB_SUPPRESS_SUSPEND) || sch->channel.status & SCH_PCI)
		flags |= SCSW_SC_INTERMEDIATE | SCSW_SC_PENDING;
	sch->scsw_flags = flags;
	sch->esw[1] = sch->schib[PMCW_LPUM];
}

static void settle(struct subchannel *sch, enum channel_outcome outcome)
{
	switch (outcome) {
	case CHANNEL_ENDED:
		if (sch->channel.interrupt_lost)
			lose_interrupt(sch);
		else
			end_start(sch);
		break;
	case CHANNEL_SUSPENDED:
		suspend(sch);
		break;
	case CHANNEL_STOPPED: /* the halt or clear that asked for it says what status there is */
		break;
	}
}

/* Deferred condition code 3: none of the paths that the program may use works. */
static void no_path(struct subchannel *sch, uint8_t lpm)
{
	sch->scsw_flags &= ~(SCSW_AC | SCSW_SC);
	sch->scsw_flags |= SCSW_CC3 | SCSW_PNO | SCSW_AC_START | SCSW_SC_ALERT | SCSW_SC_PENDING;
	sch->schib[PMCW_PNOM] = lpm & sch->schib[PMCW_PIM];
	sch->esw[1] = 0; /* no path was used */
}

static void use_path(struct subchannel *sch, unsigned path)
{
	sch->schib[PMCW_LPUM] = (uint8_t)(0x80u >> path);
	sch->channel.path = sch->initiator * CSS_PATHS + path;
	sch->channel.path_mask = (uint8_t)(0x80u >> path);
}

/* Address-limit checking, for a program that asks for it. */
static void limit_addresses(const struct subchannel *sch, struct channel *channel, const struct storage *storage)
{
	uint16_t mode = channel->orb.flags & ORB_ALCC ? subchannel_flags(sch) & PMCW_LIMIT : 0;

	channel->lowest = mode == PMCW_LIMIT_LOW ? storage->limit : 0;
	channel->highest = mode == PMCW_LIMIT_HIGH ? storage->limit - 1 : UINT64_MAX;
	if (mode == PMCW_LIMIT_HIGH && !storage->limit)
		channel->lowest = UINT64_MAX; /* nothing is below a limit of zero */
}

unsigned subchannel_start(struct subchannel *sch, const struct channel_orb *orb, const struct storage *storage,
			  channel_fetch_ccw fetch, const void *source)
{
	uint8_t lpm = (uint8_t)(orb->flags >> ORB_LPM_SHIFT);
	unsigned path;

	if (!operational(sch))
		return 3;
	if (subchannel_pending(sch))
		return 1;
	if (sch->scsw_flags & SCSW_FC)
		return 2;
	forget_program(sch);
	put_be32(sch->schib + PMCW_INTPARM, orb->intparm);
	sch->scsw_flags = (orb->flags & ORB_TO_SCSW) | SCSW_FC_START;
	sch->channel.orb = (struct channel_orb){orb->intparm, orb->flags, orb->cpa};
	path = choose_path(sch, lpm);
	if (path == CSS_PATHS) {
		no_path(sch, lpm);
		return 0;
	}
	use_path(sch, path);
	sch->channel.device = sch->device;
	sch->channel.storage = storage;
	sch->channel.fetch_ccw = fetch;
	sch->channel.ccw_source = source;
	sch->channel.stop = &sch->stop;
	sch->channel.available = &sch->available;
	limit_addresses(sch, &sch->channel, storage);
	settle(sch, channel_start(&sch->channel));
	return 0;
}

/* On the path that the program had, if it still works. */
unsigned subchannel_resume(struct subchannel *sch)
{
	uint8_t lpm = (uint8_t)(sch->channel.orb.flags >> ORB_LPM_SHIFT);
	unsigned path;

	if (!operational(sch))
		return 3;
	if (subchannel_pending(sch))
		return 1;
	if (!(sch->scsw_flags & SCSW_AC_SUSPENDED))
		return 2;
	sch->scsw_flags &= ~SCSW_AC_SUSPENDED;
	path = choose_path(sch, lpm & sch->channel.path_mask);
	if (path == CSS_PATHS)
		path = choose_path(sch, lpm);
	if (path == CSS_PATHS) {
		no_path(sch, lpm);
		return 0;
	}
	use_path(sch, path);
	settle(sch, channel_resume(&sch->channel));
	return 0;
}

unsigned subchannel_halt(struct subchannel *sch)
{
	uint32_t started = sch->scsw_flags & SCSW_FC_START;
	uint32_t pending = sch->scsw_flags & SCSW_SC;

	if (!operational(sch))
		return 3;
	/* an intermediate status of a program that is not over (suspended) does not stand in the way */
	if (pending && pending != (SCSW_SC_PENDING | SCSW_SC_INTERMEDIATE))
		return 1;
	if (sch->scsw_flags & (SCSW_FC_HALT | SCSW_FC_CLEAR))
		return 2;
	if (!started) {
		forget_program(sch);
		sch->scsw_flags = SCSW_FC_HALT | SCSW_SC_PENDING;
		return 0;
	}
	sch->scsw_flags &= ~(SCSW_AC | SCSW_SC);
	sch->scsw_flags |= SCSW_FC_HALT | SCSW_SC_PENDING | SCSW_SC_PRIMARY | SCSW_SC_SECONDARY;
	return 0;
}

unsigned subchannel_clear(struct subchannel *sch)
{
	if (!operational(sch))
		return 3;
	sch->scsw_flags = SCSW_FC_CLEAR | SCSW_SC_PENDING;
	forget_program(sch);
	sch->device->class->chain_begin(sch->device, sch->initiator * CSS_PATHS);
	return 0;
}

unsigned subchannel_cancel(struct subchannel *sch)
{
	if (!operational(sch))
		return 3;
	if (subchannel_pending(sch))
		return 1;
	if (!(sch->scsw_flags & SCSW_AC_SUSPENDED))
		return 2;
	sch->scsw_flags = 0;
	forget_program(sch);
	return 0;
}

static void put_scsw(const struct subchannel *sch, uint8_t scsw[CSS_SCSW_SIZE])
{
	put_be32(scsw, sch->scsw_flags);
	put_be32(scsw + 4, sch->channel.cpa);
	scsw[8] = sch->channel.unit_status;
	scsw[9] = sch->channel.status;
	put_be16(scsw + 10, sch->channel.count);
}

/* The device end that was to come after the channel end. */
static void end_device(struct subchannel *sch)
{
	sch->scsw_flags |= SCSW_SC_PENDING | SCSW_SC_SECONDARY;
	sch->channel.unit_status = UNIT_DE;
	sch->channel.status = 0;
	sch->esw[1] = sch->schib[PMCW_LPUM];
}

/* What TEST SUBCHANNEL clears, once the status has been stored. */
static void clear_status(struct subchannel *sch)
{
	bool suspended = sch->scsw_flags & SCSW_AC_SUSPENDED, active = sch->scsw_flags & SCSW_AC_DEVICE;

	sch->scsw_flags &= ~(SCSW_SC | SCSW_PNO | SCSW_ZCC);
	sch->channel.status &= (uint8_t)~SCH_PCI;
	if (suspended) /* the start function goes on */
		return;
	sch->scsw_flags &= ~(SCSW_AC | SCSW_CC3 | SCSW_ESWF | SCSW_ECTL);
	memset(sch->ecw, 0, sizeof(sch->ecw));
	memset(sch->esw, 0, sizeof(sch->esw));
	if (active)
		end_device(sch);
	else
		sch->scsw_flags &= ~SCSW_FC;
}

unsigned subchannel_test(struct subchannel *sch, uint8_t irb[CSS_IRB_SIZE])
{
	if (!operational(sch)) {
		memset(irb, 0, CSS_IRB_SIZE);
		return 3;
	}
	put_scsw(sch, irb);
	memcpy(irb + IRB_ESW, sch->esw, CSS_ESW_SIZE);
	memset(irb + IRB_ECW, 0, CSS_ECW_SIZE);
	memset(irb + IRB_EMW, 0, CSS_IRB_SIZE - IRB_EMW);
	if (!subchannel_pending(sch))
		return 1;
	if (sch->scsw_flags & SCSW_ECTL)
		memcpy(irb + IRB_ECW, sch->ecw, CSS_ECW_SIZE);
	clear_status(sch);
	return 0;
}

void subchannel_store(const struct subchannel *sch, uint8_t schib[CSS_SCHIB_SIZE])
{
	memcpy(schib, sch->schib, CSS_SCHIB_SIZE);
	put_scsw(sch, schib + CSS_PMCW_SIZE);
}
