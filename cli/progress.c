/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Shows events to people: on a terminal one live line at the bottom, with log lines above it; elsewhere plain lines. */
#include "cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BAR_LEAST    6
#define BAR_MOST     40
#define PLAIN_STEP   10 /* percent from one plain line to the next ... */
#define PLAIN_STEP_S 5	/* ... or seconds */

struct progress {
	const struct screen *screen;
	bool live, quiet;
	bool drawn;			/* the live line is on the screen */
	char *phase, *object, *state;	/* of the newest phase event: "precopy", "vda" (or ""), "begin" */
	struct json_object *event;	/* the newest of type progress in this phase, or NULL */
	int64_t began_s;		/* when that phase began, monotonic seconds */
	int64_t plain_s, plain_percent; /* time and percentage of the last plain line about progress */
};

static int64_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

struct progress *progress_begin(const struct command *command)
{
	struct progress *progress = calloc(1, sizeof(*progress));

	if (!progress)
		abort();
	progress->screen = &command->out;
	progress->quiet = command->arguments.given[OPTION_QUIET] || command->arguments.given[OPTION_JSON];
	progress->live = command->out.terminal && !progress->quiet;
	progress->phase = format("%s", "");
	progress->object = format("%s", "");
	progress->state = format("%s", "");
	progress->began_s = now_s();
	progress->plain_percent = -PLAIN_STEP;
	return progress;
}

void progress_erase(struct progress *progress)
{
	if (progress->drawn)
		fputs("\r\033[K", progress->screen->file);
	progress->drawn = false;
}

void progress_end(struct progress *progress)
{
	progress_erase(progress);
	fflush(progress->screen->file);
	json_object_put(progress->event);
	free(progress->phase);
	free(progress->object);
	free(progress->state);
	free(progress);
}

static void say(struct progress *progress, enum color paint, const char *text)
{
	const struct screen *screen = progress->screen;

	progress_erase(progress);
	fprintf(screen->file, "%s%s%s\n", color(screen, paint), text, paint == PLAIN ? "" : color(screen, PLAIN));
	fflush(screen->file);
}

void progress_say(struct progress *progress, const char *format, ...)
{
	auto_free char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		abort();
	va_end(args);
	say(progress, PLAIN, text);
}

/* ------------------------------------------------------------------ the live line
 *
 *	precopy vda  ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━   52 %  118 MiB/s  1:30 left  round 2
 *
 * A title, a bar and pieces. On a narrow terminal the last pieces are left out, then the bar. The line leaves room for
 * the "^C" that the terminal echoes. */

#define PIECES_MOST 9

static size_t add(char **pieces, size_t count, char *piece)
{
	pieces[count] = piece;
	return count + 1;
}

static size_t make_pieces(struct progress *progress, char **pieces)
{
	struct json_object *event = progress->event;
	size_t count = 0;

	if (!event)
		return add(pieces, 0, show_duration(now_s() - progress->began_s));
	count = add(pieces, count, format("%3d %%", (int)number_at(event, "percent")));
	if (number_at(event, "rate") > 0) {
		auto_free char *rate = show_size(number_at(event, "rate"));

		count = add(pieces, count, format("%s/s", rate));
	}
	if (has(event, "eta_s")) {
		auto_free char *left = show_duration(number_at(event, "eta_s"));

		count = add(pieces, count, format("%s left", left));
	}
	if (has(event, "downtime_ms"))
		count = add(pieces, count, format("downtime %d ms", (int)number_at(event, "downtime_ms")));
	if (number_at(event, "files_total") > 0)
		count = add(pieces, count,
			    format("%lld of %lld files", (long long)number_at(event, "files"),
				   (long long)number_at(event, "files_total")));
	if (number_at(event, "round") > 0)
		count = add(pieces, count, format("round %d", (int)number_at(event, "round")));
	if (number_at(event, "iteration") > 0)
		count = add(pieces, count, format("iteration %d", (int)number_at(event, "iteration")));
	if (number_at(event, "dirty_rate") > 0) {
		auto_free char *rate = show_size(number_at(event, "dirty_rate"));

		count = add(pieces, count, format("dirty %s/s", rate));
	}
	return count;
}

static void print_bar(const struct screen *screen, int width, int percent)
{
	int full = width * (percent < 0 ? 0 : percent > 100 ? 100 : percent) / 100;

	fputs(screen->utf8 ? color(screen, GREEN) : "[", screen->file);
	for (int i = 0; i < width; i++) {
		if (i == full && screen->utf8)
			fprintf(screen->file, "%s%s", color(screen, PLAIN), color(screen, DIM));
		fputs(screen->utf8 ? (i < full ? "━" : "─") : i < full ? "#" : ".", screen->file);
	}
	fputs(screen->utf8 ? color(screen, PLAIN) : "]", screen->file);
	fputs("  ", screen->file);
}

/* "undo prepare", "precopy vda" */
static char *make_title(const struct progress *progress)
{
	const char *object = progress->event ? text_at(progress->event, "object") : progress->object;
	bool undo = strcmp(progress->state, "undo") == 0;

	return format("%s%s%s%s", undo ? "undo " : "", progress->phase, *object ? " " : "", object);
}

void progress_draw(struct progress *progress)
{
	const struct screen *screen = progress->screen;
	char *pieces[PIECES_MOST];
	size_t count, shown;
	int room, bar;

	if (!progress->live || !*progress->phase)
		return;
	auto_free char *title = make_title(progress);

	count = make_pieces(progress, pieces);
	room = screen_width(screen) - 3 - text_width(title);
	for (shown = 0; shown < count && room >= text_width(pieces[shown]) + 2; shown++)
		room -= text_width(pieces[shown]) + 2;
	bar = progress->event ? room - 2 - (screen->utf8 ? 0 : 2) : 0;
	bar = bar > BAR_MOST ? BAR_MOST : bar;
	auto_free char *cut = text_cut(title, screen_width(screen) - 3);

	fprintf(screen->file, "\r\033[K%s%s%s", color(screen, BOLD), cut, color(screen, PLAIN));
	if (shown > 0)
		fputs("  ", screen->file);
	if (bar >= BAR_LEAST)
		print_bar(screen, bar, (int)number_at(progress->event, "percent"));
	for (size_t i = 0; i < shown; i++)
		fprintf(screen->file, "%s%s", pieces[i], i + 1 < shown ? "  " : "");
	fflush(screen->file);
	progress->drawn = true;
	for (size_t i = 0; i < count; i++)
		free(pieces[i]);
}

/* ------------------------------------------------------------------ plain lines */

static void print_plain(struct progress *progress)
{
	struct json_object *event = progress->event;
	int64_t percent = number_at(event, "percent"), now = now_s();
	auto_free char *title = make_title(progress);
	auto_free char *done = show_size(number_at(event, "done"));
	auto_free char *total = show_size(number_at(event, "total"));
	auto_free char *rate = show_size(number_at(event, "rate"));
	auto_free char *speed = number_at(event, "rate") > 0 ? format(", %s/s", rate) : format("%s", "");

	/* Before anything is done there is nothing to say that the phase's own line has not said. */
	if (number_at(event, "done") + number_at(event, "files") == 0 ||
	    (percent < progress->plain_percent + PLAIN_STEP && now < progress->plain_s + PLAIN_STEP_S))
		return;
	progress->plain_percent = percent - percent % PLAIN_STEP;
	progress->plain_s = now;
	auto_free char *files = number_at(event, "files_total") > 0
					? format(", %lld of %lld files", (long long)number_at(event, "files"),
						 (long long)number_at(event, "files_total"))
					: format("%s", "");

	progress_say(progress, "%s: %d %% (%s of %s%s%s)", title, (int)percent, done, total, speed, files);
}

/* ------------------------------------------------------------------ events */

static void set_phase(struct progress *progress, const char *phase, const char *object, const char *state)
{
	free(progress->phase);
	free(progress->object);
	free(progress->state);
	progress->phase = format("%s", phase);
	progress->object = format("%s", object);
	progress->state = format("%s", state);
	progress->began_s = now_s();
	progress->plain_s = 0;
	json_object_put(progress->event);
	progress->event = NULL;
}

static void take_phase(struct progress *progress, struct json_object *event)
{
	const char *state = text_at(event, "state");

	if (strcmp(state, "done") == 0)
		return;
	set_phase(progress, text_at(event, "phase"), text_at(event, "object"), state);
	if (!progress->live && !progress->quiet) {
		auto_free char *title = make_title(progress);

		say(progress, PLAIN, title);
	}
}

static void take_progress(struct progress *progress, struct json_object *event)
{
	if (strcmp(progress->phase, text_at(event, "phase")) != 0)
		set_phase(progress, text_at(event, "phase"), text_at(event, "object"), "begin");
	json_object_put(progress->event);
	progress->event = json_object_get(event);
	if (!progress->live && !progress->quiet)
		print_plain(progress);
}

static void take_log(struct progress *progress, struct json_object *event)
{
	const char *level = text_at(event, "level");
	bool warning = strcmp(level, "warning") == 0, error = strcmp(level, "error") == 0;
	auto_free char *line = format("%s%s",
				      warning ? "warning: "
				      : error ? "error: "
					      : "",
				      text_at(event, "message"));

	if (warning || error || !progress->quiet)
		say(progress, warning ? YELLOW : error ? RED : PLAIN, line);
}

/* The downtime is from shut off to released. The guest's own shutdown comes before it and is told separately, since the
 * guest may have worked during a part of it. */
static void say_downtime(struct progress *progress, struct json_object *event)
{
	double off = (double)number_at(event, "statistics.downtime_ms") / 1000,
	       shutdown = (double)number_at(event, "statistics.shutdown_ms") / 1000;

	if (shutdown > 0)
		progress_say(progress, "downtime %.2f s, after a shutdown of %.2f s", off, shutdown);
	else
		progress_say(progress, "downtime %.2f s", off);
}

static void take_result(struct progress *progress, struct json_object *event)
{
	const char *message = text_at(event, "message");
	int exit = (int)number_at(event, "exit");
	bool clean_end = exit == EXIT_DONE && !strstr(message, "WARNINGS");
	bool needs_a_look = exit == EXIT_DONE || exit == EXIT_CANCELLED || exit == EXIT_LEFTOVERS;

	if (number_at(event, "statistics.downtime_ms") > 0 && !progress->quiet)
		say_downtime(progress, event);
	say(progress, clean_end ? GREEN : needs_a_look ? YELLOW : RED, message);
	set_phase(progress, "", "", "");
}

void progress_event(struct progress *progress, struct json_object *event)
{
	const char *type = text_at(event, "type");

	if (strcmp(type, "phase") == 0)
		take_phase(progress, event);
	else if (strcmp(type, "progress") == 0)
		take_progress(progress, event);
	else if (strcmp(type, "log") == 0)
		take_log(progress, event);
	else if (strcmp(type, "result") == 0)
		take_result(progress, event);
}
