/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include "node.h"

#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define DESCRIPTORS 65536

static struct node *_Atomic nodes[DESCRIPTORS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* A child process shares nothing of what is behind the descriptors, least of all the right to let go of it. */
static void forget_all(void)
{
	for (int fd = 0; fd < DESCRIPTORS; fd++)
		if (atomic_load_explicit(&nodes[fd], memory_order_relaxed))
			atomic_store(&nodes[fd], NULL);
	pthread_mutex_init(&lock, NULL);
}

__attribute__((constructor)) static void watch_forks(void)
{
	pthread_atfork(NULL, NULL, forget_all);
}

void node_init(struct node *node, const struct node_class *class)
{
	node->class = class;
	atomic_init(&node->references, 1);
}

void node_hold(struct node *node)
{
	atomic_fetch_add(&node->references, 1);
}

void node_release(struct node *node)
{
	if (atomic_fetch_sub(&node->references, 1) == 1)
		node->class->release(node);
}

int node_install(struct node *node)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		return -errno;
	if (fd >= DESCRIPTORS) {
		close(fd);
		return -EMFILE;
	}
	atomic_store(&nodes[fd], node);
	return fd;
}

/* Descriptors of the program's own must cost no more than one look. */
static bool ours(int fd)
{
	return fd >= 0 && fd < DESCRIPTORS && atomic_load_explicit(&nodes[fd], memory_order_acquire);
}

struct node *node_of(int fd)
{
	struct node *node;

	if (!ours(fd))
		return NULL;
	pthread_mutex_lock(&lock);
	node = atomic_load(&nodes[fd]);
	if (node)
		node_hold(node);
	pthread_mutex_unlock(&lock);
	return node;
}

void node_forget(int fd)
{
	struct node *node;

	if (!ours(fd))
		return;
	pthread_mutex_lock(&lock);
	node = atomic_exchange(&nodes[fd], NULL);
	pthread_mutex_unlock(&lock);
	if (node)
		node_release(node);
}
