/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The behaviour of Linux drivers/s390/cio/vfio_ccw_cp.c, as seen from outside. */
#include "vfio_program.h"

#include <errno.h>
#include <string.h>

#include "bytes.h"

static bool is_tic(const uint8_t ccw[CSS_CCW_SIZE])
{
	return ccw[0] == CCW_TIC;
}

static uint32_t data_address(const uint8_t ccw[CSS_CCW_SIZE])
{
	return get_be32(ccw + 4);
}

/* A format-0 CCW as format 1. Of a transfer in channel only the address counts. */
static void convert(uint8_t ccw[CSS_CCW_SIZE])
{
	const uint8_t old[CSS_CCW_SIZE] = {ccw[0], ccw[1], ccw[2], ccw[3], ccw[4], ccw[5], ccw[6], ccw[7]};
	bool tic = (old[0] & 0x0f) == CCW_TIC;

	ccw[0] = tic ? CCW_TIC : old[0];
	ccw[1] = tic ? 0 : old[4];
	ccw[2] = tic ? 0 : old[6];
	ccw[3] = tic ? 0 : old[7];
	put_be32(ccw + 4, get_be32(old) & 0x00ffffffu);
}

static bool inside(const struct vfio_chain *chain, unsigned count, uint32_t address)
{
	return address >= chain->address && address - chain->address < count * CSS_CCW_SIZE;
}

/*
 * CCWs of a piece: it goes on while a CCW chains, or is a transfer in channel back into the piece itself (the CCW
 * behind it is reached by status modifier). 0: too long.
 */
static unsigned chain_length(const struct vfio_chain *chain)
{
	for (unsigned i = 0; i < VFIO_CHAIN_CCWS; i++) {
		const uint8_t *ccw = chain->ccws[i];

		if (is_tic(ccw) ? inside(chain, i + 1, data_address(ccw)) : ccw[1] & (CCW_CC | CCW_CD))
			continue;
		return i + 1;
	}
	return 0;
}

static int copy_chain(struct vfio_program *program, uint32_t address, bool format0, const struct storage *storage)
{
	struct vfio_chain *chain = &program->chains[program->count];

	if (program->count == VFIO_CHAINS || !storage_read(storage, address, chain->ccws, sizeof(chain->ccws)))
		return EINVAL;
	chain->address = address;
	for (unsigned i = 0; format0 && i < VFIO_CHAIN_CCWS; i++)
		convert(chain->ccws[i]);
	chain->count = chain_length(chain);
	if (!chain->count)
		return EINVAL;
	program->count++;
	return 0;
}

static const struct vfio_chain *chain_of(const struct vfio_program *program, uint32_t address)
{
	for (unsigned i = 0; i < program->count; i++)
		if (inside(&program->chains[i], program->chains[i].count, address))
			return &program->chains[i];
	return NULL;
}

/* Does the command move data to or from storage? */
static bool moves_data(const uint8_t ccw[CSS_CCW_SIZE])
{
	uint8_t code = ccw[0];

	if (!get_be16(ccw + 2) || code == 0x03)
		return false;
	if (!(ccw[1] & CCW_SKIP))
		return true;
	return (code & 0x03) != 0x02 && (code & 0x0f) != 0x0c && (code & 0x0f) != 0x04;
}

/* All that the list of indirect addresses designates is mapped. */
static bool idal_mapped(const uint8_t ccw[CSS_CCW_SIZE], const struct channel_orb *orb, const struct storage *storage)
{
	bool wide = orb->flags & ORB_IDA64;
	uint32_t block = wide && !(orb->flags & ORB_IDA2K) ? 4096 : 2048;
	uint32_t left = get_be16(ccw + 2);
	uint64_t list = data_address(ccw);

	while (left) {
		uint8_t word[8];
		uint64_t address;
		uint32_t piece;

		if (!storage_read(storage, list, word, wide ? 8 : 4))
			return false;
		address = wide ? get_be64(word) : get_be32(word);
		piece = block - (uint32_t)(address % block);
		if (piece > left)
			piece = left;
		if (!storage_mapped(storage, address, piece))
			return false;
		left -= piece;
		list += wide ? 8 : 4;
	}
	return true;
}

static int check_ccw(const struct vfio_program *program, const uint8_t ccw[CSS_CCW_SIZE],
		     const struct channel_orb *orb, const struct storage *storage, const struct vfio_kernel *kernel)
{
	if (is_tic(ccw))
		return chain_of(program, data_address(ccw)) ? 0 : EFAULT;
	if (ccw[1] & CCW_IDA && !kernel->ida_2k && (orb->flags & (ORB_IDA64 | ORB_IDA2K)) != ORB_IDA64)
		return EOPNOTSUPP;
	if (!moves_data(ccw))
		return 0;
	if (ccw[1] & CCW_IDA)
		return idal_mapped(ccw, orb, storage) ? 0 : EINVAL;
	return storage_mapped(storage, data_address(ccw), get_be16(ccw + 2)) ? 0 : EINVAL;
}

/* Copy the pieces that this one's transfers in channel lead to, unless they have been copied. */
static int follow(struct vfio_program *program, unsigned index, bool format0, const struct storage *storage)
{
	const struct vfio_chain *chain = &program->chains[index];

	for (unsigned i = 0; i < chain->count; i++) {
		uint32_t target = data_address(chain->ccws[i]);
		int error;

		if (!is_tic(chain->ccws[i]) || chain_of(program, target))
			continue;
		error = copy_chain(program, target, format0, storage);
		if (error)
			return error;
	}
	return 0;
}

/*
 * The driver makes lists of IDAWs for whatever data a CCW designates. It does not know of modified IDAWs, and leaves
 * their flag on: with both, the CCW is invalid to the channel.
 */
static void translate_midaws(struct vfio_chain *chain)
{
	for (unsigned i = 0; i < chain->count; i++)
		if (!is_tic(chain->ccws[i]) && chain->ccws[i][1] & CCW_MIDA)
			chain->ccws[i][1] |= CCW_IDA;
}

int vfio_program_copy(struct vfio_program *program, const struct channel_orb *orb, const struct storage *storage,
		      const struct vfio_kernel *kernel)
{
	bool format0 = !(orb->flags & ORB_FORMAT1);
	int error;

	program->count = 0;
	if (kernel->needs_prefetch && !(orb->flags & ORB_PREFETCH))
		return EOPNOTSUPP;
	error = copy_chain(program, orb->cpa, format0, storage);
	for (unsigned i = 0; !error && i < program->count; i++)
		error = follow(program, i, format0, storage);
	for (unsigned i = 0; !error && i < program->count; i++)
		for (unsigned j = 0; !error && j < program->chains[i].count; j++)
			error = check_ccw(program, program->chains[i].ccws[j], orb, storage, kernel);
	for (unsigned i = 0; !error && i < program->count; i++)
		translate_midaws(&program->chains[i]);
	return error;
}

enum storage_access vfio_program_ccw(const void *source, uint32_t address, uint8_t key, uint8_t ccw[CSS_CCW_SIZE],
				     struct storage_window *near)
{
	const struct vfio_chain *chain = chain_of(source, address);

	(void)key;
	if (!chain || (address - chain->address) % CSS_CCW_SIZE)
		return STORAGE_UNAVAILABLE;
	*near = (struct storage_window){chain->address, chain->count * CSS_CCW_SIZE, (uint8_t *)chain->ccws};
	memcpy(ccw, storage_window_host(near, address), CSS_CCW_SIZE);
	return STORAGE_DONE;
}
