/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The answers of a mirror: include/uapi/linux/fuse.h in, the same out.
 *
 * What each system call answers is what sysfs answers (Linux fs/kernfs/dir.c, fs/kernfs/file.c, fs/seq_file.c); see
 * faces/fuse.py, which answers the rest, and what is said there of what the kernel may remember.
 */
#define _GNU_SOURCE
#include "exchange.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>

#define FOREVER (1ull << 30)        /* seconds that the kernel may remember what it is told when it ends */
#define NANOSECONDS 1000000000u
#define BLOCK_SIZE 4096u

typedef enum mirror_answer handler(struct exchange *exchange);

/* --- names and attributes --- */

static void fill_attributes(struct fuse_attr *attr, const struct node *node)
{
	attr->ino = node->id;
	attr->size = node->size;
	attr->atime = attr->mtime = attr->ctime = node->mtime / NANOSECONDS;
	attr->atimensec = attr->mtimensec = attr->ctimensec = (uint32_t)(node->mtime % NANOSECONDS);
	attr->mode = node->mode;
	attr->nlink = is_directory(node) ? 2 + node->directories : 1;
	attr->uid = node->uid;
	attr->gid = node->gid;
	attr->blksize = BLOCK_SIZE;
}

/* Tell the kernel of a node. A file's name is asked for again at each open: the answer renews the size it believes in. */
static void fill_entry(struct fuse_entry_out *entry, struct node *node)
{
	node->lookups++;
	entry->nodeid = node->id;
	entry->entry_valid = S_ISREG(node->mode) ? 0 : FOREVER;
	entry->attr_valid = FOREVER;
	fill_attributes(&entry->attr, node);
}

_Static_assert(sizeof(struct fuse_entry_out) == MIRROR_ENTRY_SIZE, "an entry of protocol 7.9 and later");

bool mirror_entry(struct mirror *mirror, uint64_t id, unsigned char entry[MIRROR_ENTRY_SIZE])
{
	struct fuse_entry_out out = {0};
	struct node *node;

	pthread_mutex_lock(&mirror->lock);
	node = find_node(mirror, id);
	if (node && node->alive)
		fill_entry(&out, node);
	pthread_mutex_unlock(&mirror->lock);
	memcpy(entry, &out, sizeof(out));
	return out.nodeid;
}

static enum mirror_answer lookup(struct exchange *exchange)
{
	const struct node *directory = asked_node(exchange);
	const char *name = (const char *)exchange->body;
	size_t length = strnlen(name, exchange->body_size);
	struct fuse_entry_out *entry;
	struct node *node;

	if (length == exchange->body_size)
		return fail(exchange, EIO);
	if (!directory || !directory->alive)
		return fail(exchange, ENOENT);
	if (!is_directory(directory))
		return fail(exchange, ENOTDIR);
	node = find_child(exchange->mirror, directory, name, length);
	entry = node ? extend(exchange, sizeof(*entry)) : NULL;
	if (!entry)
		return fail(exchange, ENOENT);
	fill_entry(entry, node);
	return MIRROR_REPLY;
}

static enum mirror_answer forget_one(struct exchange *exchange)
{
	const struct fuse_forget_in *in = body_of(exchange, sizeof(*in));

	if (in)
		forget(exchange->mirror, exchange->header->nodeid, in->nlookup);
	return MIRROR_DONE;
}

static enum mirror_answer forget_batch(struct exchange *exchange)
{
	const struct fuse_batch_forget_in *in = body_of(exchange, sizeof(*in));
	const struct fuse_forget_one *one = (const void *)(exchange->body + sizeof(*in));
	size_t room;

	if (!in)
		return MIRROR_DONE;
	room = (exchange->body_size - sizeof(*in)) / sizeof(*one);
	for (size_t i = 0; i < in->count && i < room; i++)
		forget(exchange->mirror, one[i].nodeid, one[i].nlookup);
	return MIRROR_DONE;
}

static enum mirror_answer get_attributes(struct exchange *exchange)
{
	const struct node *node = asked_node(exchange);
	struct fuse_attr_out *out = node ? extend(exchange, sizeof(*out)) : NULL;

	if (!out)
		return fail(exchange, ENOENT);
	out->attr_valid = FOREVER;
	fill_attributes(&out->attr, node);
	return MIRROR_REPLY;
}

/* --- files --- */

static enum mirror_answer open_file(struct exchange *exchange)
{
	const struct fuse_open_in *in = body_of(exchange, sizeof(*in));
	struct node *node = asked_node(exchange);
	struct fuse_open_out *out;
	uint32_t access;

	if (!in)
		return fail(exchange, EIO);
	if (!node || !node->alive)
		return fail(exchange, ENOENT);
	access = in->flags & O_ACCMODE;
	if (!S_ISREG(node->mode))
		return MIRROR_ELSEWHERE;
	/* even root needs a bit in the mode (fs/kernfs/file.c, kernfs_fop_open); a truncation does nothing */
	if ((access != O_WRONLY && !(node->mode & 0444)) || (access != O_RDONLY && !(node->mode & 0222)))
		return fail(exchange, EACCES);
	if (in->flags & O_DIRECT)
		return fail(exchange, EINVAL);
	out = extend(exchange, sizeof(*out));
	out->fh = open_node(exchange->mirror, node);
	out->open_flags = FOPEN_DIRECT_IO;
	return out->fh ? MIRROR_REPLY : fail(exchange, ENOMEM);
}

/* seq_file's way: made anew at offset 0 and wherever the reader jumps; the rest of it is read on. */
static enum mirror_answer read_file(struct exchange *exchange)
{
	const struct fuse_read_in *in = body_of(exchange, sizeof(*in));
	struct open_file *file = in ? find_open(exchange->mirror, in->fh) : NULL;
	struct content *content;
	size_t size;

	if (!in)
		return fail(exchange, EIO);
	if (!file)
		return in->fh & MIRROR_HANDLE ? fail(exchange, EBADF) : MIRROR_ELSEWHERE;
	content = file->content;
	if (!content || !in->offset || in->offset != file->offset) {
		if (!file->node->alive)
			return fail(exchange, ENODEV);
		content = current_content(exchange->mirror, file->node);
		if (!content)
			return MIRROR_ELSEWHERE;
		if (content->error)
			return fail(exchange, content->error);
		content->references++;
		drop_content(file->content);
		file->content = content;
	}
	size = in->offset < content->size ? content->size - (size_t)in->offset : 0;
	size = size < in->size ? size : in->size;
	if (size > MIRROR_REPLY_SIZE - exchange->reply_size)
		size = MIRROR_REPLY_SIZE - exchange->reply_size;
	if (!size && !file->node->alive)
		return fail(exchange, ENODEV);
	if (size)
		memcpy(extend(exchange, size), content->data + in->offset, size);
	file->offset = in->offset + size;
	return MIRROR_REPLY;
}

static enum mirror_answer release_file(struct exchange *exchange)
{
	const struct fuse_release_in *in = body_of(exchange, sizeof(*in));

	if (!in)
		return fail(exchange, EIO);
	if (!(in->fh & MIRROR_HANDLE))
		return MIRROR_ELSEWHERE;
	close_file(exchange->mirror, in->fh);
	return MIRROR_REPLY;
}

static enum mirror_answer sync_file(struct exchange *exchange)
{
	const struct fuse_fsync_in *in = body_of(exchange, sizeof(*in));

	if (!in)
		return fail(exchange, EIO);
	return in->fh & MIRROR_HANDLE ? MIRROR_REPLY : MIRROR_ELSEWHERE;
}

/* kernfs_fop_poll(): always ready; exceptional too before the first read and once the device has vanished. */
static enum mirror_answer poll_file(struct exchange *exchange)
{
	const struct fuse_poll_in *in = body_of(exchange, sizeof(*in));
	const struct open_file *file = in ? find_open(exchange->mirror, in->fh) : NULL;
	struct fuse_poll_out *out;

	if (!in)
		return fail(exchange, EIO);
	if (!file)
		return in->fh & MIRROR_HANDLE ? fail(exchange, EBADF) : MIRROR_ELSEWHERE;
	out = extend(exchange, sizeof(*out));
	out->revents = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
	if (!file->content || !file->node->alive)
		out->revents |= POLLERR | POLLPRI;
	return MIRROR_REPLY;
}

/* --- directories --- */

static enum mirror_answer open_directory(struct exchange *exchange)
{
	const struct node *node = asked_node(exchange);

	if (!node || !node->alive)
		return fail(exchange, ENOENT);
	if (!is_directory(node))
		return fail(exchange, ENOTDIR);
	/* nothing to remember: a directory is read by the positions of its children, and the node says which */
	extend(exchange, sizeof(struct fuse_open_out));
	return MIRROR_REPLY;
}

static enum mirror_answer release_directory(struct exchange *exchange)
{
	(void)exchange;
	return MIRROR_REPLY;
}

/*
 * A record of a directory. With ``plus`` what a lookup of it would answer goes before it, empty unless ``known``.
 * False: there is no room.
 */
static bool list(struct exchange *exchange, size_t end, const char *name, size_t length, struct node *node,
		 uint64_t next, bool plus, bool known)
{
	size_t extra = plus ? sizeof(struct fuse_entry_out) : 0;
	size_t size = extra + FUSE_DIRENT_ALIGN(sizeof(struct fuse_dirent) + length);
	unsigned char *place;
	struct fuse_dirent *record;

	if (size > end - exchange->reply_size)
		return false;
	place = extend(exchange, size);
	if (plus && known) /* node number 0: no lookup is counted, as for . and .. */
		fill_entry((struct fuse_entry_out *)(void *)place, node);
	record = (struct fuse_dirent *)(void *)(place + extra);
	record->ino = node->id;
	record->off = next;
	record->namelen = (uint32_t)length;
	record->type = (node->mode & S_IFMT) >> 12;
	memcpy((char *)record + sizeof(*record), name, length);
	return true;
}

static enum mirror_answer list_directory(struct exchange *exchange, bool plus)
{
	const struct fuse_read_in *in = body_of(exchange, sizeof(*in));
	struct node *node = asked_node(exchange);
	size_t end = MIRROR_REPLY_SIZE;

	if (!in)
		return fail(exchange, EIO);
	if (!node || !is_directory(node))
		return fail(exchange, ENOENT);
	if (in->size < end - exchange->reply_size)
		end = exchange->reply_size + in->size;
	if (in->offset < 1 && !list(exchange, end, ".", 1, node, 1, plus, false))
		return MIRROR_REPLY;
	if (in->offset < 2 && !list(exchange, end, "..", 2, node->parent ? node->parent : node, 2, plus, false))
		return MIRROR_REPLY;
	for (uint32_t at = first_child_at(node, in->offset < 2 ? 0 : in->offset - 2); at < node->child_count; at++) {
		struct node *child = node->children[at];

		if (!list(exchange, end, child->name, child->name_length, child, child->position + 3, plus, true))
			break;
	}
	return MIRROR_REPLY;
}

static enum mirror_answer read_directory(struct exchange *exchange)
{
	return list_directory(exchange, false);
}

static enum mirror_answer read_directory_plus(struct exchange *exchange)
{
	return list_directory(exchange, true);
}

/* --- the table --- */

static handler *const handlers[] = {
	[FUSE_LOOKUP] = lookup,
	[FUSE_FORGET] = forget_one,
	[FUSE_GETATTR] = get_attributes,
	[FUSE_READLINK] = read_link,
	[FUSE_OPEN] = open_file,
	[FUSE_READ] = read_file,
	[FUSE_RELEASE] = release_file,
	[FUSE_FSYNC] = sync_file,
	[FUSE_OPENDIR] = open_directory,
	[FUSE_READDIR] = read_directory,
	[FUSE_RELEASEDIR] = release_directory,
	[FUSE_POLL] = poll_file,
	[FUSE_BATCH_FORGET] = forget_batch,
	[FUSE_READDIRPLUS] = read_directory_plus,
};

enum mirror_answer mirror_request(struct mirror *mirror, const void *request, size_t size, void *reply,
				  size_t *reply_size)
{
	struct exchange exchange = {.mirror = mirror, .header = request, .reply = reply};
	struct fuse_out_header *header = reply;
	enum mirror_answer answer;

	if (size < sizeof(*exchange.header))
		return MIRROR_DONE;
	exchange.body = (const unsigned char *)request + sizeof(*exchange.header);
	exchange.body_size = size - sizeof(*exchange.header);
	exchange.reply_size = sizeof(*header);
	if (exchange.header->opcode >= sizeof(handlers) / sizeof(handlers[0]) || !handlers[exchange.header->opcode])
		return MIRROR_ELSEWHERE;
	pthread_mutex_lock(&mirror->lock);
	answer = handlers[exchange.header->opcode](&exchange);
	if (answer == MIRROR_ELSEWHERE)
		mirror->handed_over++;
	else
		mirror->answered++;
	pthread_mutex_unlock(&mirror->lock);
	if (answer == MIRROR_REPLY) {
		*reply_size = exchange.error ? sizeof(*header) : exchange.reply_size;
		header->len = (uint32_t)*reply_size;
		header->error = -exchange.error;
		header->unique = exchange.header->unique;
	}
	return answer;
}
