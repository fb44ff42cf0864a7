/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What stands behind a descriptor that this library has given out: a container, a group, a device. The descriptor
 * itself is an eventfd, so that its number is taken and nothing else can be mistaken for it.
 */
#ifndef CCWEMU_PRELOAD_NODE_H
#define CCWEMU_PRELOAD_NODE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct node;

/*
 * All return a result of 0 or more, or a negative errno. What control is given may lie at any address: it is copied in
 * and out, as the kernel does.
 */
struct node_class {
	long (*control)(struct node *node, unsigned long request, void *argument);
	ssize_t (*read)(struct node *node, void *data, size_t size, uint64_t offset);
	ssize_t (*write)(struct node *node, const void *data, size_t size, uint64_t offset);
	void (*release)(struct node *node); /* the last reference is gone */
};

struct node {
	const struct node_class *class;
	atomic_uint references;
};

void node_init(struct node *node, const struct node_class *class);

/* A descriptor for the node, which takes over the caller's reference. A negative errno: it did not. */
int node_install(struct node *node);

/* The node behind a descriptor, with a reference of the caller's own; NULL: the descriptor is none of ours. */
struct node *node_of(int fd);
void node_hold(struct node *node);
void node_release(struct node *node);

/* The descriptor is being closed: it stands for nothing any more. */
void node_forget(int fd);

#endif
