/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who the device is: Sense ID, Read Device Characteristics, Read Configuration Data, subsystem functions. */
#include <string.h>

#include "bytes.h"
#include "channel.h"
#include "eckd.h"

#define READ_CONFIGURATION 0xfau
#define CHARACTERISTICS_SIZE 64
#define CONFIGURATION_SIZE 256
#define DESCRIPTOR_SIZE 32

/* Identification of CU and device, and one command-information word: how to read configuration data. */
uint8_t eckd_sense_id(struct device *device, struct channel *channel)
{
	const struct eckd_identity *identity = &eckd_of(device)->identity;
	const uint8_t data[12] = {
		0xff, 0x39, 0x90, identity->cu_model, 0x33, 0x90, identity->dev_model, 0x00,
		0x40, READ_CONFIGURATION, CONFIGURATION_SIZE >> 8, CONFIGURATION_SIZE & 0xff,
	};

	channel_store(channel, data, sizeof(data));
	return UNIT_END;
}

uint8_t eckd_read_characteristics(struct device *device, struct channel *channel)
{
	const struct eckd *eckd = eckd_of(device);
	uint32_t cylinders = eckd->image->cylinders;
	uint8_t data[CHARACTERISTICS_SIZE] = {
		[0] = 0x39, 0x90, eckd->identity.cu_model, 0x33, 0x90, eckd->identity.dev_model,
		[6] = 0x50, 0x00, 0x10, 0x96,          /* facilities */
		[10] = 0x20, 0x26,                     /* a DASD, a 3390 */
		[22] = 2, 34, 19, 9, 6, 116,           /* space formula 2, its factors 1 to 5 */
		[48] = 6,                              /* factor 6 */
	};

	put_be16(data + 12, cylinders > 0xfffd ? 0xfffe : cylinders);
	put_be16(data + 14, eckd->image->heads);
	put_be32(data + 16, (224u << 24) | 58786u);    /* sectors (1 byte), bytes in a track (3) */
	put_be16(data + 20, 1428);                     /* home address */
	put_be16(data + 44, 57326);                    /* longest record 0 */
	put_be32(data + 60, cylinders);
	channel_store(channel, data, sizeof(data));
	return UNIT_END;
}

static uint8_t ebcdic(char c)
{
	if (c >= '0' && c <= '9')
		return (uint8_t)(0xf0 + (c - '0'));
	if (c >= 'A' && c <= 'I')
		return (uint8_t)(0xc1 + (c - 'A'));
	if (c >= 'J' && c <= 'R')
		return (uint8_t)(0xd1 + (c - 'J'));
	if (c >= 'S' && c <= 'Z')
		return (uint8_t)(0xe2 + (c - 'S'));
	return 0x40;
}

static void put_text(uint8_t *to, const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		to[i] = ebcdic(text[i]);
}

bool eckd_set_serial(struct eckd_identity *identity, const char *text, size_t size)
{
	if (size > ECKD_SERIAL_SIZE)
		return false;
	for (size_t i = 0; i < size; i++)
		if (!(text[i] >= '0' && text[i] <= '9') && !(text[i] >= 'A' && text[i] <= 'Z'))
			return false;
	memset(identity->serial, '0', ECKD_SERIAL_SIZE - size);
	memcpy(identity->serial + ECKD_SERIAL_SIZE - size, text, size);
	return true;
}

static const char model_names[][4] = {"002", "006", "00A", "00C", "00E"};

static const char *model_name(uint8_t model)
{
	switch (model) {
	case 0x02: return model_names[0];
	case 0x06: return model_names[1];
	case 0x0a: return model_names[2];
	case 0x0c: return model_names[3];
	default: return model_names[4];
	}
}

/* Node-element descriptor of the device. */
static void describe_node(const struct eckd_identity *identity, uint8_t ned[DESCRIPTOR_SIZE])
{
	ned[0] = 0xc8;                                 /* a NED; its serial number is valid */
	ned[1] = 0x01;                                 /* of an I/O device */
	ned[2] = 0x01;                                 /* a DASD */
	put_text(ned + 4, "003390", 6);
	put_text(ned + 10, model_name(identity->dev_model), 3);
	put_text(ned + 13, "IBM", 3);
	put_text(ned + 16, identity->serial, ECKD_SERIAL_SIZE);
	ned[30] = (uint8_t)(identity->ssid);           /* logical subsystem */
	ned[31] = identity->unit_address;
}

/* General node-element qualifier: timeout, subsystem. */
static void qualify_node(const struct eckd_identity *identity, uint8_t gneq[DESCRIPTOR_SIZE])
{
	gneq[0] = 0x80;
	gneq[6] = 0x1e;                                /* missing-interrupt timeout: 30 * 10^0 s */
	put_be16(gneq + 8, identity->ssid);
}

/* Specific node-element qualifier: the device is an alias, and of which unit. */
static void qualify_alias(const struct eckd_identity *identity, uint8_t sneq[DESCRIPTOR_SIZE])
{
	sneq[0] = 0x40;
	put_be16(sneq + 2, 1);                         /* format */
	sneq[8] = identity->alias;
	sneq[9] = identity->base_unit_address;
}

uint8_t eckd_read_configuration(struct device *device, struct channel *channel)
{
	const struct eckd *eckd = eckd_of(device);
	uint8_t data[CONFIGURATION_SIZE] = {0};

	describe_node(&eckd->identity, data);
	if (eckd->identity.alias)
		qualify_alias(&eckd->identity, data + DESCRIPTOR_SIZE);
	qualify_node(&eckd->identity, data + CONFIGURATION_SIZE - DESCRIPTOR_SIZE);
	channel_store(channel, data, sizeof(data));
	return UNIT_END;
}

/* Data that can be prepared to be read, by the suborders of Perform Subsystem Function. */
enum { PAGE_UNIT_ADDRESSES = 0x0e, PAGE_HOST_ACCESS = 0x1c, PAGE_FEATURES = 0x41 };

static bool has_page(const struct eckd *eckd, uint8_t page)
{
	return page == PAGE_UNIT_ADDRESSES || page == PAGE_FEATURES ||
	       (page == PAGE_HOST_ACCESS && eckd->other_systems);
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
 * commands for whole tracks. Nothing else is there (transport mode, extent-space-efficient volumes, ...).
 */
static void give_features(const struct eckd *eckd, struct channel *channel)
{
	uint8_t features[256] = {0};

	if (eckd->announces_prefix) {
		features[8] = 0x01;                    /* Prefix */
		features[9] = 0x20;                    /* Read Track Data */
		features[12] = 0x40;                   /* Write Track Data */
	}
	if (eckd->other_systems)
		features[14] = 0x80;                   /* query host access */
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

uint8_t eckd_read_subsystem_data(struct device *device, struct channel *channel)
{
	struct eckd *eckd = eckd_of(device);
	uint8_t page = eckd->chain->page;

	eckd->chain->page = 0;
	switch (page) {
	case PAGE_FEATURES:
		give_features(eckd, channel);
		return UNIT_END;
	case PAGE_UNIT_ADDRESSES:
		give_unit_addresses(eckd, channel);
		return UNIT_END;
	case PAGE_HOST_ACCESS:
		give_host_access(eckd, channel);
		return UNIT_END;
	default:
		return eckd_reject(eckd, MESSAGE_SEQUENCE);
	}
}
