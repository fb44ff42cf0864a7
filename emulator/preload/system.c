/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For LD_PRELOAD: what some system calls answer on the emulated host, for a program that relies on them.
 *
 * uname(2) tells of the machine that the emulator runs on. The release is the emulated kernel's, as /proc has it.
 *
 * get_mempolicy(2) may know of memory nodes; the emulated host has none in its /sys, as Debian's s390x kernels.
 *
 * The root of the emulated host may raise the limit of locked memory and choose its groups. That of a user namespace
 * may not do the former, nor the latter where it is an ordinary user outside: then both stay as they are. No device of
 * the emulated host needs memory that is locked, and a namespace of one id has no other group.
 */
#define _GNU_SOURCE
/* Would give our functions the names of others. */
#undef _FILE_OFFSET_BITS
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/utsname.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define RELEASE "/proc/sys/kernel/osrelease"
#define MACHINE "s390x"

/* The emulated kernel's; what is there stays where nothing says it. */
static void read_release(struct utsname *names)
{
	char line[sizeof(names->release)] = "";
	int before = errno, fd = open(RELEASE, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);

	if (fd >= 0)
		close(fd);
	errno = before;
	line[strcspn(line, "\n")] = '\0';
	if (got > 0)
		memcpy(names->release, line, sizeof(line));
}

EXPORT int uname(struct utsname *names)
{
	if (syscall(SYS_uname, names) < 0)
		return -1;
	read_release(names);
	memcpy(names->machine, MACHINE, sizeof(MACHINE));
	return 0;
}

/* numa(3), which asks by get_mempolicy(2). Who believed it would add up the memory of no node. */
EXPORT int numa_available(void);
EXPORT int numa_available(void)
{
	return -1;
}

/* The kernel has one call for all; its limits have 64 bits everywhere. */
static int limit(pid_t pid, unsigned int resource, const struct rlimit64 *new, struct rlimit64 *old)
{
	int before = errno;

	if (!syscall(SYS_prlimit64, pid, resource, new, old))
		return 0;
	if (errno != EPERM || resource != RLIMIT_MEMLOCK || !new)
		return -1;
	errno = before;
	return old ? (int)syscall(SYS_prlimit64, pid, resource, NULL, old) : 0;
}

EXPORT int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *new)
{
	return limit(0, resource, new, NULL);
}

EXPORT int prlimit64(pid_t pid, __rlimit_resource_t resource, const struct rlimit64 *new, struct rlimit64 *old)
{
	return limit(pid, resource, new, old);
}

#if __SIZEOF_LONG__ == 8 /* then both are the same function to a program */
EXPORT int setrlimit(__rlimit_resource_t resource, const struct rlimit *new)
{
	return limit(0, resource, (const struct rlimit64 *)new, NULL);
}

EXPORT int prlimit(pid_t pid, __rlimit_resource_t resource, const struct rlimit *new, struct rlimit *old)
{
	return limit(pid, resource, (const struct rlimit64 *)new, (struct rlimit64 *)old);
}
#endif

/* The C library's has every thread do it. */
EXPORT int setgroups(size_t size, const gid_t *list)
{
	void *next = dlsym(RTLD_NEXT, "setgroups");
	int (*function)(size_t, const gid_t *);
	int before = errno;

	if (!next)
		return errno = ENOSYS, -1;
	memcpy(&function, &next, sizeof(next)); /* ISO C has no such conversion; POSIX says that the bytes are the same */
	if (!function(size, list))
		return 0;
	if (errno != EPERM)
		return -1;
	errno = before;
	return 0;
}
