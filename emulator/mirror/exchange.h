/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A request and its answer, for those who write answers. All of it is used with the mutex held. */
#ifndef CCWEMU_MIRROR_EXCHANGE_H
#define CCWEMU_MIRROR_EXCHANGE_H

#include "tree.h"

#include <linux/fuse.h>
#include <string.h>

/* One request and its answer as it grows. */
struct exchange {
	struct mirror *mirror;
	const struct fuse_in_header *header;
	const unsigned char *body;
	size_t body_size;
	unsigned char *reply;
	size_t reply_size;
	int error;
};

static inline enum mirror_answer fail(struct exchange *exchange, int error)
{
	exchange->error = error;
	return MIRROR_REPLY;
}

/* The body as a structure of a size, or NULL where the request is shorter. */
static inline const void *body_of(const struct exchange *exchange, size_t size)
{
	return exchange->body_size < size ? NULL : exchange->body;
}

/* Room at the end of the answer, zeroed; NULL: there is none. */
static inline void *extend(struct exchange *exchange, size_t size)
{
	unsigned char *start = exchange->reply + exchange->reply_size;

	if (size > MIRROR_REPLY_SIZE - exchange->reply_size)
		return NULL;
	exchange->reply_size += size;
	return memset(start, 0, size);
}

static inline struct node *asked_node(const struct exchange *exchange)
{
	return find_node(exchange->mirror, exchange->header->nodeid);
}

enum mirror_answer read_link(struct exchange *exchange);

#endif
