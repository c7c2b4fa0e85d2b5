/* fields.c: checks, reads and writes objects by a table of their fields. */
#include <string.h>

#include "base/fields.h"

/* ---------------------------------------------------------------- choices */

int choice_index(const char *choices, const char *name)
{
	size_t wanted = name ? strlen(name) : 0;
	for (int index = 0; name && choices; index++) {
		size_t length = strcspn(choices, "|");
		if (length == wanted && !strncmp(choices, name, length))
			return index;
		choices = choices[length] ? choices + length + 1 : NULL;
	}
	return -1;
}

char *choice_name(const char *choices, int index)
{
	for (; index > 0; index--) {
		choices = strchr(choices, '|');
		if (!choices)
			abort();
		choices++;
	}
	return str_format("%.*s", (int)strcspn(choices, "|"), choices);
}

/* ---------------------------------------------------------------- check */

static const struct field *find(const struct field *table, const char *name)
{
	for (; table->name; table++)
		if (!strcmp(table->name, name))
			return table;
	return NULL;
}

static bool is_required(const struct field *field, struct json_object *object)
{
	if (!field->when)
		return field->required;
	return str_same(json_text(json_member(object, field->when), ""), field->when_is);
}

/* Is the value, which is not null, one of the field's type? */
static bool has_type(const struct field *field, struct json_object *value)
{
	const char *text = json_text(value, "");
	switch (field->type) {
	case FIELD_TEXT:
		return text;
	case FIELD_NAME:
		return text && name_check(text, field->name, NULL) == 0;
	case FIELD_PATH:
		return text && path_check(text, field->name, NULL) == 0;
	case FIELD_CHOICE:
		return choice_index(field->choices, text) >= 0;
	case FIELD_NUMBER:
		return json_object_is_type(value, json_type_int);
	case FIELD_COUNT:
		return json_object_is_type(value, json_type_int) && json_object_get_int64(value) >= 0;
	case FIELD_FLAG:
		return json_object_is_type(value, json_type_boolean);
	case FIELD_OBJECT:
		return json_object_is_type(value, json_type_object);
	case FIELD_LIST:
		return json_object_is_type(value, json_type_array);
	}
	return false;
}

static const char *type_name(const struct field *field)
{
	static const char *const names[] = {
		[FIELD_TEXT] = "text",	     [FIELD_NAME] = "a name",	[FIELD_PATH] = "an absolute path",
		[FIELD_NUMBER] = "a number", [FIELD_FLAG] = "a flag",	[FIELD_OBJECT] = "an object",
		[FIELD_LIST] = "a list",     [FIELD_CHOICE] = "one of", [FIELD_COUNT] = "a count",
	};
	return names[field->type];
}

static int check_one(const struct field *field, struct json_object *object, const char *what, const char *code,
		     struct vmm_error **err)
{
	struct json_object *value = json_member(object, field->name);
	if (!value)
		return is_required(field, object)
			       ? error_set(err, VMM_FAILED, code, "%s: \"%s\" is missing", what, field->name)
			       : 0;
	if (has_type(field, value))
		return 0;
	bool choice = field->type == FIELD_CHOICE;
	return error_set(err, VMM_FAILED, code, "%s: \"%s\" is not %s%s%s", what, field->name, type_name(field),
			 choice ? " " : "", choice ? field->choices : "");
}

int fields_check(const struct field *table, struct json_object *object, const char *what, const char *code, bool strict,
		 struct vmm_error **err)
{
	if (object && !json_object_is_type(object, json_type_object))
		return error_set(err, VMM_FAILED, code, "%s is not an object", what);
	for (const struct field *field = table; field->name; field++)
		if (check_one(field, object, what, code, err) < 0)
			return -1;
	if (!strict || !object)
		return 0;
	json_object_object_foreach(object, name, value)
	{
		(void)value;
		if (!find(table, name))
			return error_set(err, VMM_FAILED, code, "%s: there is no field \"%s\"", what, name);
	}
	return 0;
}

/* ---------------------------------------------------------------- read, write, free */

static void read_one(const struct field *field, struct json_object *value, char *member)
{
	switch (field->type) {
	case FIELD_TEXT:
	case FIELD_NAME:
	case FIELD_PATH:
		*(char **)member = str_copy(json_text(value, ""));
		break;
	case FIELD_CHOICE:
		*(int *)member = choice_index(field->choices, json_text(value, ""));
		break;
	case FIELD_NUMBER:
	case FIELD_COUNT:
		*(int64_t *)member = json_object_get_int64(value);
		break;
	case FIELD_FLAG:
		*(bool *)member = json_object_get_boolean(value);
		break;
	case FIELD_OBJECT:
	case FIELD_LIST:
		*(struct json_object **)member = json_object_get(value);
		break;
	}
}

int fields_read(const struct field *table, struct json_object *object, const char *what, const char *code, void *into,
		struct vmm_error **err)
{
	if (fields_check(table, object, what, code, false, err) < 0)
		return -1;
	for (const struct field *field = table; field->name; field++) {
		struct json_object *value = json_member(object, field->name);
		char *member = (char *)into + field->offset;
		if (value)
			read_one(field, value, member);
		else if (field->type == FIELD_COUNT)
			*(int64_t *)member = -1;
	}
	return 0;
}

static struct json_object *write_one(const struct field *field, const char *member)
{
	switch (field->type) {
	case FIELD_TEXT:
	case FIELD_NAME:
	case FIELD_PATH: {
		const char *text = *(char *const *)member;
		return text ? json_object_new_string(text) : NULL;
	}
	case FIELD_CHOICE: {
		vmm_auto_free char *name = choice_name(field->choices, *(const int *)member);
		return json_object_new_string(name);
	}
	case FIELD_NUMBER:
		return json_object_new_int64(*(const int64_t *)member);
	case FIELD_COUNT:
		return *(const int64_t *)member < 0 ? NULL : json_object_new_int64(*(const int64_t *)member);
	case FIELD_FLAG:
		return field->empty == EMPTY_LEFT_OUT && !*(const bool *)member
			       ? NULL
			       : json_object_new_boolean(*(const bool *)member);
	case FIELD_OBJECT:
	case FIELD_LIST:
		return json_object_get(*(struct json_object *const *)member);
	}
	return NULL;
}

struct json_object *fields_write(const struct field *table, const void *from)
{
	struct json_object *object = json_object_new_object();
	for (const struct field *field = table; field->name; field++) {
		struct json_object *value = write_one(field, (const char *)from + field->offset);
		if (value || field->empty == EMPTY_NULL)
			json_object_object_add(object, field->name, value);
	}
	return object;
}

void fields_free(const struct field *table, void *of)
{
	for (const struct field *field = table; field->name; field++) {
		char *member = (char *)of + field->offset;
		switch (field->type) {
		case FIELD_TEXT:
		case FIELD_NAME:
		case FIELD_PATH:
			free(*(char **)member);
			*(char **)member = NULL;
			break;
		case FIELD_CHOICE:
			*(int *)member = 0;
			break;
		case FIELD_NUMBER:
		case FIELD_COUNT:
			*(int64_t *)member = 0;
			break;
		case FIELD_FLAG:
			*(bool *)member = false;
			break;
		case FIELD_OBJECT:
		case FIELD_LIST:
			json_object_put(*(struct json_object **)member);
			*(struct json_object **)member = NULL;
			break;
		}
	}
}
