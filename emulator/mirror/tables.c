/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Nodes by their number, and by their directory and name. */
#include "tree.h"

#include <stdlib.h>
#include <string.h>

static size_t hash_id(uint64_t id)
{
	return (size_t)(id * 0x9e3779b97f4a7c15ull >> 16);
}

static size_t hash_name(const struct node *directory, const char *name, size_t length)
{
	uint64_t hash = directory->id * 0x9e3779b97f4a7c15ull;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)name[i]) * 0x100000001b3ull;
	return (size_t)(hash ^ hash >> 29);
}

static struct node **id_chain(const struct mirror *mirror, uint64_t id)
{
	return &mirror->ids.chains[hash_id(id) & (mirror->ids.size - 1)];
}

static struct node **name_chain(const struct mirror *mirror, const struct node *directory, const char *name,
				size_t length)
{
	return &mirror->names.chains[hash_name(directory, name, length) & (mirror->names.size - 1)];
}

void insert_id(struct mirror *mirror, struct node *node)
{
	struct node **chain = id_chain(mirror, node->id);

	node->next_id = *chain;
	*chain = node;
}

void insert_name(struct mirror *mirror, struct node *node)
{
	struct node **chain = name_chain(mirror, node->parent, node->name, node->name_length);

	node->next_name = *chain;
	*chain = node;
}

void remove_id(struct mirror *mirror, struct node *node)
{
	struct node **place = id_chain(mirror, node->id);

	while (*place != node)
		place = &(*place)->next_id;
	*place = node->next_id;
}

void remove_name(struct mirror *mirror, struct node *node)
{
	struct node **place = name_chain(mirror, node->parent, node->name, node->name_length);

	while (*place != node)
		place = &(*place)->next_name;
	*place = node->next_name;
}

void grow_tables(struct mirror *mirror)
{
	struct table ids = mirror->ids, names = mirror->names;
	size_t size = ids.size * 2;
	struct node **more_ids, **more_names;

	if (mirror->node_count + mirror->dead_count < ids.size)
		return;
	more_ids = calloc(size, sizeof(*more_ids));
	more_names = calloc(size, sizeof(*more_names));
	if (!more_ids || !more_names) {
		free(more_ids);
		free(more_names);
		return;
	}
	mirror->ids = (struct table){more_ids, size};
	mirror->names = (struct table){more_names, size};
	for (size_t i = 0; i < ids.size; i++)
		for (struct node *node = ids.chains[i], *next; node; node = next) {
			next = node->next_id;
			insert_id(mirror, node);
			if (node->parent)
				insert_name(mirror, node);
		}
	free(ids.chains);
	free(names.chains);
}

struct node *find_node(const struct mirror *mirror, uint64_t id)
{
	struct node *node = *id_chain(mirror, id);

	while (node && node->id != id)
		node = node->next_id;
	return node;
}

struct node *find_child(const struct mirror *mirror, const struct node *directory, const char *name, size_t length)
{
	struct node *node = *name_chain(mirror, directory, name, length);

	while (node && (node->parent != directory || node->name_length != length || memcmp(node->name, name, length)))
		node = node->next_name;
	return node;
}
