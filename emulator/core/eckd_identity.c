/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who the device is: Sense ID, Read Device Characteristics, Read Configuration Data. */
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
