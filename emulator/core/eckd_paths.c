/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Path groups, and the reservation of the device by one host. */
#include <string.h>

#include "channel.h"
#include "eckd.h"

#define PATH_UNGROUPED 0x80u
#define PATH_GROUPED 0xc0u
#define STATE_MULTIPATH 0x08u
#define STATE_RESERVED_ELSEWHERE 0x20u
#define STATE_RESERVED_SELF 0x30u

#define FUNCTION_MULTIPATH 0x80u
#define FUNCTION 0x60u
#define FUNCTION_ESTABLISH 0x00u
#define FUNCTION_DISBAND 0x20u
#define FUNCTION_RESIGN 0x40u

static int initiator(unsigned path)
{
	return (int)(path / CSS_PATHS);
}

/* Sense path group id: state of the path, id of its group. */
uint8_t eckd_sense_pgid(struct device *device, struct channel *channel)
{
	const struct eckd *eckd = eckd_of(device);
	const struct eckd_path *path = &eckd->paths[channel->path];
	uint8_t data[1 + ECKD_PGID_SIZE];

	data[0] = path->state;
	if (path->state == PATH_GROUPED && path->multipath)
		data[0] |= STATE_MULTIPATH;
	if (eckd->reserved_by == initiator(channel->path))
		data[0] |= STATE_RESERVED_SELF;
	else if (eckd->reserved_by >= 0)
		data[0] |= STATE_RESERVED_ELSEWHERE;
	memcpy(data + 1, path->pgid, ECKD_PGID_SIZE);
	channel_store(channel, data, sizeof(data));
	return UNIT_END;
}

static bool in_group(const struct eckd_path *path, const uint8_t *pgid)
{
	return path->state == PATH_GROUPED && !memcmp(path->pgid, pgid, ECKD_PGID_SIZE);
}

const struct eckd_path *eckd_group_of(const struct eckd *eckd, unsigned who)
{
	for (unsigned i = who * CSS_PATHS; i < (who + 1) * CSS_PATHS; i++)
		if (eckd->paths[i].state == PATH_GROUPED)
			return &eckd->paths[i];
	return NULL;
}

static void ungroup(struct eckd_path *path)
{
	*path = (struct eckd_path){.state = PATH_UNGROUPED};
}

/* A path joins the group; a group has one mode for all its paths. */
static bool establish(struct eckd *eckd, struct eckd_path *path, const uint8_t *pgid, bool multipath)
{
	if (path->state == PATH_GROUPED && !in_group(path, pgid))
		return false;
	for (unsigned i = 0; i < DEVICE_PATHS; i++) {
		const struct eckd_path *other = &eckd->paths[i];

		if (other != path && in_group(other, pgid) && other->multipath != multipath)
			return false;
	}
	path->state = PATH_GROUPED;
	path->multipath = multipath;
	memcpy(path->pgid, pgid, ECKD_PGID_SIZE);
	return true;
}

static bool disband(struct eckd *eckd, const struct eckd_path *path, const uint8_t *pgid)
{
	if (!in_group(path, pgid))
		return false;
	for (unsigned i = 0; i < DEVICE_PATHS; i++)
		if (in_group(&eckd->paths[i], pgid))
			ungroup(&eckd->paths[i]);
	return true;
}

uint8_t eckd_set_pgid(struct device *device, struct channel *channel)
{
	struct eckd *eckd = eckd_of(device);
	struct eckd_path *path = &eckd->paths[channel->path];
	uint8_t data[1 + ECKD_PGID_SIZE];
	uint8_t status = eckd_fetch_parameters(eckd, channel, data, sizeof(data));
	bool done = false;

	if (status)
		return status;
	switch (data[0] & FUNCTION) {
	case FUNCTION_ESTABLISH:
		done = establish(eckd, path, data + 1, data[0] & FUNCTION_MULTIPATH);
		break;
	case FUNCTION_DISBAND:
		done = disband(eckd, path, data + 1);
		break;
	case FUNCTION_RESIGN:
		done = in_group(path, data + 1);
		if (done)
			ungroup(path);
		break;
	}
	return done ? UNIT_END : eckd_reject(eckd, MESSAGE_PARAMETER);
}

/* The reservation commands bring the sense bytes along. */
static uint8_t store_sense(struct device *device, struct channel *channel)
{
	channel_store(channel, eckd_of(device)->sense->bytes, DEVICE_SENSE_SIZE);
	return UNIT_END;
}

uint8_t eckd_reserve(struct device *device, struct channel *channel)
{
	eckd_of(device)->reserved_by = initiator(channel->path);
	return store_sense(device, channel);
}

uint8_t eckd_steal_lock(struct device *device, struct channel *channel)
{
	return eckd_reserve(device, channel);
}

uint8_t eckd_release(struct device *device, struct channel *channel)
{
	struct eckd *eckd = eckd_of(device);

	if (eckd->chain->extent_defined || eckd->chain->mask_set || eckd->chain->ipl_read)
		return eckd_reject(eckd, MESSAGE_SEQUENCE);
	eckd->reserved_by = -1;
	return store_sense(device, channel);
}

#define SENSE 0x04u

/* Commands that may add to what is staged of a track; any other must find the track as it is. */
static bool writes_on(uint8_t command)
{
	switch (command & 0x7f) {
	case 0x05: /* Write Data */
	case 0x0d: /* Write Key and Data */
	case 0x1d: /* Write Count, Key and Data */
		return true;
	default:
		return false;
	}
}

/* Another host's reservation makes the device busy, apart from what is needed to find out and to break it. */
static bool reserved_elsewhere(const struct eckd *eckd, unsigned path, uint8_t command)
{
	enum { STEAL_LOCK = 0x14, SENSE_PGID = 0x34, SET_PGID = 0xaf, SENSE_ID = 0xe4 };

	if (eckd->reserved_by < 0 || eckd->reserved_by == initiator(path))
		return false;
	switch (command) {
	case SENSE:
	case STEAL_LOCK:
	case SENSE_PGID:
	case SET_PGID:
	case SENSE_ID:
		return false;
	default:
		return true;
	}
}

/* Is there nothing left over from before, of this host or another, that a command would have to deal with? */
static bool undisturbed(const struct eckd *eckd, unsigned path)
{
	return eckd->initiator == path / CSS_PATHS && !eckd->sense->pending && !eckd->image->stage.active &&
	       eckd->reserved_by < 0;
}

/* Deal with it. Returns unit status that keeps the command out, or 0. */
static uint8_t clear_the_way(struct eckd *eckd, unsigned path, uint8_t command)
{
	eckd_attend(eckd, path / CSS_PATHS);
	if (command != SENSE && eckd->sense->pending) /* any other command gives the sense data up */
		device_forget_sense(eckd->sense);
	if (eckd->image->stage.active && !writes_on(command))
		ckd_commit(eckd->image);
	return reserved_elsewhere(eckd, path, command) ? UNIT_BUSY : 0;
}

uint8_t eckd_select_path(struct device *device, unsigned path, uint8_t command)
{
	struct eckd *eckd = eckd_of(device);

	if (!undisturbed(eckd, path)) {
		uint8_t status = clear_the_way(eckd, path, command);

		if (status)
			return status;
	}
	if (!device->commands[command]) /* unknown, wherever it stands */
		return 0;
	return eckd_check_sequence(eckd, command);
}

void eckd_reset_paths(struct device *device, unsigned who)
{
	struct eckd *eckd = eckd_of(device);

	device_forget_sense(&device->sense[who]);
	memset(eckd->paths + who * CSS_PATHS, 0, CSS_PATHS * sizeof(eckd->paths[0]));
	if (eckd->reserved_by == (int)who)
		eckd->reserved_by = -1;
}
