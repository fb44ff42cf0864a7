/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *skip_blanks(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

/* Behind the string that starts here, or NULL. */
static const char *skip_string(const char *p)
{
	for (p++; *p && *p != '"'; p++)
		if (*p == '\\' && !*++p)
			return NULL;
	return *p ? p + 1 : NULL;
}

/* Behind the value that starts here, or NULL. Nesting is counted, kinds of brackets are not told apart. */
static const char *skip_value(const char *p)
{
	unsigned depth = 0;

	do {
		p = skip_blanks(p);
		switch (*p) {
		case '\0':
			return NULL;
		case '"':
			p = skip_string(p);
			if (!p)
				return NULL;
			break;
		case '{':
		case '[':
			depth++;
			p++;
			break;
		case '}':
		case ']':
			if (!depth)
				return NULL;
			depth--;
			p++;
			break;
		case ',':
		case ':':
			if (!depth)
				return NULL;
			p++;
			break;
		default:
			p += strcspn(p, " \t\r\n,:[]{}\"");
		}
	} while (depth);
	return p;
}

const char *json_next(const char *item)
{
	const char *p = skip_value(item);

	if (!p)
		return NULL;
	p = skip_blanks(p);
	return *p == ',' ? skip_blanks(p + 1) : NULL;
}

static const char *first_inside(const char *value, char bracket)
{
	if (!value || *value != bracket)
		return NULL;
	value = skip_blanks(value + 1);
	return *value == '}' || *value == ']' ? NULL : value;
}

const char *json_first(const char *array)
{
	return first_inside(array, '[');
}

const char *json_member(const char *object, const char *name)
{
	size_t size = strlen(name);

	for (const char *p = first_inside(object ? skip_blanks(object) : NULL, '{'); p && *p == '"'; p = json_next(p)) {
		const char *behind = skip_string(p), *value;

		if (!behind)
			return NULL;
		value = skip_blanks(behind);
		if (*value != ':')
			return NULL;
		value = skip_blanks(value + 1);
		if ((size_t)(behind - p) == size + 2 && !memcmp(p + 1, name, size))
			return value;
		p = value;
	}
	return NULL;
}

bool json_number(const char *value, unsigned long limit, unsigned long *number)
{
	char *end;

	if (!value || *value < '0' || *value > '9')
		return false;
	errno = 0;
	*number = strtoul(value, &end, 10);
	return !errno && *number <= limit && !strchr(".eE", *end ? *end : ' ');
}

bool json_boolean(const char *value, bool *boolean)
{
	if (!value)
		return false;
	*boolean = !strncmp(value, "true", 4);
	return *boolean || !strncmp(value, "false", 5);
}

bool json_text(const char *value, char *to, size_t room)
{
	const char *behind = value && *value == '"' ? skip_string(value) : NULL;
	size_t size;

	if (!behind)
		return false;
	size = (size_t)(behind - value) - 2;
	if (size >= room)
		return false;
	memcpy(to, value + 1, size);
	to[size] = '\0';
	return true;
}
