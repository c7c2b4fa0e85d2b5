/* lxc: the parts of the container kind to one another. All of liblxc is in this folder.
 *
 * A container's id is its name. Its definition is JSON: {"name", "config": the text of its config file, includes left as they
 * are, "mode","uid","gid": of its directory, "files": what else is in it: [{"path","mode","uid","gid","directory"?|"hex"}]}.
 *
 * LXC knows no global start hook, so the guard is the config's name: "config" on the node that owns the container,
 * "config.vmmigrate" where it is coming or has gone, which neither lxc-start nor autostart finds.
 */
#ifndef VMM_LXC_H
#define VMM_LXC_H

#include <lxc/lxccontainer.h>

#include "guest/guest.h"

enum { LXC_CONFIG_MOST = 256 << 10 }; /* bytes */

struct lxc_host {
	struct guest_host base;
	char *path; /* lxc.lxcpath: /var/lib/lxc */
};

/* Paths of a container; belong to the caller. */
char *lxc_directory(struct guest_host *host, const char *id) VMM_MUST_USE;
char *lxc_config(struct guest_host *host, const char *id) VMM_MUST_USE; /* where its own name is */
char *lxc_aside(struct guest_host *host, const char *id) VMM_MUST_USE;

/* A name that we take: letters, digits and ". _ - + @ :". */
bool lxc_name_good(const char *id);

#define vmm_auto_container __attribute__((cleanup(lxc_cleanup_container)))
void lxc_cleanup_container(struct lxc_container **container);

/* The container with its config, under whichever name it has. Error "no-such-guest". */
int lxc_load(struct guest_host *host, const char *id, struct lxc_container **container, struct vmm_error **err);
/* The path of the config that is there, or NULL. */
char *lxc_config_there(struct guest_host *host, const char *id) VMM_MUST_USE;
/* The value of a config item, or NULL; belongs to the caller. */
char *lxc_item(struct lxc_container *container, const char *key) VMM_MUST_USE;
/* The value in a line "key = value" of a config; points into `line`. NULL where the line has another key. */
const char *lxc_value(const char *line, const char *key);
/* guest.h's word for the state. Never asks LXC about a container that we hold: it would not answer. */
const char *lxc_state_of(struct lxc_container *container);

/* ------------------------------------------------------------------ rootfs.c */

/* [TYPE:]PATH of its root, or overlay:LOWER:UPPER, as its config has it; NULL: it has none. */
char *lxc_root(struct guest_host *host, struct lxc_container *container) VMM_MUST_USE;
bool lxc_is_overlay(const char *root);
/* The path in it, or an overlay's paths with colons between; NULL where it is none of this node's filesystems. */
const char *lxc_root_paths(const char *root);
/* What we call a layer of an overlay: "lower" "lower2" ... from 0 on, and the last one "upper". */
char *lxc_layer(int number, bool last) VMM_MUST_USE;

/* Its root as volumes (storage.h). */
struct json_object *lxc_volumes(struct guest_host *host, struct lxc_container *container) VMM_MUST_USE;

/* ------------------------------------------------------------------ loop.c */

/* Where the root is an image: waits until no loop device has it any more and it is on the disk. Error "volume-in-use". */
int lxc_await_loop(struct lxc_container *container, struct vmm_error **err);

/* ------------------------------------------------------------------ belongings.c */

enum { LXC_BELONGINGS_MOST = 192 << 10 }; /* bytes of all small files in a container's directory that travel with it */

/* What is in its directory besides the config and the volumes; `left` (an array) gets the names of what cannot travel. */
int lxc_belongings(const char *directory, struct json_object *volumes, struct json_object **files,
		   struct json_object *left, struct vmm_error **err);
int lxc_belongings_make(const char *directory, struct json_object *files, struct vmm_error **err);
void lxc_belongings_remove(const char *directory, struct json_object *files);

/* ------------------------------------------------------------------ facts.c, fit.c */

int lxc_host_facts(struct guest_host *host, struct json_object **facts, struct vmm_error **err);
int lxc_list(struct guest_host *host, struct json_object **guests, struct vmm_error **err);
int lxc_facts(struct guest_host *host, const char *who, struct json_object **facts, struct vmm_error **err);
int lxc_fit(struct guest_host *host, struct json_object *guest, struct json_object **fit, struct vmm_error **err);
int lxc_state(struct guest_host *host, const char *id, struct json_object **state, struct vmm_error **err);

/* ------------------------------------------------------------------ define.c, rewrite.c */

int lxc_rewrite(const char *definition, struct json_object *changes, char **rewritten, struct vmm_error **err);
int lxc_define(struct guest_host *host, const char *definition, struct vmm_error **err);
int lxc_undefine(struct guest_host *host, const char *id, struct vmm_error **err);
int lxc_autostart(struct guest_host *host, const char *id, bool on, struct vmm_error **err);
int lxc_own(struct guest_host *host, const char *id, bool own, struct vmm_error **err);

/* ------------------------------------------------------------------ power.c, hold.c */

int lxc_start(struct guest_host *host, const char *id, bool held, struct vmm_error **err);
int lxc_release(struct guest_host *host, const char *id, struct vmm_error **err);
int lxc_stop(struct guest_host *host, const char *id, int limit_ms, bool force, bool (*cancelled)(void *),
	     void *context, struct vmm_error **err);
int lxc_destroy(struct guest_host *host, const char *id, struct vmm_error **err);

/* Where hooks/lxc/hold.c and we speak: a directory of the container's in /run. */
char *lxc_hold_directory(const char *id) VMM_MUST_USE;
/* True while a start of it waits for our word. */
bool lxc_is_held(const char *id);
/* The word: "go" lets it run, "end" makes the start fail. */
int lxc_hold_say(const char *id, const char *word, struct vmm_error **err);
/* Forgets all words of an earlier start. */
int lxc_hold_begin(const char *id, struct vmm_error **err);

#endif
