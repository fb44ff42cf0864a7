/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What files hold, and who has them open. */
#include "tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- contents --- */

struct content *new_content(const void *data, size_t size, int error)
{
	struct content *content = malloc(sizeof(*content) + size);

	if (!content)
		return NULL;
	content->references = 1;
	content->error = error;
	content->size = size;
	if (size)
		memcpy(content->data, data, size);
	return content;
}

void drop_content(struct content *content)
{
	if (content && !--content->references)
		free(content);
}

struct content *current_content(const struct mirror *mirror, const struct node *node)
{
	if (node->fixed || (node->content && !mirror->changing && node->made == mirror->generation))
		return node->content;
	return NULL;
}

static void set_content(struct mirror *mirror, struct node *node, struct content *content)
{
	drop_content(node->content);
	node->content = content;
	node->made = mirror->generation;
}

/* --- open files --- */

uint64_t open_node(struct mirror *mirror, struct node *node)
{
	size_t index = mirror->first_free;

	if (index == SIZE_MAX) {
		if (mirror->file_count == mirror->file_room) {
			size_t room = mirror->file_room ? mirror->file_room * 2 : 64;
			struct open_file *more = realloc(mirror->files, room * sizeof(*more));

			if (!more)
				return 0;
			mirror->files = more;
			mirror->file_room = room;
		}
		index = mirror->file_count++;
	} else {
		mirror->first_free = mirror->files[index].next_free;
	}
	mirror->files[index] = (struct open_file){.node = node};
	node->opens++;
	mirror->open_count++;
	return MIRROR_HANDLE | index;
}

struct open_file *find_open(const struct mirror *mirror, uint64_t handle)
{
	uint64_t index = handle & ~MIRROR_HANDLE;

	if (!(handle & MIRROR_HANDLE) || index >= mirror->file_count || !mirror->files[index].node)
		return NULL;
	return &mirror->files[index];
}

void close_file(struct mirror *mirror, uint64_t handle)
{
	struct open_file *file = find_open(mirror, handle);
	struct node *node;

	if (!file)
		return;
	node = file->node;
	drop_content(file->content);
	*file = (struct open_file){.next_free = mirror->first_free};
	mirror->first_free = (size_t)(handle & ~MIRROR_HANDLE);
	mirror->open_count--;
	node->opens--;
	release_if_unused(mirror, node);
}

void *mirror_opened(struct mirror *mirror, uint64_t handle)
{
	struct open_file *file;
	void *owner;

	pthread_mutex_lock(&mirror->lock);
	file = find_open(mirror, handle);
	owner = file ? file->node->owner : NULL;
	pthread_mutex_unlock(&mirror->lock);
	return owner;
}

int mirror_keep(struct mirror *mirror, uint64_t id, const void *data, size_t size, int error)
{
	struct content *content = new_content(data, size, error);
	struct node *node;

	if (!content)
		return ENOMEM;
	pthread_mutex_lock(&mirror->lock);
	node = find_node(mirror, id);
	if (node && S_ISREG(node->mode) && !node->fixed && !mirror->changing)
		set_content(mirror, node, content);
	else
		drop_content(content);
	pthread_mutex_unlock(&mirror->lock);
	return 0;
}

int mirror_supply(struct mirror *mirror, uint64_t handle, const void *data, size_t size, int error, uint64_t offset)
{
	struct content *content = new_content(data, size, error);
	struct open_file *file;

	if (!content)
		return ENOMEM;
	pthread_mutex_lock(&mirror->lock);
	file = find_open(mirror, handle);
	if (file) {
		if (!file->node->fixed && !mirror->changing) {
			content->references++;
			set_content(mirror, file->node, content);
		}
		if (!error) {
			content->references++;
			drop_content(file->content);
			file->content = content;
			file->offset = offset;
		}
	}
	drop_content(content);
	pthread_mutex_unlock(&mirror->lock);
	return file ? 0 : EBADF;
}
