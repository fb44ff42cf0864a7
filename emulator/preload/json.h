/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Look things up in a JSON text that ends with a NUL. Nothing is copied or built; a value is a pointer to its first
 * character. A text that is not JSON gives NULL sooner or later, never an access beyond its end.
 */
#ifndef CCWEMU_PRELOAD_JSON_H
#define CCWEMU_PRELOAD_JSON_H

#include <stdbool.h>
#include <stddef.h>

/* The value of a member of an object, or NULL. */
const char *json_member(const char *object, const char *name);

/* The first item of an array, and the one behind an item; NULL: there is none. */
const char *json_first(const char *array);
const char *json_next(const char *item);

/* False: the value (which may be NULL) is not a whole number from 0 to limit. */
bool json_number(const char *value, unsigned long limit, unsigned long *number);

/* False: it is neither true nor false. */
bool json_boolean(const char *value, bool *boolean);

/* Copy a string; an escaped character stays as it is written. False: it is none, or does not fit. */
bool json_text(const char *value, char *to, size_t room);

#endif
