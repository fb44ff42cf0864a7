/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where links lead. */
#include "exchange.h"

#include <errno.h>

static size_t depth_of(const struct node *node)
{
	size_t depth = 0;

	for (; node->parent; node = node->parent)
		depth++;
	return depth;
}

/* The lowest directory that is, or is above, both. */
static const struct node *common_directory(const struct node *one, const struct node *other)
{
	size_t one_depth = depth_of(one), other_depth = depth_of(other);

	for (; one_depth > other_depth; one_depth--)
		one = one->parent;
	for (; other_depth > one_depth; other_depth--)
		other = other->parent;
	for (; one != other; one = one->parent)
		other = other->parent;
	return one;
}

/* Append text to the answer. False: there is no room. */
static bool append(struct exchange *exchange, const char *text, size_t length)
{
	char *place = extend(exchange, length);

	if (place)
		memcpy(place, text, length);
	return place;
}

/* The names from below a directory down to a node, each with a slash before it. */
static bool append_path(struct exchange *exchange, const struct node *top, const struct node *node)
{
	return node == top || (append_path(exchange, top, node->parent) && append(exchange, "/", 1) &&
			       append(exchange, node->name, node->name_length));
}

/*
 * The way from the directory of a link to its target: fs/kernfs/symlink.c, kernfs_get_target_path(). A target right
 * above the link is reached through its own directory, by its name: "../../../0.0.1234".
 */
static enum mirror_answer write_way(struct exchange *exchange, const struct node *link, const struct node *target)
{
	const struct node *top = common_directory(link->parent, target->parent), *from = link->parent;

	/* without a step up, what begins with the target's first name begins with a slash: it is taken off again */
	if (from == top) {
		size_t start = exchange->reply_size;

		if (!append_path(exchange, top, target))
			return fail(exchange, ENAMETOOLONG);
		memmove(exchange->reply + start, exchange->reply + start + 1, exchange->reply_size - start - 1);
		exchange->reply_size--;
		return MIRROR_REPLY;
	}
	for (bool first = true; from != top; from = from->parent, first = false)
		if (!append(exchange, first ? ".." : "/..", first ? 2 : 3))
			return fail(exchange, ENAMETOOLONG);
	return append_path(exchange, top, target) ? MIRROR_REPLY : fail(exchange, ENAMETOOLONG);
}

enum mirror_answer read_link(struct exchange *exchange)
{
	const struct node *link = asked_node(exchange), *target;

	if (!link || !link->alive)
		return fail(exchange, ENOENT);
	if (!is_link(link))
		return fail(exchange, EINVAL);
	if (link->content)
		return append(exchange, (const char *)link->content->data, link->content->size)
			? MIRROR_REPLY : fail(exchange, ENAMETOOLONG);
	target = find_node(exchange->mirror, link->target);
	if (!target || !target->parent)
		return MIRROR_ELSEWHERE;
	return write_way(exchange, link, target);
}
