/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mirror from inside: nodes, contents, open files. All of it is used with the mutex held. */
#ifndef CCWEMU_MIRROR_TREE_H
#define CCWEMU_MIRROR_TREE_H

#include "mirror.h"

#include <pthread.h>
#include <sys/stat.h>

/* What a file holds, or the errno of reading it. Shared by a node and those who have it open. */
struct content {
	unsigned references;
	int error;
	size_t size;
	unsigned char data[];
};

struct node {
	struct node *next_id, *next_name;   /* in the same chain of the two tables */
	struct node *parent;                /* NULL: the root, or out of the tree */
	void *owner;
	struct content *content;            /* of a file: what was read last; of a link: its fixed text */
	struct node **children;             /* of a directory, in the order of their positions */
	uint64_t id;
	uint64_t position;                  /* in the directory: rises with each child, and is never used again there */
	uint64_t next_position;             /* of a directory: what the next child gets */
	uint64_t size, mtime;
	uint64_t target;
	uint64_t lookups;                   /* how often the kernel was told of it */
	uint64_t made;                      /* of a file: the generation in which its content was made */
	uint32_t mode, uid, gid;
	uint32_t child_count, child_room, directories;
	uint32_t opens;
	bool fixed;                         /* the content never changes */
	bool alive;
	uint8_t name_length;
	char name[];
};

struct open_file {
	struct node *node;                  /* NULL: free */
	struct content *content;            /* what is being read */
	uint64_t offset;                    /* up to which it was read */
	size_t next_free;
};

struct table {
	struct node **chains;
	size_t size;                        /* a power of two */
};

struct mirror {
	pthread_mutex_t lock;
	struct node *root;
	struct table ids, names;
	size_t node_count, dead_count;
	struct open_file *files;
	size_t file_count, file_room, first_free, open_count;
	void **released;
	size_t released_count, released_room;
	uint64_t generation;
	bool changing;
	uint64_t answered, handed_over;
};

#define FIRST_CHAINS 1024u

/* tables.c */
void insert_id(struct mirror *mirror, struct node *node);
void insert_name(struct mirror *mirror, struct node *node);
void remove_id(struct mirror *mirror, struct node *node);
void remove_name(struct mirror *mirror, struct node *node);
/* Chains grow with the nodes. Without memory for that they only become longer. */
void grow_tables(struct mirror *mirror);
struct node *find_node(const struct mirror *mirror, uint64_t id);
struct node *find_child(const struct mirror *mirror, const struct node *directory, const char *name, size_t length);

/* tree.c */
/* The first child at or behind a position, as an index; child_count: there is none. */
uint32_t first_child_at(const struct node *directory, uint64_t position);
void forget(struct mirror *mirror, uint64_t id, uint64_t lookups);
/* Nobody knows a node any more that has left the tree. */
void release_if_unused(struct mirror *mirror, struct node *node);

/* files.c: a content with one reference, or NULL without memory. */
struct content *new_content(const void *data, size_t size, int error);
/* The content if it may be served now, else NULL. */
struct content *current_content(const struct mirror *mirror, const struct node *node);
void drop_content(struct content *content);

/* 0 (out of memory), or the number of the open file. */
uint64_t open_node(struct mirror *mirror, struct node *node);
struct open_file *find_open(const struct mirror *mirror, uint64_t handle);
void close_file(struct mirror *mirror, uint64_t handle);

static inline bool is_directory(const struct node *node) { return S_ISDIR(node->mode); }
static inline bool is_link(const struct node *node) { return S_ISLNK(node->mode); }

#endif
