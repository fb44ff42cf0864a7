/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one piece of global state of the core: signal handlers have no context. It costs nothing until a fault happens.
 * To ask for the file's size before each program would cost an fstat, 1 us where a program of one CCW takes 0.2 us,
 * and the file can shrink right after.
 */
#define _GNU_SOURCE
#include "fault_guard.h"

#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define GUARDS 65536 /* as many mappings as Linux lets a process have (vm.max_map_count) */

struct guard {
	_Atomic uintptr_t base;     /* 0: free, 1: being set up */
	_Atomic size_t size;
	atomic_bool *_Atomic lost;
};

static struct guard guards[GUARDS];
static atomic_uint guards_used; /* slots that have ever been in use */
static struct sigaction before;
static size_t page_size;

/* Replace the page of address: what other pages hold by now must stay. */
static bool repair(uintptr_t address)
{
	for (unsigned i = 0; i < atomic_load(&guards_used); i++) {
		uintptr_t base = atomic_load(&guards[i].base), page = address & ~(uintptr_t)(page_size - 1);
		size_t size = atomic_load(&guards[i].size);
		atomic_bool *lost = atomic_load(&guards[i].lost);

		if (base <= 1 || address < base || address - base >= size)
			continue;
		if (mmap((void *)page, page_size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == MAP_FAILED)
			return false;
		atomic_store(lost, true);
		return true;
	}
	return false;
}

static void on_fault(int number, siginfo_t *info, void *context)
{
	if (info->si_code > 0 && repair((uintptr_t)info->si_addr))
		return;
	if (before.sa_flags & SA_SIGINFO && before.sa_sigaction)
		before.sa_sigaction(number, info, context);
	else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN)
		before.sa_handler(number);
	else
		signal(number, SIG_DFL); /* the access is made again, and ends the process */
}

/* Come first, also after someone else has set a handler. */
static void install(void)
{
	struct sigaction action, now;

	page_size = (size_t)sysconf(_SC_PAGESIZE);
	memset(&action, 0, sizeof(action));
	action.sa_sigaction = on_fault;
	action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
	sigemptyset(&action.sa_mask);
	if (sigaction(SIGBUS, NULL, &now) || (now.sa_flags & SA_SIGINFO && now.sa_sigaction == on_fault))
		return;
	before = now;
	sigaction(SIGBUS, &action, NULL);
}

bool guard_add(void *base, size_t size, atomic_bool *lost)
{
	install();
	for (unsigned i = 0; i < GUARDS; i++) {
		uintptr_t none = 0;
		unsigned used = atomic_load(&guards_used);

		if (atomic_load(&guards[i].base) || !atomic_compare_exchange_strong(&guards[i].base, &none, 1))
			continue;
		atomic_store(&guards[i].size, size);
		atomic_store(&guards[i].lost, lost);
		atomic_store(&guards[i].base, (uintptr_t)base);
		while (used <= i && !atomic_compare_exchange_weak(&guards_used, &used, i + 1))
			;
		return true;
	}
	return false;
}

void guard_remove(const void *base)
{
	for (unsigned i = 0; i < atomic_load(&guards_used); i++)
		if (atomic_load(&guards[i].base) == (uintptr_t)base)
			atomic_store(&guards[i].base, 0);
}
