/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A 3390 disk behind a 3990 control unit, in ECKD mode. */
#ifndef CCWEMU_ECKD_H
#define CCWEMU_ECKD_H

#include <stdbool.h>
#include <stdint.h>

#include "ckd_image.h"
#include "device.h"

#define ECKD_SERIAL_SIZE 14     /* location (2) and sequence number (12) of the node-element descriptor */
#define ECKD_PGID_SIZE 11
#define ECKD_ANOTHER_SYSTEM DEVICE_INITIATORS /* a system that no subchannel here belongs to */
#define ECKD_OTHER_SYSTEMS 15   /* at most */

/* Types of a unit in the unit address configuration (Linux drivers/s390/block/dasd_eckd.h). */
#define ECKD_BASE_DEVICE 1
#define ECKD_PAV_ALIAS 2        /* of one base device */
#define ECKD_HYPER_PAV_ALIAS 3  /* of any of the subsystem */

struct eckd_identity {
	uint8_t cu_model;
	uint8_t dev_model;
	uint8_t unit_address;
	uint16_t ssid;              /* storage-subsystem id */
	char serial[ECKD_SERIAL_SIZE]; /* ASCII letters and digits: see eckd_set_serial */
	uint8_t alias;              /* 0: a base device; else the unit type of an alias: see ECKD_PAV_ALIAS */
	uint8_t base_unit_address;  /* of a PAV alias */
};

/*
 * Up to 14 of A-Z and 0-9: the location and, behind it, the sequence number. On the left of a shorter one come zeros:
 * Linux makes the device's uid of all 14. False: something else.
 */
bool eckd_set_serial(struct eckd_identity *identity, const char *text, size_t size);

/* What happened on one logical path (of one host). */
struct eckd_path {
	uint8_t state;              /* 0x00 reset, 0x80 ungrouped, 0xc0 grouped */
	bool multipath;
	uint8_t pgid[ECKD_PGID_SIZE];
};

/* The last thing that passed under the heads. */
enum eckd_orientation { AT_INDEX, AT_HOME, AT_COUNT, AT_KEY, AT_DATA };

/* All that a channel program sets up, and that its end takes away. */
struct eckd_chain {
	bool extent_defined;
	bool mask_set;
	bool begun;                 /* this is not the first command */
	bool positioned;            /* by a seek, a Locate Record or a Read IPL */
	bool ipl_read;
	bool in_domain;             /* of a Locate Record */
	uint8_t ready;              /* what may be written outside of a domain */
	uint8_t page;               /* which data Perform Subsystem Function prepared to be read; 0: none */
	uint8_t mask;               /* file mask */
	uint8_t operation;          /* of the Locate Record */
	uint8_t extended_operation;
	uint8_t operations_left;    /* tracks, if the operation is about tracks */
	bool count_suffix;          /* the last command of the domain is a Read Count */
	bool single;                /* one record, whose count field is oriented to */
	uint8_t update;             /* the update command that this domain is of; 0: none yet */
	bool track_passed;          /* an operation about tracks: the first track has been dealt with */
	uint16_t length;            /* transfer-length factor; 0: none */
	bool conversion;            /* CKD conversion mode: records may have other lengths */
	uint16_t track_set;         /* Write Full Track: which of the tracks from here on, from the left */
	uint8_t index_passes;       /* since data were transferred */
	uint32_t first, last;       /* extent, as track numbers */
	uint32_t track;
	uint32_t record;            /* offset in the track of the record that orientation is about */
	enum eckd_orientation orientation;
};

struct eckd {
	struct device device;       /* first: a struct device * is a struct eckd * */
	struct ckd_image *image;
	struct eckd_identity identity;
	bool read_only;
	bool announces_prefix;      /* the feature page tells of Prefix and of track commands */
	bool long_sense;            /* sense data have the 32-byte format */
	bool ends_apart;            /* a seek's device end comes after its channel end, as with an arm that moves */
	int reserved_by;            /* initiator, -1: none, ECKD_ANOTHER_SYSTEM */
	uint8_t other_systems;      /* that have a path group */
	uint8_t refused_pages[32];  /* subsystem data that this unit does not have: see eckd_refuse_page */
	struct eckd_path paths[DEVICE_PATHS];
	struct eckd_chain chains[DEVICE_INITIATORS]; /* a host may have suspended its program while another's runs */
	unsigned initiator;         /* the host whose command this is */
	struct eckd_chain *chain;   /* of that host */
	struct device_sense *sense; /* of that host */
};

void eckd_init(struct eckd *eckd, struct ckd_image *image, const struct eckd_identity *identity,
	       bool read_only);

/* This unit does not know the suborder of Prepare for Read Subsystem Data, and does not announce it. */
void eckd_refuse_page(struct eckd *eckd, uint8_t page);

/* The model that IBM gave a 3390 of this size. */
uint8_t eckd_model_of(uint32_t cylinders);

/* ---- between the parts of the device ---- */

/* Sense byte 0, byte 1; byte 7: format (high nibble) and message (low). */
#define SENSE0_REJECT 0x80u
#define SENSE0_EQUIPMENT 0x10u
#define SENSE1_PERMANENT 0x80u
#define SENSE1_TRACK_FORMAT 0x40u
#define SENSE1_END_OF_CYLINDER 0x20u
#define SENSE1_NO_RECORD 0x08u
#define SENSE1_FILE_PROTECTED 0x04u
#define SENSE1_WRITE_INHIBITED 0x02u
#define MESSAGE_NONE 0x00u
#define MESSAGE_COMMAND 0x01u       /* invalid command */
#define MESSAGE_SEQUENCE 0x02u      /* invalid command sequence */
#define MESSAGE_COUNT 0x03u         /* CCW count too small */
#define MESSAGE_PARAMETER 0x04u     /* invalid parameter */

/* Make sense data. Returns channel end, device end, unit check. */
uint8_t eckd_check(struct eckd *eckd, uint8_t sense0, uint8_t sense1, uint8_t message);

/* The command, or the program, that comes now is this host's. */
static inline void eckd_attend(struct eckd *eckd, unsigned initiator)
{
	eckd->initiator = initiator;
	eckd->chain = &eckd->chains[initiator];
	eckd->sense = &eckd->device.sense[initiator];
}

static inline struct eckd *eckd_of(struct device *device)
{
	return (struct eckd *)device;
}

/* eckd_identity.c */
uint8_t eckd_sense_id(struct device *device, struct channel *channel);
uint8_t eckd_read_characteristics(struct device *device, struct channel *channel);
uint8_t eckd_read_configuration(struct device *device, struct channel *channel);
uint8_t eckd_perform_function(struct device *device, struct channel *channel);
uint8_t eckd_read_subsystem_data(struct device *device, struct channel *channel);

/* eckd_paths.c */
const struct eckd_path *eckd_group_of(const struct eckd *eckd, unsigned who); /* a path of its group; NULL: none */
uint8_t eckd_sense_pgid(struct device *device, struct channel *channel);
uint8_t eckd_set_pgid(struct device *device, struct channel *channel);
uint8_t eckd_reserve(struct device *device, struct channel *channel);
uint8_t eckd_release(struct device *device, struct channel *channel);
uint8_t eckd_steal_lock(struct device *device, struct channel *channel);
uint8_t eckd_select_path(struct device *device, unsigned path, uint8_t command);
void eckd_reset_paths(struct device *device, unsigned initiator);

/* eckd_sequence.c: may this command follow those before it? 0 or the unit status of a check. */
uint8_t eckd_check_sequence(struct eckd *eckd, uint8_t command);

/* What the search, or the formatting write, before a write permits outside of a Locate Record's domain. */
enum {
	READY_DATA = 0x01,          /* Write Data */
	READY_KEY_DATA = 0x02,      /* Write Key and Data */
	READY_FORMAT_BY_KEY = 0x04, /* Write Count, Key, and Data, and Erase; data may be read or written in between */
	READY_FORMAT_BY_ID = 0x08,  /* the same; data, or key and data */
	READY_FORMAT_MORE = 0x10,   /* the same; nothing in between */
	READY_R0 = 0x20,
	READY_HOME = 0x40,
	READY_AFTER_DATA = READY_FORMAT_BY_KEY | READY_FORMAT_BY_ID,
	READY_AFTER_KEY_DATA = READY_FORMAT_BY_ID,
	READY_TO_FORMAT = READY_FORMAT_BY_KEY | READY_FORMAT_BY_ID | READY_FORMAT_MORE,
};

/* eckd_position.c: where the heads are. All but the last three return 0 or the unit status of a check. */
uint8_t eckd_move_to(struct eckd *eckd, uint32_t track);
uint8_t eckd_pass_end(struct eckd *eckd, enum ckd_walk walk, bool multitrack, bool searching);
uint8_t eckd_next_track(struct eckd *eckd);
bool eckd_track_number(const struct eckd *eckd, const uint8_t address[4], uint32_t *track);

static inline uint8_t *eckd_track_bytes(const struct eckd *eckd)
{
	return ckd_view(eckd->image, eckd->chain->track);
}

/* Of the current record. */
static inline uint8_t *eckd_count_field(const struct eckd *eckd)
{
	return eckd_track_bytes(eckd) + eckd->chain->record;
}

/* Go over the next count field, if there is one. */
static inline enum ckd_walk eckd_step(struct eckd *eckd)
{
	struct eckd_chain *chain = eckd->chain;
	const uint8_t *track = eckd_track_bytes(eckd);
	uint32_t offset = CKD_FIRST_RECORD;
	enum ckd_walk walk;

	if (chain->orientation >= AT_COUNT)
		offset = chain->record + ckd_record_size(track + chain->record);
	walk = ckd_record_at(track, eckd->image->track_size, offset);
	if (walk == CKD_RECORD) {
		chain->record = offset;
		chain->orientation = AT_COUNT;
	}
	return walk;
}

/*
 * Over the next count field, record 0's included. multitrack goes on with the following track at the end of this
 * one, else it comes round again; the second end of track in a row means that there is no such record.
 */
static inline uint8_t eckd_next_record(struct eckd *eckd, bool multitrack, bool searching)
{
	enum ckd_walk walk = eckd_step(eckd);

	return walk == CKD_RECORD ? 0 : eckd_pass_end(eckd, walk, multitrack, searching);
}

/* As eckd_next_record, but not to record 0. */
static inline uint8_t eckd_next_user_record(struct eckd *eckd, bool multitrack)
{
	uint8_t status;

	do {
		status = eckd_next_record(eckd, multitrack, false);
	} while (!status && eckd->chain->record == CKD_FIRST_RECORD);
	return status;
}

/* eckd_locate.c: commands that say where and what */
uint8_t eckd_define_extent(struct device *device, struct channel *channel);
uint8_t eckd_locate_record(struct device *device, struct channel *channel);
uint8_t eckd_locate_record_extended(struct device *device, struct channel *channel);
uint8_t eckd_prefix(struct device *device, struct channel *channel);
uint8_t eckd_seek(struct device *device, struct channel *channel);
uint8_t eckd_recalibrate(struct device *device, struct channel *channel);
uint8_t eckd_set_file_mask(struct device *device, struct channel *channel);
uint8_t eckd_set_sector(struct device *device, struct channel *channel);
uint8_t eckd_search_id(struct device *device, struct channel *channel);
uint8_t eckd_search_key(struct device *device, struct channel *channel);
uint8_t eckd_search_home(struct device *device, struct channel *channel);

/* eckd_read.c, eckd_write.c */
uint8_t eckd_read_record(struct device *device, struct channel *channel);
uint8_t eckd_read_count(struct device *device, struct channel *channel);
uint8_t eckd_read_r0(struct device *device, struct channel *channel);
uint8_t eckd_read_home(struct device *device, struct channel *channel);
uint8_t eckd_read_ipl(struct device *device, struct channel *channel);
uint8_t eckd_write_record(struct device *device, struct channel *channel);
uint8_t eckd_write_ckd(struct device *device, struct channel *channel);
uint8_t eckd_write_r0(struct device *device, struct channel *channel);
uint8_t eckd_write_home(struct device *device, struct channel *channel);
uint8_t eckd_erase(struct device *device, struct channel *channel);

/* eckd_track.c: whole tracks by one command */
uint8_t eckd_read_track(struct device *device, struct channel *channel);
uint8_t eckd_read_track_data(struct device *device, struct channel *channel);
uint8_t eckd_read_multiple(struct device *device, struct channel *channel);
uint8_t eckd_write_full_track(struct device *device, struct channel *channel);
uint8_t eckd_write_track_data(struct device *device, struct channel *channel);

/* Kinds of access that a Locate Record may announce. */
enum eckd_access {
	ACCESS_READ, ACCESS_READ_COUNT, ACCESS_UPDATE, ACCESS_FORMAT, ACCESS_FORMAT_R0, ACCESS_ERASE,
	ACCESS_READ_TRACK, ACCESS_WRITE_TRACK, ACCESS_WRITE_TRACK_DATA
};

/* Operations of a Locate Record (IBM 3990 Storage Control Reference; Linux drivers/s390/block/dasd_eckd.c). */
enum {
	LOCATE_ORIENT = 0x00,
	LOCATE_WRITE_DATA = 0x01,
	LOCATE_FORMAT_WRITE = 0x03,
	LOCATE_READ_DATA = 0x06,
	LOCATE_WRITE_TRACK = 0x0b,          /* format writes to the end of a track, and erasing */
	LOCATE_READ_TRACKS = 0x0c,
	LOCATE_READ = 0x16,
	LOCATE_EXTENDED = 0x3f,
	EXTENDED_WRITE_FULL_TRACK = 0x11,
	EXTENDED_WRITE_TRACK_DATA = 0x23,
};

#define ECKD_EXTENT_SIZE 16
#define ECKD_LOCATE_SIZE 16

/* What Define Extent and Locate Record do with parameters that have been fetched. 0 or the unit status of a check. */
uint8_t eckd_set_extent(struct eckd *eckd, const uint8_t data[ECKD_EXTENT_SIZE]);
uint8_t eckd_set_location(struct eckd *eckd, const uint8_t data[ECKD_LOCATE_SIZE]);
uint8_t eckd_reject(struct eckd *eckd, uint8_t message);

/* The parameters of a command, all of them. 0, or the status to end with: too few came, or the channel met a check. */
uint8_t eckd_fetch_parameters(struct eckd *eckd, struct channel *channel, uint8_t *data, size_t size);

/* The command used one operation of the domain. */
static inline void eckd_use_operation(struct eckd *eckd)
{
	struct eckd_chain *chain = eckd->chain;

	chain->index_passes = 0;
	if (chain->in_domain && !--chain->operations_left)
		chain->in_domain = false;
}

/*
 * May this chain write in this way, here and now? Outside of a domain it takes one of these READY bits. 0 or the unit
 * status of a check.
 */
uint8_t eckd_permit_write(struct eckd *eckd, enum eckd_access access, uint8_t ready);

/* File mask, bits 0-1: what may be written. */
#define MASK_WRITE 0xc0u
#define MASK_NO_WRITE 0x40u
#define MASK_UPDATE_ONLY 0x80u
#define MASK_ALL 0xc0u
uint8_t eckd_invalid_format(struct eckd *eckd);

/* Fill a piece of the current track from the channel, and what the channel does not provide with zeros. */
void eckd_fill(struct eckd *eckd, struct channel *channel, uint32_t offset, uint32_t size);
bool eckd_looks_like_end(const uint8_t count[CKD_COUNT_SIZE]);

/* Offset behind the last record of the current track, where its end mark is; 0: the track is damaged. */
uint32_t eckd_end_of_track(const struct eckd *eckd);

/* Does the domain of a Locate Record, if this is in one, allow the access? 0 or the unit status of a check. */
static inline uint8_t eckd_enter_domain(struct eckd *eckd, enum eckd_access access)
{
	struct eckd_chain *chain = eckd->chain;
	bool fits = false;

	if (!chain->in_domain) /* whole tracks are dealt with in a domain only */
		return access >= ACCESS_READ_TRACK ? eckd_reject(eckd, MESSAGE_SEQUENCE) : 0;
	if (chain->count_suffix && chain->operations_left == 1)
		return access == ACCESS_READ_COUNT ? 0 : eckd_reject(eckd, MESSAGE_SEQUENCE);
	switch (access) {
	case ACCESS_READ:
	case ACCESS_READ_COUNT:
		fits = chain->operation == LOCATE_READ_DATA || chain->operation == LOCATE_READ;
		break;
	case ACCESS_UPDATE:
		fits = chain->operation == LOCATE_WRITE_DATA;
		break;
	case ACCESS_FORMAT:
	case ACCESS_FORMAT_R0:
		fits = chain->operation == LOCATE_FORMAT_WRITE || chain->operation == LOCATE_WRITE_TRACK;
		break;
	case ACCESS_ERASE:
		fits = chain->operation == LOCATE_WRITE_TRACK;
		break;
	case ACCESS_READ_TRACK:
		fits = chain->operation == LOCATE_READ_TRACKS;
		break;
	case ACCESS_WRITE_TRACK:
		fits = chain->operation == LOCATE_EXTENDED && chain->extended_operation == EXTENDED_WRITE_FULL_TRACK;
		break;
	case ACCESS_WRITE_TRACK_DATA:
		fits = chain->operation == LOCATE_EXTENDED && chain->extended_operation == EXTENDED_WRITE_TRACK_DATA;
		break;
	}
	return fits ? 0 : eckd_reject(eckd, MESSAGE_SEQUENCE);
}

#endif
