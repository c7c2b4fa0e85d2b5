/* request.c: reads what a client asks for: checks it and brings it into one form. */
#include <errno.h>
#include <string.h>

#include "plan/plan.h"

/* "--max-downtime", as users type it; belongs to the caller. */
static char *spelled(const char *name)
{
	char *text = str_format("--%s", name);
	for (char *at = text + 2; *at; at++)
		if (*at == '_')
			*at = '-';
	return text;
}

static int wrong_value(const struct option *option, const char *expected, struct json_object *value,
		       struct vmm_error **err)
{
	vmm_auto_free char *name = spelled(option->name);
	return error_set(err, VMM_USAGE, "usage", "%s takes %s, not %s", name, expected, json_line(value));
}

/* ------------------------------------------------------------------ values */

/* Panels send true, Proxmox VE's clients send 1. */
static int read_flag(const struct option *option, struct json_object *value, struct json_object **made,
		     struct vmm_error **err)
{
	bool on = json_object_get_boolean(value);
	bool number = json_object_is_type(value, json_type_int) && (uint64_t)json_object_get_int64(value) <= 1;
	if (!number && !json_object_is_type(value, json_type_boolean))
		return wrong_value(option, "true or false", value, err);
	*made = on ? json_object_new_boolean(true) : NULL;
	return 0;
}

static int read_number(const struct option *option, struct json_object *value, struct json_object **made,
		       struct vmm_error **err)
{
	const char *text = json_text(value, "");
	char *end = NULL;
	int64_t number = json_object_get_int64(value);
	if (text) {
		errno = 0;
		number = strtoll(text, &end, 10);
	}
	bool whole = text ? *text && strspn(text, "0123456789") == strlen(text) && !errno
			  : json_object_is_type(value, json_type_int);
	if (!whole || number < option->least || number > option->most) {
		vmm_auto_free char *range = str_format("a whole number from %lld to %lld", (long long)option->least,
						       (long long)option->most);
		return wrong_value(option, range, value, err);
	}
	*made = json_object_new_int64(number);
	return 0;
}

static int read_choice(const struct option *option, struct json_object *value, struct json_object **made,
		       struct vmm_error **err)
{
	const char *text = json_text(value, "");
	size_t length;
	for (const char *at = option->choices; text && *at; at += length + (at[length] == '|')) {
		length = strcspn(at, "|");
		if (strlen(text) == length && !strncmp(at, text, length)) {
			*made = json_object_new_string(text);
			return 0;
		}
	}
	return wrong_value(option, option->choices, value, err);
}

static int read_network(const struct option *option, struct json_object *value, struct json_object **made,
			struct vmm_error **err)
{
	if (!network_is_valid(json_text(value, "")))
		return wrong_value(option, "a network such as 10.0.0.0/24", value, err);
	*made = json_object_get(value);
	return 0;
}

static const char *near_check(const char *code, struct json_object *codes)
{
	for (size_t i = 0; i < check_count; i++)
		if (checks[i].severity == CHECK_OVERRIDE)
			json_object_array_add(codes, json_object_new_string(checks[i].code));
	return json_suggest(codes, code);
}

static int add_code(const struct option *option, const char *code, struct json_object *codes, struct vmm_error **err)
{
	const struct check *check = check_find(code);
	vmm_auto_free char *name = spelled(option->name);
	vmm_auto_json struct json_object *all = json_object_new_array();
	if (check && check->severity == CHECK_OVERRIDE) {
		if (!json_has(codes, "", code))
			json_object_array_add(codes, json_object_new_string(code));
		return 0;
	}
	const char *near = check ? NULL : near_check(code, all);
	if (check)
		error_set(err, VMM_USAGE, "usage", "%s: the check %s %s", name, code,
			  check->severity == CHECK_WARNING ? "only warns" : "cannot be overridden");
	else
		error_set(err, VMM_USAGE, "usage", "%s: there is no check %s", name, code);
	return near ? error_hint(err, "did you mean %s?", near)
		    : error_hint(err, "the manual page vmmigrate(1) lists the checks that can be overridden");
}

/* An array of codes, or one string with commas between them. */
static int read_list(const struct option *option, struct json_object *value, struct json_object **made,
		     struct vmm_error **err)
{
	vmm_auto_json struct json_object *codes = json_object_new_array();
	if (!json_object_is_type(value, json_type_array) && !json_text(value, ""))
		return wrong_value(option, "codes with commas between them", value, err);
	vmm_auto_free char *text = str_copy(json_text(value, ""));
	for (char *rest = text, *code; (code = strsep(&rest, ", "));)
		if (*code && add_code(option, code, codes, err) < 0)
			return -1;
	json_each (item, value, "") {
		if (!json_text(item, ""))
			return wrong_value(option, "codes of checks", item, err);
		if (add_code(option, json_text(item, ""), codes, err) < 0)
			return -1;
	}
	*made = json_object_get(codes);
	return 0;
}

/* "other" for all, or "from:to", at most one for each storage. */
static int add_storage(const struct option *option, const char *pair, struct json_object *pairs, struct vmm_error **err)
{
	const char *colon = strchr(pair, ':');
	vmm_auto_free char *from = str_format("%.*s", colon ? (int)(colon - pair) : 0, pair);
	if ((colon && name_check(from, "storage", err) < 0) || name_check(colon ? colon + 1 : pair, "storage", err) < 0)
		return -1;
	json_each (item, pairs, "") {
		const char *other = json_text(item, ""), *their = strchr(other, ':');
		size_t length = their ? (size_t)(their - other) : 0;
		if (!!colon == !!their && length == strlen(from) && !strncmp(other, from, length))
			return error_set(err, VMM_USAGE, "usage", "--%s says twice where volumes go: %s and %s",
					 option->name, other, pair);
	}
	json_object_array_add(pairs, json_object_new_string(pair));
	return 0;
}

static int read_storages(const struct option *option, struct json_object *value, struct json_object **made,
			 struct vmm_error **err)
{
	vmm_auto_json struct json_object *pairs = json_object_new_array();
	if (!json_object_is_type(value, json_type_array) && !json_text(value, ""))
		return wrong_value(option, "a storage, or FROM:TO with commas between them", value, err);
	vmm_auto_free char *text = str_copy(json_text(value, ""));
	for (char *rest = text, *pair; (pair = strsep(&rest, ","));)
		if (*pair && add_storage(option, pair, pairs, err) < 0)
			return -1;
	json_each (item, value, "")
		if (!json_text(item, "") ? wrong_value(option, "names of storages", item, err)
					 : add_storage(option, json_text(item, ""), pairs, err) < 0)
			return -1;
	*made = json_count(pairs, "") ? json_object_get(pairs) : NULL;
	return 0;
}

static int add_pair(const struct option *option, const char *pair, struct json_object *pairs, struct vmm_error **err)
{
	const char *to = strchr(pair, '=');
	vmm_auto_free char *name = spelled(option->name);
	if (!to || to == pair || !to[1])
		return error_set(err, VMM_USAGE, "usage", "%s takes FROM=TO, not \"%s\"", name, pair);
	json_object_array_add(pairs, json_object_new_string(pair));
	return 0;
}

/* An array of "from=to", or one string with commas between them. */
static int read_map(const struct option *option, struct json_object *value, struct json_object **made,
		    struct vmm_error **err)
{
	vmm_auto_json struct json_object *pairs = json_object_new_array();
	if (!json_object_is_type(value, json_type_array) && !json_text(value, ""))
		return wrong_value(option, "FROM=TO with commas between them", value, err);
	vmm_auto_free char *text = str_copy(json_text_or(value, "", ""));
	for (char *rest = text, *pair; (pair = strsep(&rest, ","));)
		if (*pair && add_pair(option, pair, pairs, err) < 0)
			return -1;
	json_each (item, value, "")
		if (add_pair(option, json_text_or(item, "", ""), pairs, err) < 0)
			return -1;
	*made = json_object_get(pairs);
	return 0;
}

static int read_value(const struct option *option, struct json_object *value, struct json_object *options,
		      struct vmm_error **err)
{
	static int (*const readers[])(const struct option *, struct json_object *, struct json_object **,
				      struct vmm_error **) = {
		[OPTION_FLAG] = read_flag,	 [OPTION_NUMBER] = read_number, [OPTION_CHOICE] = read_choice,
		[OPTION_NETWORK] = read_network, [OPTION_LIST] = read_list,	[OPTION_STORAGES] = read_storages,
		[OPTION_MAP] = read_map,
	};
	struct json_object *made = NULL;
	if (readers[option->type](option, value, &made, err) < 0)
		return -1;
	if (made)
		json_object_object_add(options, option->name, made);
	return 0;
}

/* ------------------------------------------------------------------ options */

static int unknown_option(const char *name, struct vmm_error **err)
{
	vmm_auto_json struct json_object *names = json_object_new_array();
	vmm_auto_free char *typed = spelled(name);
	for (size_t i = 0; i < request_option_count; i++) {
		vmm_auto_free char *known = spelled(request_options[i].name);
		json_object_array_add(names, json_object_new_string(known));
	}
	const char *near = json_suggest(names, typed);
	error_set(err, VMM_USAGE, "usage", "there is no option %s", typed);
	return near ? error_hint(err, "did you mean %s?", near) : -1;
}

static int read_options(struct json_object *given, struct json_object *options, struct vmm_error **err)
{
	vmm_auto_json struct json_object *seen = json_object_new_object();
	if (!given)
		return 0;
	if (!json_object_is_type(given, json_type_object))
		return error_set(err, VMM_USAGE, "usage", "the request's \"options\" is not an object");
	json_object_object_foreach(given, name, value)
	{
		const struct option *option = option_find(name);
		if (!option)
			return unknown_option(name, err);
		if (json_object_object_get_ex(seen, option->name, NULL))
			return error_set(err, VMM_USAGE, "usage", "--%s is given twice", name);
		json_object_object_add(seen, option->name, NULL);
		if (value && read_value(option, value, options, err) < 0)
			return -1;
	}
	return 0;
}

/* Fills in options that the request does not have: from the configuration, else from the table of options. */
static int fill_in(struct json_object *config, struct json_object *options, struct vmm_error **err)
{
	struct json_object *settings = json_at(config, "migration");
	for (size_t i = 0; i < request_option_count; i++) {
		const struct option *option = &request_options[i];
		struct json_object *setting = json_member(settings, option->setting);
		vmm_auto_json struct json_object *standard =
			option->standard ? json_object_new_string(option->standard) : NULL;
		struct json_object *value = setting ? setting : standard;
		if (!value || json_object_object_get_ex(options, option->name, NULL))
			continue;
		if (read_value(option, value, options, err) < 0)
			return error_context(err, "[migration] %s in vmmigrate.conf", option->setting);
	}
	return 0;
}

/* Only an insecure migration uses a network. Whoever names one for a secure migration expects its memory to cross
 * there, but ssh goes to the node's own address: that is refused. A network that is only the configuration's default is
 * left out. `given`: the options of the request itself. */
static int check_network(struct json_object *given, struct json_object *options, struct vmm_error **err)
{
	bool named = json_member(given, "migration_network") || json_member(given, "migration-network");
	if (str_same(json_text(options, "migration_type"), "insecure"))
		return 0;
	json_object_object_del(options, "migration_network");
	if (!named)
		return 0;
	error_set(err, VMM_USAGE, "usage",
		  "--migration-network goes with --migration-type insecure: a secure migration crosses through ssh, to "
		  "the address that vmmigrate.conf has for the target");
	return error_hint(
		err, "leave it out, or add --migration-type insecure, or let vmmigrate.conf have an address of the "
		     "target in that network");
}

static int one_mode(struct json_object *options, struct vmm_error **err)
{
	static const char *const modes[] = {"online", "non_live", "restart"};
	const char *first = NULL;
	for (size_t i = 0; i < VMM_COUNT(modes); i++) {
		if (!json_object_object_get_ex(options, modes[i], NULL))
			continue;
		vmm_auto_free char *one = first ? spelled(first) : NULL, *other = spelled(modes[i]);
		if (first) {
			error_set(err, VMM_USAGE, "usage", "%s and %s exclude each other", one, other);
			return error_hint(err, "name one way in which the guest shall move");
		}
		first = modes[i];
	}
	/* If the memory moves, the guest keeps running with the same definition. */
	if (first && strcmp(first, "restart") != 0 && json_object_object_get_ex(options, "map_network", NULL)) {
		vmm_auto_free char *mode = spelled(first);
		return error_set(err, VMM_USAGE, "usage",
				 "--map-network goes with a guest that is started anew, not with %s", mode);
	}
	return 0;
}

/* ------------------------------------------------------------------ who and where */

int request_guest(struct json_object *raw, struct json_object *request, struct vmm_error **err)
{
	struct json_object *given = json_at(raw, "guest");
	const char *kind = json_text(raw, "kind");
	if (!json_object_is_type(given, json_type_string) && !json_object_is_type(given, json_type_int))
		return error_set(err, VMM_USAGE, "usage", "the request names no guest");
	vmm_auto_free char *text = str_copy(json_object_get_string(given));
	char *slash = strchr(text, '/');
	const char *who = text;
	if (slash) {
		*slash = 0;
		kind = text;
		who = slash + 1;
	}
	if (kind && (!*kind || strspn(kind, "abcdefghijklmnopqrstuvwxyz") != strlen(kind))) {
		error_set(err, VMM_USAGE, "usage", "\"%s\" is not a kind of guest", kind);
		return error_hint(err, "a kind stands before the slash: qemu/100, lxc/200");
	}
	if (name_check(who, "guest", err) < 0)
		return -1;
	json_put(request, "guest:s", who);
	if (kind)
		json_put(request, "kind:s", kind);
	return 0;
}

static int read_target(struct json_object *raw, struct json_object *request, struct vmm_error **err)
{
	struct json_object *given = json_at(raw, "target");
	const char *target = json_text(given, "");
	if (!given)
		return 0;
	if (!target)
		return error_set(err, VMM_USAGE, "usage", "the request's target is not a name: %s", json_line(given));
	if (name_check(target, "target node", err) < 0)
		return -1;
	json_put(request, "target:s", target);
	return 0;
}

static int read_api(struct json_object *raw, struct vmm_error **err)
{
	struct json_object *api = json_at(raw, "api");
	if (!json_object_is_type(raw, json_type_object))
		return error_set(err, VMM_USAGE, "usage", "the request is not an object");
	if (api && json_number(api, "") != 1)
		return error_set(err, VMM_USAGE, "usage", "the request is of version %s; this is version 1",
				 json_line(api));
	return 0;
}

int request_read(struct json_object *raw, struct json_object *config, struct json_object **request,
		 struct vmm_error **err)
{
	struct json_object *options = json_object_new_object();
	vmm_auto_json struct json_object *made = json_make("api:d options:o", 1, options);
	*request = NULL;
	if (read_api(raw, err) < 0 || request_guest(raw, made, err) < 0 || read_target(raw, made, err) < 0 ||
	    read_options(json_at(raw, "options"), options, err) < 0 || one_mode(options, err) < 0 ||
	    fill_in(config, options, err) < 0 || check_network(json_at(raw, "options"), options, err) < 0)
		return -1;
	*request = json_object_get(made);
	return 0;
}
