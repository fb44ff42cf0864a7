/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The subchannel-information block from outside: MODIFY SUBCHANNEL, and paths that come and go. */
#include <string.h>

#include "bytes.h"
#include "subchannel.h"

bool subchannel_valid_schib(const uint8_t schib[CSS_SCHIB_SIZE])
{
	uint16_t flags = get_be16(schib + PMCW_FLAGS);

	/* bits 0-1 and 5-7 of word 1 (limit mode 11 is reserved too), and all but the last three bits of word 6 */
	return !(flags & 0xc700u) && (flags & 0x0060u) != 0x0060u && !(get_be32(schib + PMCW_CHARS) & ~7u);
}

unsigned subchannel_modify(struct subchannel *sch, const uint8_t schib[CSS_SCHIB_SIZE])
{
	uint16_t kept = subchannel_flags(sch) & (uint16_t)~PMCW_MODIFIABLE;

	if (subchannel_pending(sch))
		return 1;
	if (sch->scsw_flags & SCSW_FC)
		return 2;
	if (!(kept & PMCW_VALID)) /* nothing to modify without a device; no condition code says so */
		return 0;
	memcpy(sch->schib + PMCW_INTPARM, schib + PMCW_INTPARM, 4);
	put_be16(sch->schib + PMCW_FLAGS, kept | (get_be16(schib + PMCW_FLAGS) & PMCW_MODIFIABLE));
	sch->schib[PMCW_LPM] = schib[PMCW_LPM];
	sch->schib[PMCW_POM] = schib[PMCW_POM];
	memcpy(sch->schib + PMCW_MBI, schib + PMCW_MBI, 2);
	memcpy(sch->schib + PMCW_CHARS, schib + PMCW_CHARS, 4);
	return 0;
}

void subchannel_announce_paths(struct subchannel *sch, uint8_t pam)
{
	atomic_store(&sch->available, pam);
}

void subchannel_set_paths(struct subchannel *sch, uint8_t pam)
{
	subchannel_announce_paths(sch, pam);
	sch->schib[PMCW_PAM] = pam;
	if (sch->scsw_flags & SCSW_AC_SUSPENDED)
		return;
	sch->schib[PMCW_LPUM] &= pam;
}
