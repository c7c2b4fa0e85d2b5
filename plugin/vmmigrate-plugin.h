/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * vmmigrate-plugin.h - what a panel that loads vmmigrate.so may use. The only installed header.
 *
 *	void *so = dlopen("/usr/lib/vmmigrate/vmmigrate.so", RTLD_NOW | RTLD_LOCAL);
 *	vmmigrate_plugin_fn *get = (vmmigrate_plugin_fn *)dlsym(so, VMMIGRATE_PLUGIN_SYMBOL);
 *	const struct vmmigrate_plugin *p = get(VMMIGRATE_API_VERSION);
 *	const char *request = "{\"api\":1,\"guest\":\"100\",\"target\":\"node2\",\"options\":{\"online\":true}}";
 *	char *reply;
 *	int status = p->call("start", request, &reply);
 *	p->free(reply);
 *
 * The plug-in is thin: each call runs /usr/libexec/vmmigrate/vmmigrate-engine (through pkexec if the caller is not
 * root) and passes JSON. It never ends the process, never prints, and never touches signal handlers, locale, umask or
 * the working directory. Every descriptor is O_CLOEXEC. Any thread may call.
 *
 * Every request is an object with "api":1; unknown fields are ignored. Every reply is an object: either the verb's
 * result, or {"api":1,"error":{"code","message","hint","exit"}}. If checks refuse a "plan" or "start", all findings[]
 * are beside the error. Error codes of the plug-in itself: "usage", "not-permitted", "engine-missing",
 * "engine-failed", "no-memory".
 *
 * Verbs: request → reply. "?" marks what may be absent.
 *   info    {}                              → version, protocol, node, verbs[], options[], checks[], phases[], hooks[]
 *   guests  {"node"?}                       → guests[]: kind id name uuid state node memory vcpus title; errors[]
 *   nodes   {}                              → nodes[]: name address self reachable maintenance introduced_by error?
 *   targets {"guest","options"?}            → as check, for every node
 *   check   {"guest","target"?,"options"?}  → guest{}, targets[]: node eligible exit mode findings[]
 *                                             exit: the status with which "start" would be refused, or 0
 *                                             finding: code severity(error|override|warning) object message hint
 *                                             ignored
 *   plan    {"guest","target","options"?}   → plan{}: mode guest source target volumes[] bytes downtime_ms
 *                                             stops_guest; findings[]
 *   start   {"guest","target","options"?}   → task, node
 *   tasks   {"guest"?,"all"?}               → tasks[]: task guest source target mode state started result; errors[]?
 *   status  {"task"} or {"guest"}           → task{}, progress{}, result{}?; of a guest: its record{} too
 *   log     {"task"}                        → log (text)
 *   cancel  {"task"}                        → {}
 *   recover {"task"?,"guest"?,"keep"?}      → recovered[]: task outcome exit message
 *                                             keep: an administrator's decision, "source" or "target"
 *           {"guest","forget":true}         → recovered[]: guest outcome message; this node lets go of its record of
 *                                             the guest, if the owner that it names has no such guest any more
 *   seeds   {"node"?,"prune"?}              → seeds[], pruned[], errors[]; prune "all" removes them
 *   node-add  {"name","address","accept"?}  → node address fingerprint known tests[]
 *   node-test {"name"?}                     → tests[]: from to ok error?
 *   node-remove {"name"}                    → removed[]: from ok error?
 * A verb that this version does not know: error "not-supported", exit 1.
 *
 * Events of a task: one object each, with "api", "seq", "time" (microseconds since the epoch), "type", and by type:
 *   phase     "phase" "state"(begin|done|undo) "object"?
 *   progress  "phase" "object" "done" "total" (bytes) "percent" (never decreases within a task) "rate" (bytes/s)
 *             "eta_s" "round"|"iteration"? "dirty_rate"? "downtime_ms"? (expected) "files"? "files_total"?
 *   log       "level"(info|warning|error) "message"
 *   result    "exit" "message" (the last line for people) "error"? "node" (that the guest is on) "guest_state"
 *             "statistics"{}
 * After the result the stream ends.
 *
 * Statistics, each only if it applies; bytes are of all volumes together:
 *   downtime_ms     how long the guest did not run: from when it was shut off (or, live, stood for the last round of
 *   its
 *                   memory) until it was released on the target
 *   shutdown_ms     restart only: how long its orderly shutdown took before that
 *   read_bytes      read of the source's volumes, in all rounds (holes are not read)
 *   wire_bytes      sent to the target; memory_bytes is the memory of a live migration
 *   present_bytes   not sent because the target had them, from a seed, an earlier attempt or an earlier round (counted
 *                   in leaves of 64 KiB)
 *   last_read_bytes, last_wire_bytes, last_round_ms
 *                   of the last round, for which the guest was off; its time ends when the copy is verified, has its
 *                   name and is in the guest's definition
 *   volume_bytes    size of the volumes that were copied
 *   kept_bytes      of an interrupted copy that stay on the target for the next attempt
 *   digests[]       "volume" "kind"(poly1305|sha256) "root": what both ends have verified
 */
#ifndef VMMIGRATE_PLUGIN_H
#define VMMIGRATE_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VMMIGRATE_API_VERSION	1
#define VMMIGRATE_PLUGIN_SYMBOL "vmmigrate_plugin"

struct vmmigrate_follow; /* an event stream that is being read */

/* Grows at its end only: a host checks `size` before it uses a member that was added after version 0.1.0. */
struct vmmigrate_plugin {
	size_t size;	     /* of this structure, in bytes */
	int version;	     /* VMMIGRATE_API_VERSION that the plug-in was built with */
	const char *release; /* of the package, "0.1.0" */

	/* Carries out a verb. `request` is JSON, or NULL for {"api":1}. Returns the exit status of the verb (0 done, 1
	 * failed, 2 usage, 3 blocked, 4 not permitted, 5 not found, 6 busy, 7 cancelled, 8 leftovers, 9 needs an
	 * administrator's decision). *reply is always set; the caller gives it back with `free`. May take seconds,
	 * since it may ask other nodes; "start" returns as soon as the task runs. */
	int (*call)(const char *verb, const char *request, char **reply);

	/* Starts to follow a task's events from number `from_seq` on (0: all of them). NULL with errno if it cannot. */
	struct vmmigrate_follow *(*follow)(const char *task, uint64_t from_seq);
	/* A descriptor that is readable while next_event has an event or the stream has ended. The host must not close
	 * it. */
	int (*follow_fd)(const struct vmmigrate_follow *follow);
	/* Returns 1 and sets *event (JSON; the caller gives it back with `free`), 0 if there is none yet, -1 if the
	 * stream has ended. Does not block. */
	int (*next_event)(struct vmmigrate_follow *follow, char **event);
	/* Stops following and frees `follow`. The task goes on. NULL is allowed. */
	void (*end_follow)(struct vmmigrate_follow *follow);

	/* Frees a reply or an event. */
	void (*free)(void *memory);
};

typedef const struct vmmigrate_plugin *vmmigrate_plugin_fn(int host_api_version);

/* The only exported symbol. NULL if the host was built for a newer version than this plug-in has. */
const struct vmmigrate_plugin *vmmigrate_plugin(int host_api_version);

#ifdef __cplusplus
}
#endif
#endif
