/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Does with the channel core what guest.S does on a machine: walks the job table in main storage, and for each program
 * sets CCHH, starts the subchannel, takes the interruption, tests the subchannel, compares the SCSW.
 *
 *   driver subchannel|vfio IMAGE STORAGE-BEFORE STORAGE-AFTER
 *
 * "vfio": through the regions of the vfio-ccw device instead, as QEMU does.
 * Timing is by CLOCK_MONOTONIC; the job table holds it in TOD clock units (4096 a microsecond).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bytes.h"
#include "ckd_image.h"
#include "eckd.h"
#include "storage.h"
#include "subchannel.h"
#include "vfio_ccw.h"

enum { JOB_TABLE = 0x3000, JOB_SIZE = 128, ERROR = 0x2f00, IRB = 0x2180, INTERRUPTION = 0xb8, DEVNO = 0x0a80 };
enum { FLAGS = 0, PROGRAMS = 4, ORB = 8, PATCH1 = 12, PATCH2 = 16, EXPECTED = 20, BUFFER = 28, LENGTH = 32, FIRST = 36,
       LIMIT = 40, STAMP = 44, START = 48, STOP = 56, DONE = 64, SUM = 68, LAST = 72 };
enum { IO = 0x80, NEXT_TRACK = 0x20, SUM_ALL = 0x10, POISON_EACH = 0x08, STAMP_ONCE = 0x04, POISON_ONCE = 0x02 };
enum { FAILED_SETUP = 1, FAILED_START = 3, FAILED_TEST = 4, FAILED_STATUS = 5 };
enum { SUBCLASSES = 0xff }; /* that control register 6 lets through */

struct machine {
	uint8_t *main;
	size_t size;
	struct storage storage;
	struct ckd_image image;
	struct eckd disk;
	struct subchannel sch;
	struct vfio_ccw vfio;
	unsigned interrupts;     /* that vfio has signalled */
	unsigned (*cycle)(struct machine *machine, uint32_t orb);
};

static void die(const char *what, const char *why)
{
	fprintf(stderr, "driver: %s: %s\n", what, why);
	exit(1);
}

static void put_be64(uint8_t *p, uint64_t value)
{
	put_be32(p, (uint32_t)(value >> 32));
	put_be32(p + 4, (uint32_t)value);
}

static uint64_t clock_units(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return ((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec) * 4096 / 1000;
}

/* ---- one program, start to tested status. Two ways; the IRB is in main storage afterwards. 0 or what failed ---- */

/* What a processor does for an I/O interruption: subclass against mask, interruption code into low core. */
static bool take_interruption(struct machine *machine)
{
	const uint8_t *pmcw = machine->sch.schib;
	unsigned subclass = (get_be16(pmcw + PMCW_FLAGS) & PMCW_ISC) >> 11;

	if (!subchannel_pending(&machine->sch) || !(SUBCLASSES & (0x80u >> subclass)))
		return false;
	put_be32(machine->main + INTERRUPTION, 0x00010000u);
	memcpy(machine->main + INTERRUPTION + 4, pmcw + PMCW_INTPARM, 4);
	put_be32(machine->main + INTERRUPTION + 8, subclass << 27);
	return true;
}

static unsigned cycle_subchannel(struct machine *machine, uint32_t address)
{
	struct channel_orb orb;

	subchannel_parse_orb(&orb, machine->main + address);
	if (subchannel_start(&machine->sch, &orb, &machine->storage, channel_ccw_from_storage, &machine->storage))
		return FAILED_START;
	if (!take_interruption(machine) || subchannel_test(&machine->sch, machine->main + IRB))
		return FAILED_TEST;
	return 0;
}

static void signalled(void *context, enum vfio_irq irq)
{
	struct machine *machine = context;

	machine->interrupts += irq == VFIO_IRQ_IO;
}

static unsigned cycle_vfio(struct machine *machine, uint32_t address)
{
	uint8_t region[VFIO_IO_SIZE] = {0};

	memcpy(region, machine->main + address, CSS_ORB_SIZE);
	put_be32(region + CSS_ORB_SIZE, SCSW_FC_START);
	machine->interrupts = 0;
	if (vfio_ccw_write(&machine->vfio, VFIO_IO << VFIO_REGION_SHIFT, region, sizeof(region)))
		return FAILED_START;
	if (machine->interrupts != 1 ||
	    vfio_ccw_read(&machine->vfio, (VFIO_IO << VFIO_REGION_SHIFT) + 24, machine->main + IRB, CSS_IRB_SIZE))
		return FAILED_TEST;
	return 0;
}

/* ---- jobs ---- */

static unsigned give_up(struct machine *machine, unsigned failed, uint32_t left)
{
	put_be32(machine->main + ERROR, failed);
	put_be32(machine->main + ERROR + 8, left);
	memcpy(machine->main + ERROR + 12, machine->main + IRB, CSS_IRB_SIZE);
	return failed;
}

/* As the instruction CHECKSUM: words, added with end-around carry. */
static uint32_t checksum(uint32_t sum, const uint8_t *data, uint32_t size)
{
	uint64_t total = sum;

	for (uint32_t at = 0; at < size; at += 4)
		total += get_be32(data + at);
	while (total >> 32)
		total = (total & 0xffffffffu) + (total >> 32);
	return (uint32_t)total;
}

static uint32_t next_track(uint32_t cchh, uint32_t first, uint32_t limit)
{
	cchh++;
	if ((cchh & 0xffff) < CKD_3390_HEADS)
		return cchh;
	cchh = (cchh & 0xffff0000u) + 0x10000u;
	return cchh < limit ? cchh : first;
}

static void prepare(struct machine *machine, const uint8_t *job)
{
	uint8_t *buffer = machine->main + get_be32(job + BUFFER);

	if (job[FLAGS] & POISON_ONCE)
		memset(buffer, 0xee, get_be32(job + LENGTH));
	for (uint32_t at = 0; job[FLAGS] & STAMP_ONCE && at < get_be32(job + LENGTH); at += 4096)
		put_be32(buffer + at, get_be32(job + STAMP) + at / 4096);
}

static unsigned run_job(struct machine *machine, uint8_t *job)
{
	uint8_t flags = job[FLAGS];
	uint32_t cchh = get_be32(job + FIRST), first = cchh, limit = get_be32(job + LIMIT), orb = get_be32(job + ORB);
	uint8_t *patch1 = machine->main + get_be32(job + PATCH1), *patch2 = machine->main + get_be32(job + PATCH2);
	uint8_t *buffer = machine->main + get_be32(job + BUFFER);
	uint32_t length = get_be32(job + LENGTH), sum = 0;

	prepare(machine, job);
	put_be64(job + START, clock_units());
	for (uint32_t left = get_be32(job + PROGRAMS); left; left--) {
		put_be32(patch1, cchh);
		put_be32(patch2, cchh);
		if (flags & POISON_EACH)
			memset(buffer, 0xee, length);
		if (flags & IO) {
			unsigned failed = machine->cycle(machine, orb);

			if (!failed && memcmp(machine->main + IRB + 4, job + EXPECTED, 8))
				failed = FAILED_STATUS;
			if (failed)
				return give_up(machine, failed, left);
		}
		if (flags & SUM_ALL)
			sum = checksum(sum, buffer, length);
		put_be32(job + LAST, cchh);
		if (flags & NEXT_TRACK)
			cchh = next_track(cchh, first, limit);
	}
	put_be64(job + STOP, clock_units());
	put_be32(job + DONE, get_be32(job + PROGRAMS));
	put_be32(job + SUM, sum);
	return 0;
}

static void run_jobs(struct machine *machine)
{
	for (uint32_t at = JOB_TABLE; get_be32(machine->main + at + PROGRAMS); at += JOB_SIZE) {
		if (run_job(machine, machine->main + at)) {
			put_be32(machine->main + ERROR + 4, at);
			return;
		}
	}
}

/* ---- setting up ---- */

static void load_storage(struct machine *machine, const char *path)
{
	int fd = open(path, O_RDONLY);
	struct stat status;

	if (fd < 0 || fstat(fd, &status))
		die(path, strerror(errno));
	machine->size = (size_t)status.st_size;
	machine->main = aligned_alloc(4096, (machine->size + 4095) & ~(size_t)4095);
	if (!machine->main || read(fd, machine->main, machine->size) != status.st_size)
		die(path, "cannot be read");
	close(fd);
	storage_init(&machine->storage);
	if (storage_map(&machine->storage, &(struct storage_area){.size = machine->size, .host = machine->main}))
		die(path, "cannot be mapped");
}

static void save_storage(const struct machine *machine, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0 || write(fd, machine->main, machine->size) != (ssize_t)machine->size || close(fd))
		die(path, strerror(errno));
}

static void attach_disk(struct machine *machine, const char *path)
{
	const struct eckd_identity identity = {.cu_model = 0xe9, .dev_model = 0x0a, .serial = "750000000BEN01"};
	int fd = open(path, O_RDWR);
	struct ckd_problem problem;

	if (fd < 0)
		die(path, strerror(errno));
	if (!ckd_image_open(&machine->image, fd, true, &problem))
		die(path, problem.text);
	eckd_init(&machine->disk, &machine->image, &identity, false);
	if (subchannel_init(&machine->sch, &(struct subchannel_config){
			    .device = &machine->disk.device, .devno = DEVNO, .chpids = {0x41}, .pim = 0x80, .pam = 0x80,
			    .pom = 0xff, .enabled = true, .concurrent_sense = true}))
		die(path, "the subchannel cannot be set up");
}

int main(int count, char **arguments)
{
	static struct machine machine;

	if (count != 5)
		die("usage", "driver subchannel|vfio IMAGE STORAGE-BEFORE STORAGE-AFTER");
	load_storage(&machine, arguments[3]);
	attach_disk(&machine, arguments[2]);
	machine.cycle = cycle_subchannel;
	if (!strcmp(arguments[1], "vfio")) {
		machine.cycle = cycle_vfio;
		vfio_ccw_init(&machine.vfio, &machine.sch, &machine.storage, &(struct vfio_kernel){.ida_2k = true});
		machine.vfio.signal = signalled;
		machine.vfio.context = &machine;
		if (vfio_ccw_open(&machine.vfio))
			die("vfio-ccw", "cannot be opened");
	}
	run_jobs(&machine);
	ckd_image_close(&machine.image);
	save_storage(&machine, arguments[4]);
	return 0;
}
