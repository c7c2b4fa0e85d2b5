/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Reads JSON that may lack any part, and makes requests. */
#include "cli.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static struct json_object *member(struct json_object *object, const char *key)
{
	if (json_object_is_type(object, json_type_object))
		return json_object_object_get(object, key);
	if (json_object_is_type(object, json_type_array) && isdigit((unsigned char)*key))
		return json_object_array_get_idx(object, strtoul(key, NULL, 10));
	return NULL;
}

struct json_object *at(struct json_object *object, const char *path)
{
	while (object && *path) {
		size_t length = strcspn(path, ".");
		auto_free char *key = format("%.*s", (int)length, path);

		object = member(object, key);
		path += length + (path[length] == '.');
	}
	return object;
}

const char *text_at(struct json_object *object, const char *path)
{
	struct json_object *value = at(object, path);

	return value ? json_object_get_string(value) : "";
}

int64_t number_at(struct json_object *object, const char *path)
{
	return json_object_get_int64(at(object, path));
}

bool true_at(struct json_object *object, const char *path)
{
	return json_object_get_boolean(at(object, path));
}

bool has(struct json_object *object, const char *path)
{
	return at(object, path) != NULL;
}

size_t json_array_count(struct json_object *array)
{
	return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

size_t count_at(struct json_object *object, const char *path)
{
	return json_array_count(at(object, path));
}

struct json_object *request_make(const char *name, const char *value)
{
	struct json_object *request = json_object_new_object();

	json_object_object_add(request, "api", json_object_new_int(VMMIGRATE_API_VERSION));
	return request_and(request, name, value);
}

struct json_object *request_and(struct json_object *request, const char *name, const char *value)
{
	if (value)
		json_object_object_add(request, name, json_object_new_string(value));
	return request;
}

char *format(const char *format, ...)
{
	char *text;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		abort();
	va_end(args);
	return text;
}

void cleanup_free(void *slot)
{
	free(*(void **)slot);
}

void cleanup_json(struct json_object **object)
{
	json_object_put(*object);
}
