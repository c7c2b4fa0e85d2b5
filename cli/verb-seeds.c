/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * vmmigrate seeds: old copies of volumes that nodes keep, so that the next copy sends only what differs. */
#include "cli.h"

#include <string.h>
#include <time.h>

/* The seed's guest as people type it: "qemu/100" for "qemu-100". The caller frees it. */
static char *guest_of(struct json_object *seed)
{
	char *guest = format("%s", has(seed, "called") ? text_at(seed, "called") : text_at(seed, "guest"));
	char *dash = strchr(guest, '-');

	if (dash)
		*dash = '/';
	return guest;
}

static char *age_of(struct json_object *seed)
{
	int64_t seconds = (int64_t)time(NULL) - number_at(seed, "kept_us") / 1000000;

	if (seconds >= 2 * 86400)
		return format("%lld days", (long long)(seconds / 86400));
	return show_duration(seconds > 0 ? seconds : 0);
}

static int64_t print_seeds(const struct screen *out, struct json_object *seeds)
{
	static const char *const heads[] = {"NODE", "GUEST", "VOLUME", "SPACE", "AGE", "STATE", "UNTIL", NULL};
	struct table table;
	int64_t bytes = 0;

	table_begin(&table, heads);
	each (seed, seeds) {
		auto_free char *guest = guest_of(seed), *space = show_size(number_at(seed, "allocated")),
			       *age = age_of(seed), *until = show_time(number_at(seed, "until_us"));

		bytes += number_at(seed, "allocated");
		table_row(&table, text_at(seed, "node"), guest, text_at(seed, "place"), space, age,
			  text_at(seed, "state"), number_at(seed, "until_us") > 0 ? until : "");
	}
	table_end(&table, out);
	return bytes;
}

int run_seeds(struct command *command)
{
	bool prune = command->arguments.given[OPTION_PRUNE];
	const char *node = positional(command, 0);
	struct json_object *request = request_and(request_make("node", node), "prune", prune ? "all" : NULL);
	const struct screen *out = &command->out;
	auto_json struct json_object *reply = NULL;
	int status;

	if (!call_and_report(command, "seeds", request, &reply, &status))
		return status;
	if (prune && count_at(reply, "pruned") > 0) {
		auto_free char *space = show_size(print_seeds(out, at(reply, "pruned")));

		fprintf(out->file, "Removed: %s.\n", space);
	} else if (prune) {
		fputs("There was no seed to remove.\n", out->file);
	}
	if (count_at(reply, "seeds") > 0)
		print_seeds(out, at(reply, "seeds"));
	else if (!prune)
		fputs("There are no seeds.\n", out->file);
	report_problems(command, at(reply, "errors"));
	return status;
}
