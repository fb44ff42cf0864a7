/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The physical limits: moving a track's 12 x 4096 bytes between a mapped file and a buffer, without any channel.
 *
 *   memlimit IMAGE SCRATCH-COPY HEAD SECONDS
 *
 * Prints one JSON line: microseconds a track. HEAD: of the hot track. "first": 1500 tracks of a
 * mapping that has not been touched before.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

enum { TRACK = 56832, HEADER = 512, BLOCKS = 12, BLOCK = 4096, SWEEP = 1500, CYLINDER = 15, HOT = 101 * CYLINDER,
       HOT_WRITTEN = 111 * CYLINDER, WRITE_SWEEP = 121 * CYLINDER, REPEATS = 10 };

static unsigned char buffer[BLOCKS * BLOCK] __attribute__((aligned(4096)));
static unsigned char source[BLOCKS * BLOCK] __attribute__((aligned(4096)));

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void barrier(void)
{
	__asm__ volatile("" ::: "memory");
}

static unsigned char *track(unsigned char *image, int number)
{
	return image + HEADER + (size_t)number * TRACK;
}

static void copy(unsigned char *image, int number)
{
	(void)image;
	(void)number;
	memcpy(buffer, source, sizeof(buffer));
	barrier();
}

static unsigned char *block(unsigned char *image, int number, int record)
{
	return track(image, number) + 21 + record * (8 + BLOCK) + 8;
}

/* Of a length that the compiler knows it makes a string move; of one that it does not, a call into libc. */
static volatile size_t length = BLOCK;

static void scatter(unsigned char *image, int number)
{
	for (int i = 0; i < BLOCKS; i++)
		memcpy(buffer + i * BLOCK, block(image, number, i), BLOCK);
	barrier();
}

static void scatter_by_libc(unsigned char *image, int number)
{
	for (int i = 0; i < BLOCKS; i++)
		memcpy(buffer + i * BLOCK, block(image, number, i), length);
	barrier();
}

static void gather(unsigned char *image, int number)
{
	for (int i = 0; i < BLOCKS; i++)
		memcpy(block(image, number, i), buffer + i * BLOCK, BLOCK);
	barrier();
}

static void gather_by_libc(unsigned char *image, int number)
{
	for (int i = 0; i < BLOCKS; i++)
		memcpy(block(image, number, i), buffer + i * BLOCK, length);
	barrier();
}

/* Over `tracks` tracks from `first` on, in turn, for as long as asked, but each once at least. */
static double measure_once(void (*move)(unsigned char *, int), unsigned char *image, int first, int tracks,
			   double seconds)
{
	double begin = now(), end;
	long done = 0;

	do {
		for (int i = 0; i < tracks || i < 64; i++, done++)
			move(image, first + i % tracks);
		end = now();
	} while (end - begin < seconds);
	return (end - begin) / (double)done * 1e6;
}

/* The fastest of REPEATS (jobs.py), and of two ways to copy. */
static double measure(void (*const ways[2])(unsigned char *, int), unsigned char *image, int first, int tracks,
		      double seconds)
{
	double best = 1e9;

	for (int i = 0; i < 2 * REPEATS; i++) {
		double once = measure_once(ways[i % 2], image, first, tracks, seconds / REPEATS);

		best = once < best ? once : best;
	}
	return best;
}

static void (*const copying[])(unsigned char *, int) = {copy, copy};
static void (*const reading[])(unsigned char *, int) = {scatter, scatter_by_libc};
static void (*const writing[])(unsigned char *, int) = {gather, gather_by_libc};

static unsigned char *map(const char *path, int write)
{
	int fd = open(path, write ? O_RDWR : O_RDONLY);
	struct stat status;
	void *image;

	if (fd < 0 || fstat(fd, &status))
		goto failed;
	image = mmap(NULL, (size_t)status.st_size, PROT_READ | (write ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
	if (image != MAP_FAILED)
		return image;
failed:
	perror(path);
	exit(1);
}

int main(int count, char **arguments)
{
	unsigned char *image, *scratch;
	double seconds;
	int head;

	if (count != 5) {
		fprintf(stderr, "usage: memlimit IMAGE SCRATCH-COPY HEAD SECONDS\n");
		return 1;
	}
	image = map(arguments[1], 0);
	scratch = map(arguments[2], 1);
	head = atoi(arguments[3]);
	seconds = atof(arguments[4]);
	memset(source, 7, sizeof(source));
	memset(buffer, 8, sizeof(buffer)); /* touch both before the clock runs */
	printf("{\"read.first\": %.4f, ", measure_once(scatter, image, CYLINDER, SWEEP, 0));
	printf("\"copy\": %.4f, ", measure(copying, image, 0, 1, seconds));
	printf("\"read.hot\": %.4f, ", measure(reading, image, HOT + head, 1, seconds));
	printf("\"read.sweep\": %.4f, ", measure(reading, image, CYLINDER, SWEEP, seconds));
	measure_once(gather, scratch, HOT_WRITTEN + head, 1, 0);
	printf("\"write.hot\": %.4f, ", measure(writing, scratch, HOT_WRITTEN + head, 1, seconds));
	measure_once(gather, scratch, WRITE_SWEEP, SWEEP, 0);
	printf("\"write.sweep\": %.4f}\n", measure(writing, scratch, WRITE_SWEEP, SWEEP, seconds));
	return 0;
}
