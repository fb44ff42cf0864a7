/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The library's face: the C library's functions by which a program reaches vfio, for LD_PRELOAD. What is not about
 * /dev/vfio goes on to the C library.
 */
#define _GNU_SOURCE
/* Both would give our functions the names, or the bodies, of others. */
#undef _FORTIFY_SOURCE
#undef _FILE_OFFSET_BITS
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "container.h"
#include "group.h"
#include "node.h"
#include "paths.h"

#define EXPORT __attribute__((visibility("default")))
#define NODES "/dev/vfio/"

/* The function of this name behind ours. Without one nothing can go on. */
static void *next_function(const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (!function) {
		fprintf(stderr, "ccwemu-vfio: the C library has no %s\n", name);
		abort();
	}
	return function;
}

/* ISO C has no conversion from an object's pointer to a function's; POSIX says that the bytes are the same. */
#define NEXT(type, variable, name)                                                                                     \
	static type (*_Atomic variable##_cache);                                                                       \
	type(*variable) = variable##_cache;                                                                            \
	if (!variable) {                                                                                               \
		void *found = next_function(name);                                                                     \
		memcpy(&variable, &found, sizeof(found));                                                              \
		variable##_cache = variable;                                                                           \
	}

typedef int open_function(const char *, int, ...);
typedef int openat_function(int, const char *, int, ...);
typedef int ioctl_function(int, unsigned long, ...);
typedef ssize_t pread_function(int, void *, size_t, off64_t);
typedef ssize_t pwrite_function(int, const void *, size_t, off64_t);
typedef int close_function(int);

static int next_open(const char *path, int flags, mode_t mode)
{
	NEXT(open_function, function, "open64")
	return function(path, flags, mode);
}

static int next_openat(int directory, const char *path, int flags, mode_t mode)
{
	NEXT(openat_function, function, "openat64")
	return function(directory, path, flags, mode);
}

static int next_close(int fd)
{
	NEXT(close_function, function, "close")
	return function(fd);
}

/* ---- open ---- */

static bool all_digits(const char *text)
{
	size_t size = strspn(text, "0123456789");

	return size && size < 10 && !text[size];
}

static bool is_vfio(const char *path)
{
	if (!path || strncmp(path, NODES, strlen(NODES)))
		return false;
	path += strlen(NODES);
	return !strcmp(path, "vfio") || all_digits(path);
}

static int install(struct node *node)
{
	int fd;

	if (!node)
		return -ENOMEM;
	fd = node_install(node);
	if (fd < 0)
		node_release(node);
	return fd;
}

/* What a file of /dev/vfio is here. It takes the file over: as long as it lives, the emulated host has it open. */
static int install_file(const char *name, int file)
{
	struct container *container;
	struct group *group;

	if (!strcmp(name, "vfio")) {
		container = container_new(file);
		return install(container ? &container->node : NULL);
	}
	group = group_new((unsigned)strtoul(name, NULL, 10), file);
	return install(group ? &group->node : NULL);
}

/* The emulated host's node says whether it may be opened; what it then is, is here. */
static int open_vfio(const char *path, int flags)
{
	const char *name = path + strlen(NODES);
	char real[PATH_MAX];
	int fd = host_path(real, "%s", path);

	if (fd) {
		errno = -fd;
		return -1;
	}
	fd = next_open(real, flags | O_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	fd = install_file(name, fd);
	if (fd >= 0)
		return fd;
	errno = -fd;
	return -1;
}

static mode_t mode_argument(int flags, va_list args)
{
	return flags & (O_CREAT | __O_TMPFILE) ? (mode_t)va_arg(args, unsigned) : 0;
}

static int open_any(const char *path, int flags, mode_t mode)
{
	return is_vfio(path) ? open_vfio(path, flags) : next_open(path, flags, mode);
}

static int openat_any(int directory, const char *path, int flags, mode_t mode)
{
	return is_vfio(path) ? open_vfio(path, flags) : next_openat(directory, path, flags, mode);
}

/* Where off_t has 64 bits, open and open64 differ in name only. */
_Static_assert(sizeof(off_t) == 8, "a 64-bit machine");

#define DEFINE_OPEN(name)                                                                                              \
	EXPORT int name(const char *path, int flags, ...)                                                              \
	{                                                                                                              \
		va_list args;                                                                                          \
		mode_t mode;                                                                                           \
                                                                                                                       \
		va_start(args, flags);                                                                                 \
		mode = mode_argument(flags, args);                                                                     \
		va_end(args);                                                                                          \
		return open_any(path, flags, mode);                                                                    \
	}
#define DEFINE_OPENAT(name)                                                                                            \
	EXPORT int name(int directory, const char *path, int flags, ...)                                               \
	{                                                                                                              \
		va_list args;                                                                                          \
		mode_t mode;                                                                                           \
                                                                                                                       \
		va_start(args, flags);                                                                                 \
		mode = mode_argument(flags, args);                                                                     \
		va_end(args);                                                                                          \
		return openat_any(directory, path, flags, mode);                                                       \
	}

DEFINE_OPEN(open)
DEFINE_OPEN(open64)
DEFINE_OPENAT(openat)
DEFINE_OPENAT(openat64)

/* What fortified programs call where no mode is given. */
EXPORT int __open_2(const char *path, int flags);
EXPORT int __open64_2(const char *path, int flags);
EXPORT int __openat_2(int directory, const char *path, int flags);
EXPORT int __openat64_2(int directory, const char *path, int flags);

int __open_2(const char *path, int flags)
{
	return open_any(path, flags, 0);
}

int __open64_2(const char *path, int flags)
{
	return open_any(path, flags, 0);
}

int __openat_2(int directory, const char *path, int flags)
{
	return openat_any(directory, path, flags, 0);
}

int __openat64_2(int directory, const char *path, int flags)
{
	return openat_any(directory, path, flags, 0);
}

/* ---- what is done with an open one ---- */

static long finish(struct node *node, long result)
{
	node_release(node);
	if (result >= 0)
		return result;
	errno = (int)-result;
	return -1;
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
	struct node *node = node_of(fd);
	void *argument;
	va_list args;

	va_start(args, request);
	argument = va_arg(args, void *);
	va_end(args);
	if (node)
		return (int)finish(node, node->class->control(node, request, argument));
	NEXT(ioctl_function, function, "ioctl")
	return function(fd, request, argument);
}

static ssize_t pread_any(int fd, void *data, size_t size, off64_t offset)
{
	struct node *node = node_of(fd);

	if (node)
		return finish(node, node->class->read ? node->class->read(node, data, size, (uint64_t)offset) : -EINVAL);
	NEXT(pread_function, function, "pread64")
	return function(fd, data, size, offset);
}

static ssize_t pwrite_any(int fd, const void *data, size_t size, off64_t offset)
{
	struct node *node = node_of(fd);

	if (node)
		return finish(node, node->class->write ? node->class->write(node, data, size, (uint64_t)offset) : -EINVAL);
	NEXT(pwrite_function, function, "pwrite64")
	return function(fd, data, size, offset);
}

EXPORT ssize_t pread(int fd, void *data, size_t size, off_t offset)
{
	return pread_any(fd, data, size, offset);
}

EXPORT ssize_t pread64(int fd, void *data, size_t size, off64_t offset)
{
	return pread_any(fd, data, size, offset);
}

EXPORT ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
	return pwrite_any(fd, data, size, offset);
}

EXPORT ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
	return pwrite_any(fd, data, size, offset);
}

EXPORT int close(int fd)
{
	node_forget(fd);
	return next_close(fd);
}
