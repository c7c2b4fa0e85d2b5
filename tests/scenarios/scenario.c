/* scenario.c: facts from JSON files. */
#include <string.h>

#include "scenario.h"

enum { FILE_LIMIT = 1 << 20 };

static struct json_object *parse(const char *text, const char *what)
{
	struct json_object *object;
	struct vmm_error *err = NULL;
	if (json_parse(text, -1, what, &object, &err) < 0) {
		fprintf(stderr, "%s\n", err->message);
		abort();
	}
	return object;
}

struct json_object *scenario_file(const char *name)
{
	vmm_auto_free char *path = str_format("tests/scenarios/%s.json", name), *text = NULL;
	struct vmm_error *err = NULL;
	if (file_read(path, FILE_LIMIT, &text, NULL, &err) < 0) {
		fprintf(stderr, "%s (tests run in the top directory of the sources)\n", err->message);
		abort();
	}
	return parse(text, path);
}

static void patch_elements(struct json_object *array, struct json_object *patch)
{
	json_object_object_foreach(patch, key, change)
	{
		size_t index = strtoul(key, NULL, 10);
		struct json_object *element = json_object_get(json_object_array_get_idx(array, index));
		if (index > json_object_array_length(array))
			abort();
		scenario_patch(&element, change);
		json_object_array_put_idx(array, index, element);
	}
}

static void patch_members(struct json_object *object, struct json_object *patch)
{
	json_object_object_foreach(patch, key, change)
	{
		struct json_object *member = json_object_get(json_object_object_get(object, key));
		scenario_patch(&member, change);
		if (change)
			json_object_object_add(object, key, member);
		else
			json_object_object_del(object, key);
	}
}

void scenario_patch(struct json_object **object, struct json_object *patch)
{
	if (!json_object_is_type(patch, json_type_object)) {
		json_object_put(*object);
		*object = json_copy(patch);
	} else if (json_object_is_type(*object, json_type_array)) {
		patch_elements(*object, patch);
	} else {
		if (!json_object_is_type(*object, json_type_object)) {
			json_object_put(*object);
			*object = json_object_new_object();
		}
		patch_members(*object, patch);
	}
}

void scenario_facts(const char *base, struct json_object *patch, struct facts *facts)
{
	struct json_object *all = scenario_file("shared");
	if (strcmp(base, "shared")) {
		vmm_auto_json struct json_object *over = scenario_file(base);
		scenario_patch(&all, over);
	}
	if (patch)
		scenario_patch(&all, patch);
	*facts = (struct facts){
		.request = json_object_get(json_at(all, "request")),
		.node = {json_object_get(json_at(all, "source")), json_object_get(json_at(all, "target"))},
		.target_error = json_object_get(json_at(all, "target_error")),
		.sharing = json_object_get(json_at(all, "sharing")),
		.config = json_object_get(json_at(all, "config")),
	};
	json_object_put(all);
}

void scenario_facts_text(const char *base, const char *patch, struct facts *facts)
{
	vmm_auto_free char *text = str_copy(patch);
	for (char *at = text; *at; at++)
		if (*at == '\'')
			*at = '"';
	vmm_auto_json struct json_object *object = parse(text, "patch");
	scenario_facts(base, object, facts);
}

void scenario_free(struct facts *facts)
{
	json_object_put(facts->request);
	json_object_put(facts->config);
	json_object_put(facts->sharing);
	json_object_put(facts->target_error);
	json_object_put(facts->node[SOURCE]);
	json_object_put(facts->node[TARGET]);
	*facts = (struct facts){0};
}
