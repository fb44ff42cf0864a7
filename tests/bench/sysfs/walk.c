/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads a whole tree as css_info does: each directory listed, each link read, each attribute opened, read once and
 * closed. Prints what it found, and how long that took, as a line of JSON.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct found {
	unsigned long attributes, refused, links, directories, bytes;
};

static _Noreturn void die(const char *name)
{
	fprintf(stderr, "%s: %s\n", name, strerror(errno));
	exit(1);
}

/* One that only takes writes, or whose show function fails, is refused. */
static void read_attribute(struct found *found, int directory, const char *name)
{
	char content[4096];
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, content, sizeof(content));

	if (fd >= 0)
		close(fd);
	if (size < 0) {
		found->refused++;
		return;
	}
	found->attributes++;
	found->bytes += (unsigned long)size;
}

static void read_link(struct found *found, int directory, const char *name)
{
	char text[4096];
	ssize_t size = readlinkat(directory, name, text, sizeof(text));

	if (size < 0)
		die(name);
	found->links++;
	found->bytes += (unsigned long)size;
}

static void walk(struct found *found, int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);

	if (!directory)
		die(name);
	found->directories++;
	for (struct dirent *entry; (entry = readdir(directory));) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (entry->d_type == DT_DIR)
			walk(found, fd, entry->d_name);
		else if (entry->d_type == DT_LNK)
			read_link(found, fd, entry->d_name);
		else
			read_attribute(found, fd, entry->d_name);
	}
	closedir(directory);
}

static double seconds(struct timespec time)
{
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double cpu_seconds(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
	struct found found = {0};
	struct timespec begin, end;

	if (argc != 2) {
		fprintf(stderr, "usage: walk DIRECTORY\n");
		return 2;
	}
	clock_gettime(CLOCK_MONOTONIC, &begin);
	walk(&found, AT_FDCWD, argv[1]);
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("{\"seconds\": %.6f, \"cpu\": %.6f, \"attributes\": %lu, \"refused\": %lu, \"links\": %lu, "
	       "\"directories\": %lu, \"bytes\": %lu}\n", seconds(end) - seconds(begin), cpu_seconds(), found.attributes,
	       found.refused, found.links, found.directories, found.bytes);
	return 0;
}
