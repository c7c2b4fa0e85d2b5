/* json.c: making, reading and parsing JSON objects, on json-c. */
#include <ctype.h>
#include <string.h>

#include "base.h"
#include "suggest.h"

enum { JSON_DEPTH = 32 };

static struct json_object *value_of(char type, va_list *args)
{
	switch (type) {
	case 's': {
		const char *text = va_arg(*args, const char *);
		return text ? json_object_new_string(text) : NULL;
	}
	case 'i':
		return json_object_new_int64(va_arg(*args, int64_t));
	case 'd':
		return json_object_new_int(va_arg(*args, int));
	case 'b':
		return json_object_new_boolean(va_arg(*args, int));
	case 'f':
		return json_object_new_double(va_arg(*args, double));
	case 'O':
		return json_object_get(va_arg(*args, struct json_object *));
	case 'o':
		return va_arg(*args, struct json_object *);
	default:
		abort();
	}
}

static void put(struct json_object *object, const char *format, va_list *args)
{
	while (*format) {
		format += strspn(format, " ");
		size_t length = strcspn(format, ":");
		char key[64];
		if (!*format)
			break;
		if (format[length] != ':' || length >= sizeof(key))
			abort();
		memcpy(key, format, length);
		key[length] = 0;
		json_object_object_add(object, key, value_of(format[length + 1], args));
		format += length + 2;
	}
}

struct json_object *json_make(const char *format, ...)
{
	struct json_object *object = json_object_new_object();
	va_list args;
	va_start(args, format);
	put(object, format, &args);
	va_end(args);
	return object;
}

void json_put(struct json_object *object, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	put(object, format, &args);
	va_end(args);
}

struct json_object *json_member(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;
	if (key && json_object_is_type(object, json_type_object))
		json_object_object_get_ex(object, key, &value);
	return value;
}

static struct json_object *step(struct json_object *object, const char *key)
{
	if (json_object_is_type(object, json_type_object))
		return json_member(object, key);
	if (json_object_is_type(object, json_type_array) && isdigit((unsigned char)*key))
		return json_object_array_get_idx(object, strtoul(key, NULL, 10));
	return NULL;
}

struct json_object *json_at(struct json_object *object, const char *path)
{
	while (object && *path) {
		size_t length = strcspn(path, ".");
		char key[256];
		if (length >= sizeof(key))
			return NULL;
		memcpy(key, path, length);
		key[length] = 0;
		object = step(object, key);
		path += length + (path[length] == '.');
	}
	return object;
}

const char *json_text(struct json_object *object, const char *path)
{
	struct json_object *value = json_at(object, path);
	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

const char *json_text_or(struct json_object *object, const char *path, const char *otherwise)
{
	const char *text = json_text(object, path);
	return text ? text : otherwise;
}

int64_t json_number(struct json_object *object, const char *path)
{
	struct json_object *value = json_at(object, path);
	return json_object_is_type(value, json_type_int) || json_object_is_type(value, json_type_double)
		       ? json_object_get_int64(value)
		       : 0;
}

bool json_true(struct json_object *object, const char *path)
{
	struct json_object *value = json_at(object, path);
	return json_object_is_type(value, json_type_boolean) && json_object_get_boolean(value);
}

size_t json_count(struct json_object *object, const char *path)
{
	struct json_object *value = json_at(object, path);
	return json_object_is_type(value, json_type_array) ? json_object_array_length(value) : 0;
}

bool json_has(struct json_object *object, const char *path, const char *text)
{
	json_each (item, object, path)
		if (str_same(json_text(item, ""), text))
			return true;
	return false;
}

const char *json_suggest(struct json_object *names, const char *typed)
{
	struct suggestion suggestion = {.typed = typed};
	json_each (name, names, "")
		if (json_text(name, ""))
			suggest_try(&suggestion, json_text(name, ""));
	return suggestion.best;
}

void json_append(struct json_object *object, const char *key, struct json_object *value)
{
	struct json_object *array = json_member(object, key);
	if (!json_object_is_type(array, json_type_array)) {
		array = json_object_new_array();
		json_object_object_add(object, key, array);
	}
	json_object_array_add(array, value);
}

struct json_object *json_copy(struct json_object *object)
{
	struct json_object *copy = NULL;
	if (object && json_object_deep_copy(object, &copy, NULL) < 0)
		abort();
	return copy;
}

int json_need(struct json_object *object, const char *path, const char *what, const char **text, struct vmm_error **err)
{
	*text = json_text(object, path);
	if (*text && **text)
		return 0;
	return error_set(err, VMM_USAGE, "malformed", "%s: \"%s\" is missing", what, path);
}

int json_parse(const char *text, ssize_t length, const char *what, struct json_object **object, struct vmm_error **err)
{
	size_t size = length < 0 ? strlen(text) : (size_t)length;
	struct json_tokener *parser = json_tokener_new_ex(JSON_DEPTH);
	if (!parser)
		abort();
	*object = NULL;
	struct json_object *parsed = size <= INT32_MAX ? json_tokener_parse_ex(parser, text, (int)size) : NULL;
	enum json_tokener_error problem = json_tokener_get_error(parser);
	size_t end = json_tokener_get_parse_end(parser);
	json_tokener_free(parser);
	if (problem != json_tokener_success || !parsed) {
		json_object_put(parsed);
		return error_set(err, VMM_USAGE, "malformed", "%s: not JSON at byte %zu: %s", what, end,
				 problem == json_tokener_success ? "nothing there" : json_tokener_error_desc(problem));
	}
	*object = parsed;
	return 0;
}

const char *json_line(struct json_object *object)
{
	return json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}

void vmm_cleanup_json(struct json_object **object)
{
	json_object_put(*object);
	*object = NULL;
}
