/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * vmmigrate-plugin.h - what a panel that loads vmmigrate.so may use. The only installed header.
 *
 *	void *so = dlopen("/usr/lib/vmmigrate/vmmigrate.so", RTLD_NOW | RTLD_LOCAL);
 *	vmmigrate_plugin_fn *get = (vmmigrate_plugin_fn *)dlsym(so, VMMIGRATE_PLUGIN_SYMBOL);
 *	const struct vmmigrate_plugin *p = get(VMMIGRATE_API_VERSION);
 *	char *reply;
 *	int status = p->call("start", "{\"api\":1,\"guest\":\"100\",\"target\":\"node2\",\"options\":{\"online\":true}}", &reply);
 *
 * The plug-in is thin: each call runs /usr/libexec/vmmigrate/vmmigrate-engine (through pkexec where the caller is not root)
 * and passes JSON. It never ends the process, prints, or touches signal handlers, locale, umask or the working directory;
 * every descriptor is O_CLOEXEC; any thread may call.
 *
 * Every request is an object with "api":1; fields that are not known are ignored. Every reply is an object: either what the
 * verb gives, or {"api":1,"error":{"code","message","hint","exit"}}. A "plan" or "start" that checks refuse has all findings[]
 * beside its error. The plug-in itself replies "usage", "not-permitted", "engine-missing" and "engine-failed".
 *
 * Verbs and their requests → replies:
 *   info    {}                              → version, protocol, node, verbs, options[], checks[], phases[], hooks[]
 *   guests  {"node"?}                       → guests[]: kind id name uuid state node memory vcpus title
 *   nodes   {}                              → nodes[]: name address self reachable maintenance error?
 *   targets {"guest"}                       → as check, for every node
 *   check   {"guest","target"?,"options"?}  → guest{}, targets[]: node eligible mode findings[]
 *                                             finding: code severity(error|override|warning) object message hint ignored
 *   plan    {"guest","target","options"?}   → plan{}: mode guest source target volumes[] bytes downtime_ms stops_guest; findings[]
 *   start   {"guest","target","options"?}   → task, node
 *   tasks   {"guest"?,"all"?}               → tasks[]: task guest source target state started ended result
 *   status  {"task"} or {"guest"}           → task{}, progress{}, result{}?; of a guest: record{} too
 *   log     {"task"}                        → log (text)
 *   cancel  {"task"}                        → {}
 *   recover {"task"?,"guest"?,"keep"?}      → recovered[]: task outcome message
 *   node-add {"name","address","accept"?}, node-test {"name"?}
 * A verb that this version does not have: error "not-supported", exit 1.
 *
 * Events of a task, one object each, "api" "seq" "time" (microseconds since the epoch) "type" and, by type:
 *   phase     "phase" "state"(begin|done|undo) "object"?
 *   progress  "phase" "object" "done" "total" (bytes) "percent" (never goes back within a task) "rate" (bytes/s) "eta_s"
 *             "round"|"iteration"? "dirty_rate"? "downtime_ms"? (expected)
 *   log       "level"(info|warning|error) "message"
 *   result    "exit" "message" (the last line for people) "error"? "node" (where the guest is) "guest_state" "statistics"{}
 * After the result the stream ends.
 *
 * Statistics, each where there is something to say of it; bytes, of all volumes together:
 *   downtime_ms     the guest was off, or stood, for so long: from shut off (or its memory's last round) to let go
 *   shutdown_ms     restart: and before that it was shutting down for so long
 *   read_bytes      read of the source's volumes, in all rounds (holes are not read)
 *   wire_bytes      crossed; memory_bytes is the memory of a live migration
 *   present_bytes   were on the target already, from a seed, an earlier try or an earlier round (in 64 KiB)
 *   last_read_bytes, last_wire_bytes, last_round_ms, volume_bytes   of the round without the guest (up to when the copy is proven,
 *                   named and defined); the size of what was copied
 *   kept_bytes      of a copy that was cut are on the target for the next try
 *   digests[]       "volume" "kind"(poly1305|sha256) "root": both ends have it
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

/* Grows at its end only: look at `size` before you use a member that came later. */
struct vmmigrate_plugin {
	size_t size;	     /* of this structure, in bytes */
	int version;	     /* VMMIGRATE_API_VERSION that the plug-in was built with */
	const char *release; /* of the package, "0.1.0" */

	/* Carries out a verb. `request` is JSON, or NULL for {"api":1}. Returns the exit status of the verb (0 done, 1 failed, 2 usage,
	 * 3 blocked, 4 not permitted, 5 not found, 6 busy, 7 cancelled, 8 leftovers, 9 needs an administrator's word);
	 * *reply is always set, belongs to the caller, and goes back through free. May take long: "start" does not (it
	 * returns when the task runs), "check" asks other nodes. */
	int (*call)(const char *verb, const char *request, char **reply);

	/* Follows a task's events from number `from_seq` on (0: all). NULL where it could not begin: errno says why. */
	struct vmmigrate_follow *(*follow)(const char *task, uint64_t from_seq);
	/* A descriptor that is readable when next_event has something; belongs to the follow. */
	int (*follow_fd)(const struct vmmigrate_follow *follow);
	/* 1: *event is the next one (JSON, back through free); 0: none yet; -1: the stream has ended. Does not block. */
	int (*next_event)(struct vmmigrate_follow *follow, char **event);
	/* Stops following; the task itself goes on. */
	void (*end_follow)(struct vmmigrate_follow *follow);

	void (*free)(void *memory);
};

typedef const struct vmmigrate_plugin *vmmigrate_plugin_fn(int host_api_version);

/* The one exported symbol. NULL where the host's version is newer than what this plug-in can be. */
const struct vmmigrate_plugin *vmmigrate_plugin(int host_api_version);

#ifdef __cplusplus
}
#endif
#endif
