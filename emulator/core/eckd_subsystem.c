/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the control unit tells of its subsystem: Perform Subsystem Function and Read Subsystem Data. */
#include <string.h>

#include "bytes.h"
#include "channel.h"
#include "eckd.h"

/* Data that can be prepared to be read, by the suborders of Perform Subsystem Function. */
enum {
	PAGE_UNIT_ADDRESSES = 0x0e,
	PAGE_HOST_ACCESS = 0x1c,
	PAGE_FEATURES = 0x41,
	PAGE_VOLUME_STORAGE = 0x52,
	PAGE_LOGICAL_CONFIGURATION = 0x53,
};

typedef void (*give_page)(const struct eckd *eckd, struct channel *channel);

static void give_features(const struct eckd *eckd, struct channel *channel);
static void give_unit_addresses(const struct eckd *eckd, struct channel *channel);
static void give_host_access(const struct eckd *eckd, struct channel *channel);
static void give_volume_storage(const struct eckd *eckd, struct channel *channel);
static void give_logical_configuration(const struct eckd *eckd, struct channel *channel);

static const struct page {
	give_page give;
	bool of_volume;             /* a volume of its own has it, an alias has not */
} pages[256] = {
	[PAGE_UNIT_ADDRESSES] = {give_unit_addresses, false},
	[PAGE_HOST_ACCESS] = {give_host_access, true},
	[PAGE_FEATURES] = {give_features, false},
	[PAGE_VOLUME_STORAGE] = {give_volume_storage, true},
	[PAGE_LOGICAL_CONFIGURATION] = {give_logical_configuration, true},
};

static bool has_page(const struct eckd *eckd, uint8_t page)
{
	return pages[page].give && !(eckd->refused_pages[page / 8] & 0x80u >> page % 8) &&
	       !(pages[page].of_volume && eckd->identity.alias);
}

void eckd_refuse_page(struct eckd *eckd, uint8_t page)
{
	eckd->refused_pages[page / 8] |= (uint8_t)(0x80u >> page % 8);
}

/*
 * Perform Subsystem Function. "Set subsystem characteristics" is taken and means nothing here; "prepare for read
 * subsystem data" knows the suborders of has_page, and Linux does without the others.
 */
uint8_t eckd_perform_function(struct device *device, struct channel *channel)
{
	enum { PREPARE = 0x18, SET_CHARACTERISTICS = 0x1d, FLAGS = 1, SUBORDER = 6, SUBORDER_FLAGS = 7 };
	struct eckd *eckd = eckd_of(device);
	uint8_t data[66];
	uint8_t status = eckd_fetch_parameters(eckd, channel, data, 1);
	bool known = !status && (data[0] == PREPARE || data[0] == SET_CHARACTERISTICS);

	if (known) /* each order has a length of its own */
		status = eckd_fetch_parameters(eckd, channel, data + 1, data[0] == PREPARE ? 11 : 65);
	if (status)
		return status;
	if (!known || data[FLAGS])
		return eckd_reject(eckd, MESSAGE_PARAMETER);
	if (data[0] == SET_CHARACTERISTICS)
		return UNIT_END;
	if (!has_page(eckd, data[SUBORDER]) || data[SUBORDER_FLAGS])
		return eckd_reject(eckd, MESSAGE_PARAMETER);
	eckd->chain->page = data[SUBORDER];
	return UNIT_END;
}

/*
 * The feature page. All zero, Linux keeps to Define Extent and Locate Record; a device may announce Prefix and the
 * commands for whole tracks. That it can be asked who has access,
 * stands there too (Linux dasd_eckd_query_host_access). Nothing else is there (transport mode, ...).
 */
static void give_features(const struct eckd *eckd, struct channel *channel)
{
	uint8_t features[256] = {0};

	if (eckd->announces_prefix) {
		features[8] = 0x01;                    /* Prefix */
		features[9] = 0x20;                    /* Read Track Data */
		features[12] = 0x40;                   /* Write Track Data */
	}
	if (has_page(eckd, PAGE_HOST_ACCESS))
		features[14] = 0x80;
	channel_store(channel, features, sizeof(features));
}

/*
 * The unit address configuration of the subsystem (Linux drivers/s390/block/dasd_alias.c): for each unit address its
 * type, and the base of an alias. All are base devices, as on a subsystem without parallel-access volumes, but the unit
 * itself where that is an alias.
 */
static void give_unit_addresses(const struct eckd *eckd, struct channel *channel)
{
	const struct eckd_identity *identity = &eckd->identity;
	uint8_t units[256][2] = {{0}};

	for (unsigned unit = 0; unit < 256; unit++)
		units[unit][0] = ECKD_BASE_DEVICE;
	if (identity->alias) {
		units[identity->unit_address][0] = identity->alias;
		units[identity->unit_address][1] = identity->base_unit_address;
	}
	channel_store(channel, units, sizeof(units));
}

/*
 * Who has a path group to the device (Linux struct dasd_psf_query_host_access): this system by its groups, then the
 * others.
 */
static void give_host_access(const struct eckd *eckd, struct channel *channel)
{
	enum { HEAD = 16, ENTRIES = HEAD + 4, ENTRY = 32, GROUPED = 0x10 };
	uint8_t data[ENTRIES + (DEVICE_INITIATORS + ECKD_OTHER_SYSTEMS) * ENTRY] = {0};
	uint8_t *entry = data + ENTRIES;
	unsigned count = 0;

	for (unsigned i = 0; i < DEVICE_INITIATORS; i++) {
		const struct eckd_path *group = eckd_group_of(eckd, i);

		if (!group)
			continue;
		entry[0] = GROUPED;
		memcpy(entry + 1, group->pgid, ECKD_PGID_SIZE);
		entry += ENTRY;
		count++;
	}
	for (unsigned i = 0; i < eckd->other_systems; i++, entry += ENTRY, count++) {
		entry[0] = GROUPED;
		entry[ECKD_PGID_SIZE] = (uint8_t)(i + 1);
	}
	put_be16(data + 2, (uint16_t)(4 + count * ENTRY));
	data[HEAD + 1] = ENTRY;
	put_be16(data + HEAD + 2, (uint16_t)count);
	channel_store(channel, data, ENTRIES + count * ENTRY);
}

/*
 * The volume storage query (Linux struct dasd_rssd_vsq) of a fully provisioned volume: it is not extent-space-efficient,
 * all of it is allocated (IBM, Device Drivers, Features, and Commands, "Gathering information about ESE DASD": for a
 * non-ESE DASD space_allocated is always the logical_capacity), and its pool has room for this volume alone. In
 * cylinders.
 */
static void give_volume_storage(const struct eckd *eckd, struct channel *channel)
{
	enum { SIZE = 28, ALLOCATED = 16, CONFIGURED = 20, CAPACITY = 24 };
	uint8_t data[SIZE] = {0};

	put_be32(data + ALLOCATED, eckd->image->cylinders);
	put_be32(data + CONFIGURED, eckd->image->cylinders);
	put_be32(data + CAPACITY, eckd->image->cylinders);
	channel_store(channel, data, sizeof(data));
}

/*
 * The logical configuration query (Linux struct dasd_rssd_lcq): one extent pool, 0, of standard CKD volumes, whose
 * extents are those of 1 GB, 1113 cylinders. The storage facility is not named.
 */
static void give_logical_configuration(const struct eckd *eckd, struct channel *channel)
{
	enum { HEAD = 32, POOL = 8, FLAGS = 4, INFORMATION_VALID = 0x80 };
	enum { POOL_FLAGS = 4, STANDARD_VOLUME = 0x10, EXTENT_SIZE_VALID = 0x08, EXTENT_SIZE = 6, EXTENT_1_GB = 0x40 };
	uint8_t data[HEAD + POOL] = {0};

	(void)eckd;
	put_be16(data, sizeof(data));
	put_be16(data + 2, 1);
	data[FLAGS] = INFORMATION_VALID;
	data[HEAD + POOL_FLAGS] = STANDARD_VOLUME | EXTENT_SIZE_VALID;
	data[HEAD + EXTENT_SIZE] = EXTENT_1_GB;
	channel_store(channel, data, sizeof(data));
}

uint8_t eckd_read_subsystem_data(struct device *device, struct channel *channel)
{
	struct eckd *eckd = eckd_of(device);
	uint8_t page = eckd->chain->page;

	eckd->chain->page = 0;
	if (!page)
		return eckd_reject(eckd, MESSAGE_SEQUENCE);
	pages[page].give(eckd, channel);
	return UNIT_END;
}
