/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A compiled copy of a tree of directories, attributes and links, which answers what the kernel asks of a FUSE mount.
 *
 * The tree itself is somebody else's, who tells of every change. What is answered from here is true at the time of
 * the answer: a name is there or not, a content is fixed, or was made while nothing has changed since. Whatever needs
 * the tree's owner (a store, a content that must be made) is handed to it. One mutex guards all of it; every function
 * takes it, none waits for anything else.
 */
#ifndef CCWEMU_MIRROR_H
#define CCWEMU_MIRROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MIRROR_ROOT 1u              /* node number of the root, FUSE_ROOT_ID */
#define MIRROR_HANDLE (1ull << 63)  /* in the number of every file that is open here: the owner's numbers have it not */
#define MIRROR_REPLY_SIZE 65552u    /* bytes of the longest answer, its header included */
#define MIRROR_ENTRY_SIZE 128u      /* bytes of a struct fuse_entry_out */
#define MIRROR_NAME_MAX 255u        /* bytes of a name, as in sysfs */

struct mirror;

/* A node to be added. Its kind is in the type bits of its mode: directory, regular file or symbolic link. */
struct mirror_entry {
	uint64_t id;
	const char *name;
	size_t name_length;
	uint32_t mode, uid, gid;
	uint64_t size;              /* st_size */
	uint64_t mtime;             /* nanoseconds since 1970 */
	const void *content;        /* of a file that never changes, or a link's fixed text; NULL: made by the owner */
	size_t content_size;
	uint64_t target;            /* node that a link leads to, if it has no fixed text */
	void *owner;
};

/* NULL: no memory. The root has no name and no parent. */
struct mirror *mirror_new(const struct mirror_entry *root);
void mirror_free(struct mirror *mirror, void (*release)(void *owner));

/* 0, or ENOENT (no such directory), EEXIST, EINVAL (name, mode), ENOMEM. */
int mirror_add(struct mirror *mirror, uint64_t parent, const struct mirror_entry *entry);

/* A node and all below it have left the tree. Whether the kernel knows the node. */
bool mirror_remove(struct mirror *mirror, uint64_t id);

/* Mode, owner and time of a node are others now. */
void mirror_set_attributes(struct mirror *mirror, uint64_t id, uint32_t mode, uint32_t uid, uint32_t gid,
			   uint64_t mtime);

/* Whether the kernel has been told of a node, and has not forgotten it. */
bool mirror_is_known(struct mirror *mirror, uint64_t id);

/* The owner of a node that the kernel knows or that is in the tree; NULL: there is none. */
void *mirror_owner(struct mirror *mirror, uint64_t id);
/* The same of an open file; NULL: it is not open here. */
void *mirror_opened(struct mirror *mirror, uint64_t handle);

/* Owners of nodes that are no more, to be released; returns how many were put into the array, at most ``size``. */
size_t mirror_take_released(struct mirror *mirror, void **owners, size_t size);

/* Something may change from now on, or can no more. What was made before is not served any longer. */
void mirror_set_changing(struct mirror *mirror, bool changing);

/*
 * What a show function returned, or its errno, made while nothing could change. Kept for those who read later, unless
 * something is changing. 0 or ENOMEM.
 */
int mirror_keep(struct mirror *mirror, uint64_t id, const void *data, size_t size, int error);
/* The same for a file that is open, where it has been read up to an offset. 0, EBADF or ENOMEM. */
int mirror_supply(struct mirror *mirror, uint64_t handle, const void *data, size_t size, int error, uint64_t offset);

/* What a lookup of a node answers; it counts as one. False: the node is not in the tree. */
bool mirror_entry(struct mirror *mirror, uint64_t id, unsigned char entry[MIRROR_ENTRY_SIZE]);

enum mirror_answer {
	MIRROR_ELSEWHERE,           /* for the owner to answer */
	MIRROR_DONE,                /* needs no answer */
	MIRROR_REPLY,               /* the answer is in the buffer */
};

/*
 * Answer one request as it was read from /dev/fuse (include/uapi/linux/fuse.h): ``reply`` has MIRROR_REPLY_SIZE bytes,
 * aligned to 8; its length goes into ``reply_size``. A request that is too short for what it says it is, is answered EIO.
 */
enum mirror_answer mirror_request(struct mirror *mirror, const void *request, size_t size, void *reply,
				  size_t *reply_size);

/* How a tree is counted: nodes in it, nodes that have left it and the kernel still knows, open files. For tests. */
struct mirror_counts {
	size_t nodes, dead, open;
	uint64_t answered, handed_over;
};
void mirror_count(struct mirror *mirror, struct mirror_counts *counts);

#endif
