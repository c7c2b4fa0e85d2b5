/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Follows a task to its end. The task does not depend on this process and goes on if it ends. The first Ctrl-C asks the
 * task to cancel and waits until it is rolled back; the second only stops watching. */
#include "cli.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define TICK_MS	      1000
#define LOST_ATTEMPTS 30 /* how often to try again, once a second, while the event stream cannot be opened */

struct watch {
	struct command *command;
	const char *task;
	enum interrupt interrupt;
	struct progress *progress;
	int signals;	/* signalfd of the signals that watch_hold_signals blocks */
	uint64_t next;	/* sequence number of the event to read next */
	bool cancelled; /* the task was asked to cancel */
	int status;	/* exit status of the command, -1 while there is none yet */

	struct json_object *error; /* the error that ended the newest stream, or NULL */
};

static sigset_t held_signals(void)
{
	static const int wanted[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	/* A signal that is ignored stays ignored: nohup and background jobs of scripts rely on it. */
	for (size_t i = 0; i < COUNT(wanted); i++)
		if (sigaction(wanted[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
			sigaddset(&set, wanted[i]);
	return set;
}

void watch_hold_signals(void)
{
	sigset_t set = held_signals();

	sigprocmask(SIG_BLOCK, &set, NULL);
}

/* ------------------------------------------------------------------ signals */

/* Stops watching because of that signal; the task goes on. */
static void leave(struct watch *watch, int number)
{
	if (!watch->command->arguments.given[OPTION_JSON])
		progress_say(watch->progress, "The task goes on. Follow it again with: vmmigrate status %s",
			     watch->task);
	watch->status = SIGNAL_EXIT(number);
}

static void cancel(struct watch *watch)
{
	auto_json struct json_object *reply = NULL;

	if (!watch->command->arguments.given[OPTION_JSON]) {
		progress_say(watch->progress, "Cancelling: waits until everything is rolled back. "
					      "Ctrl-C again only stops watching.");
		progress_draw(watch->progress);
	}
	watch->cancelled = true;
	if (client_call(&watch->command->client, "cancel", request_make("task", watch->task), &reply) != EXIT_DONE &&
	    !watch->command->arguments.given[OPTION_JSON])
		progress_say(watch->progress, "It could not be cancelled: %s", text_at(reply, "error.message"));
}

static void take_signals(struct watch *watch)
{
	struct signalfd_siginfo info;

	while (watch->status < 0 && read(watch->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGWINCH)
			continue;
		if (info.ssi_signo == SIGINT && watch->interrupt == INTERRUPT_CANCELS && !watch->cancelled)
			cancel(watch);
		else
			leave(watch, (int)info.ssi_signo);
	}
}

/* ------------------------------------------------------------------ events */

static void take_result(struct watch *watch, struct json_object *result)
{
	watch->status = has(result, "exit") ? (int)number_at(result, "exit") : EXIT_FAILED;
}

static void take_event(struct watch *watch, const char *text)
{
	auto_json struct json_object *event = json_tokener_parse(text);

	if (!event)
		return;
	if (!watch->command->client.raw)
		sanitize(event, watch->command->client.utf8, false);
	if (has(event, "error") && !has(event, "type")) {
		json_object_put(watch->error);
		watch->error = json_object_get(event);
		return;
	}
	watch->next = (uint64_t)number_at(event, "seq") + 1;
	if (strcmp(text_at(event, "type"), "result") == 0)
		take_result(watch, event);
	if (watch->command->client.raw) {
		puts(text);
		fflush(stdout);
	} else {
		progress_event(watch->progress, event);
	}
}

/* Takes all events that have come. Returns false at the end of the stream. */
static bool take_events(struct watch *watch, struct vmmigrate_follow *follow)
{
	const struct vmmigrate_plugin *plugin = watch->command->client.plugin;
	char *text;
	int rc;

	while (watch->status < 0 && (rc = plugin->next_event(follow, &text)) != 0) {
		if (rc < 0)
			return false;
		take_event(watch, text);
		plugin->free(text);
	}
	return true;
}

/* Reads one event stream until it ends or watching ends. Returns true if any event came. */
static bool watch_stream(struct watch *watch)
{
	const struct vmmigrate_plugin *plugin = watch->command->client.plugin;
	struct vmmigrate_follow *follow = plugin->follow(watch->task, watch->next);
	struct pollfd fds[] = {{.fd = watch->signals, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
	uint64_t first = watch->next;
	bool open = follow != NULL;

	while (open && watch->status < 0) {
		fds[1].fd = plugin->follow_fd(follow);
		poll(fds, 2, TICK_MS);
		if (fds[1].revents)
			open = take_events(watch, follow);
		if (fds[0].revents)
			take_signals(watch);
		if (watch->status < 0)
			progress_draw(watch->progress);
	}
	plugin->end_follow(follow);
	return watch->next != first;
}

/* Errors that stay the same however often one tries: there is no such task, it may not be seen, its worker is dead. */
static bool is_final(struct json_object *reply)
{
	int exit = (int)number_at(reply, "error.exit");

	return exit == EXIT_USAGE || exit == EXIT_NOT_PERMITTED || exit == EXIT_NOT_FOUND ||
	       exit == EXIT_NEEDS_DECISION;
}

static void give_up(struct watch *watch)
{
	progress_erase(watch->progress);
	watch->status = EXIT_FAILED;
	if (watch->error)
		watch->status = report_error(watch->command, (int)number_at(watch->error, "error.exit"), watch->error);
	if (!watch->command->client.raw && !is_final(watch->error))
		progress_say(watch->progress,
			     "The task cannot be watched any more; it goes on. Look again with: vmmigrate status %s",
			     watch->task);
}

/* The stream ended without a result event. If the task's status has a result, that ends the watching; else waits a
 * second before the stream is opened again. */
static void look_for_result(struct watch *watch)
{
	auto_json struct json_object *reply = NULL;
	struct pollfd fd = {.fd = watch->signals, .events = POLLIN};
	struct json_object *request = request_make("task", watch->task);

	if (client_call(&watch->command->client, "status", request, &reply) == EXIT_DONE && has(reply, "result.exit")) {
		take_result(watch, at(reply, "result"));
		if (watch->command->client.raw)
			report_json(reply);
		else
			progress_say(watch->progress, "%s", text_at(reply, "result.message"));
		return;
	}
	poll(&fd, 1, TICK_MS);
	take_signals(watch);
}

int watch_task(struct command *command, const char *task, enum interrupt interrupt)
{
	struct watch watch = {.command = command, .task = task, .interrupt = interrupt, .status = -1};
	sigset_t set = held_signals();

	watch_hold_signals();
	watch.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	watch.progress = progress_begin(command);
	for (int lost = 0; watch.status < 0; lost++) {
		if (watch_stream(&watch))
			lost = 0;
		if (watch.status < 0 && (lost == LOST_ATTEMPTS || is_final(watch.error)))
			give_up(&watch);
		if (watch.status < 0)
			look_for_result(&watch);
	}
	progress_end(watch.progress);
	json_object_put(watch.error);
	close(watch.signals);
	return watch.status;
}
