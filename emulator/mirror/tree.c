/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tree of a mirror: nodes, and what becomes of them. */
#define _DEFAULT_SOURCE
#include "tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- children --- */

uint32_t first_child_at(const struct node *directory, uint64_t position)
{
	uint32_t low = 0, high = directory->child_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (directory->children[middle]->position < position)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int append_child(struct node *directory, struct node *child)
{
	if (directory->child_count == directory->child_room) {
		uint32_t room = directory->child_room ? directory->child_room * 2 : 4;
		struct node **more = room > directory->child_room
			? realloc(directory->children, room * sizeof(*more)) : NULL;

		if (!more)
			return ENOMEM;
		directory->children = more;
		directory->child_room = room;
	}
	child->position = directory->next_position++;
	child->parent = directory;
	directory->children[directory->child_count++] = child;
	directory->directories += is_directory(child);
	return 0;
}

static void remove_child(struct node *directory, struct node *child)
{
	uint32_t index = first_child_at(directory, child->position);

	directory->child_count--;
	memmove(&directory->children[index], &directory->children[index + 1],
		(directory->child_count - index) * sizeof(child));
	directory->directories -= is_directory(child);
}

/* --- nodes --- */

static struct node *new_node(const struct mirror_entry *entry)
{
	struct node *node = calloc(1, sizeof(*node) + entry->name_length);

	if (!node)
		return NULL;
	node->id = entry->id;
	node->owner = entry->owner;
	node->mode = entry->mode;
	node->uid = entry->uid;
	node->gid = entry->gid;
	node->size = entry->size;
	node->mtime = entry->mtime;
	node->target = entry->target;
	node->alive = true;
	node->name_length = (uint8_t)entry->name_length;
	if (entry->name_length)
		memcpy(node->name, entry->name, entry->name_length);
	if (entry->content) {
		node->content = new_content(entry->content, entry->content_size, 0);
		node->fixed = true;
		if (!node->content) {
			free(node);
			return NULL;
		}
	}
	return node;
}

static void free_node(struct node *node)
{
	drop_content(node->content);
	free(node->children);
	free(node);
}

void release_if_unused(struct mirror *mirror, struct node *node)
{
	if (node->alive || node->lookups || node->opens)
		return;
	mirror->released[mirror->released_count++] = node->owner;
	remove_id(mirror, node);
	mirror->dead_count--;
	free_node(node);
}

void forget(struct mirror *mirror, uint64_t id, uint64_t lookups)
{
	struct node *node = find_node(mirror, id);

	if (!node || node == mirror->root)
		return;
	node->lookups -= lookups < node->lookups ? lookups : node->lookups;
	release_if_unused(mirror, node);
}

static void bury(struct mirror *mirror, struct node *node)
{
	while (node->child_count) {
		struct node *child = node->children[--node->child_count];

		remove_name(mirror, child);
		bury(mirror, child);
	}
	node->directories = 0;
	node->parent = NULL;
	node->alive = false;
	mirror->node_count--;
	mirror->dead_count++;
	release_if_unused(mirror, node);
}

/* Room for every owner to be released later without asking for memory then. */
static int reserve_release(struct mirror *mirror)
{
	size_t needed = mirror->node_count + mirror->dead_count + mirror->released_count + 1;
	size_t room = mirror->released_room ? mirror->released_room * 2 : FIRST_CHAINS;
	void **more;

	if (needed <= mirror->released_room)
		return 0;
	more = realloc(mirror->released, room * sizeof(*more));
	if (!more)
		return ENOMEM;
	mirror->released = more;
	mirror->released_room = room;
	return 0;
}

struct mirror *mirror_new(const struct mirror_entry *root)
{
	struct mirror *mirror = calloc(1, sizeof(*mirror));

	if (!mirror)
		return NULL;
	mirror->ids = (struct table){calloc(FIRST_CHAINS, sizeof(struct node *)), FIRST_CHAINS};
	mirror->names = (struct table){calloc(FIRST_CHAINS, sizeof(struct node *)), FIRST_CHAINS};
	mirror->root = new_node(root);
	mirror->first_free = SIZE_MAX;
	if (!mirror->ids.chains || !mirror->names.chains || !mirror->root) {
		if (mirror->root)
			free_node(mirror->root);
		free(mirror->ids.chains);
		free(mirror->names.chains);
		free(mirror);
		return NULL;
	}
	pthread_mutex_init(&mirror->lock, NULL);
	mirror->root->id = MIRROR_ROOT;
	mirror->node_count = 1;
	insert_id(mirror, mirror->root);
	return mirror;
}

void mirror_free(struct mirror *mirror, void (*release)(void *owner))
{
	for (size_t i = 0; i < mirror->released_count; i++)
		release(mirror->released[i]);
	for (size_t i = 0; i < mirror->file_count; i++)
		drop_content(mirror->files[i].content);
	for (size_t i = 0; i < mirror->ids.size; i++)
		for (struct node *node = mirror->ids.chains[i], *next; node; node = next) {
			next = node->next_id;
			release(node->owner);
			free_node(node);
		}
	pthread_mutex_destroy(&mirror->lock);
	free(mirror->ids.chains);
	free(mirror->names.chains);
	free(mirror->files);
	free(mirror->released);
	free(mirror);
}

static bool is_possible(const struct mirror_entry *entry)
{
	return entry->name_length && entry->name_length <= MIRROR_NAME_MAX && entry->id != MIRROR_ROOT &&
	       (S_ISDIR(entry->mode) || S_ISREG(entry->mode) || S_ISLNK(entry->mode));
}

static int add(struct mirror *mirror, uint64_t parent, const struct mirror_entry *entry)
{
	struct node *directory = find_node(mirror, parent);
	struct node *node;

	if (!is_possible(entry))
		return EINVAL;
	if (!directory || !directory->alive || !is_directory(directory))
		return ENOENT;
	if (find_node(mirror, entry->id) || find_child(mirror, directory, entry->name, entry->name_length))
		return EEXIST;
	grow_tables(mirror);
	node = reserve_release(mirror) ? NULL : new_node(entry);
	if (!node)
		return ENOMEM;
	if (append_child(directory, node)) {
		free_node(node);
		return ENOMEM;
	}
	insert_id(mirror, node);
	insert_name(mirror, node);
	mirror->node_count++;
	return 0;
}

int mirror_add(struct mirror *mirror, uint64_t parent, const struct mirror_entry *entry)
{
	int error;

	pthread_mutex_lock(&mirror->lock);
	error = add(mirror, parent, entry);
	pthread_mutex_unlock(&mirror->lock);
	return error;
}

bool mirror_remove(struct mirror *mirror, uint64_t id)
{
	struct node *node;
	bool known = false;

	pthread_mutex_lock(&mirror->lock);
	node = find_node(mirror, id);
	if (node && node->parent) {
		known = node->lookups;
		remove_name(mirror, node);
		remove_child(node->parent, node);
		bury(mirror, node);
	}
	pthread_mutex_unlock(&mirror->lock);
	return known;
}

void mirror_set_attributes(struct mirror *mirror, uint64_t id, uint32_t mode, uint32_t uid, uint32_t gid,
			   uint64_t mtime)
{
	struct node *node;

	pthread_mutex_lock(&mirror->lock);
	node = find_node(mirror, id);
	if (node) {
		node->mode = (node->mode & S_IFMT) | (mode & ~(uint32_t)S_IFMT);
		node->uid = uid;
		node->gid = gid;
		node->mtime = mtime;
	}
	pthread_mutex_unlock(&mirror->lock);
}

bool mirror_is_known(struct mirror *mirror, uint64_t id)
{
	struct node *node;
	bool known;

	pthread_mutex_lock(&mirror->lock);
	node = find_node(mirror, id);
	known = node && (node == mirror->root || node->lookups);
	pthread_mutex_unlock(&mirror->lock);
	return known;
}

void *mirror_owner(struct mirror *mirror, uint64_t id)
{
	struct node *node;
	void *owner;

	pthread_mutex_lock(&mirror->lock);
	node = find_node(mirror, id);
	owner = node ? node->owner : NULL;
	pthread_mutex_unlock(&mirror->lock);
	return owner;
}

size_t mirror_take_released(struct mirror *mirror, void **owners, size_t size)
{
	size_t count;

	pthread_mutex_lock(&mirror->lock);
	count = mirror->released_count < size ? mirror->released_count : size;
	mirror->released_count -= count;
	if (count)
		memcpy(owners, &mirror->released[mirror->released_count], count * sizeof(*owners));
	pthread_mutex_unlock(&mirror->lock);
	return count;
}

void mirror_set_changing(struct mirror *mirror, bool changing)
{
	pthread_mutex_lock(&mirror->lock);
	mirror->changing = changing;
	mirror->generation += changing;
	pthread_mutex_unlock(&mirror->lock);
}

void mirror_count(struct mirror *mirror, struct mirror_counts *counts)
{
	pthread_mutex_lock(&mirror->lock);
	counts->nodes = mirror->node_count;
	counts->dead = mirror->dead_count;
	counts->open = mirror->open_count;
	counts->answered = mirror->answered;
	counts->handed_over = mirror->handed_over;
	pthread_mutex_unlock(&mirror->lock);
}
