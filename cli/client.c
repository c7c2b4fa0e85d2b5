/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Loads the plug-in as a panel does, and calls the engine's verbs through it. */
#include "cli.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define PLUGIN "/usr/lib/vmmigrate/vmmigrate.so"

int client_open(struct client *client)
{
	const char *path = secure_getenv("VMMIGRATE_PLUGIN");
	vmmigrate_plugin_fn *get;

	client->so = dlopen(path ? path : PLUGIN, RTLD_NOW | RTLD_LOCAL);
	get = client->so ? (vmmigrate_plugin_fn *)dlsym(client->so, VMMIGRATE_PLUGIN_SYMBOL) : NULL;
	if (!get) {
		fprintf(stderr, "vmmigrate: the plug-in cannot be loaded: %s\n  install the package vmmigrate again\n",
			dlerror());
		return EXIT_FAILED;
	}
	client->plugin = get(VMMIGRATE_API_VERSION);
	if (!client->plugin) {
		fprintf(stderr,
			"vmmigrate: the plug-in is older than this command\n  install the package vmmigrate again\n");
		return EXIT_FAILED;
	}
	return EXIT_DONE;
}

void client_close(struct client *client)
{
	json_object_put(client->info);
	if (client->so)
		dlclose(client->so);
}

int client_call(struct client *client, const char *verb, struct json_object *request, struct json_object **reply)
{
	char *text;
	int status = client->plugin->call(
		verb, json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
		&text);

	json_object_put(request);
	*reply = json_tokener_parse(text);
	client->plugin->free(text);
	if (!json_object_is_type(*reply, json_type_object)) {
		json_object_put(*reply);
		*reply = json_tokener_parse("{\"api\":1,\"error\":{\"code\":\"engine-failed\",\"message\":"
					    "\"the engine's reply cannot be read\",\"exit\":1}}");
		status = EXIT_FAILED;
	}
	if (!client->raw)
		sanitize(*reply, client->utf8, strcmp(verb, "log") == 0);
	return status;
}

struct json_object *client_info(struct client *client)
{
	if (!client->info)
		client_call(client, "info", request_make(NULL, NULL), &client->info);
	return client->info;
}
