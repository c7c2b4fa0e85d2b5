/* lxc: containers of LXC. All of liblxc is in this folder; the files of the folder know one another by this header.
 *
 * A container's id is its name. Its definition is JSON:
 *	"name"
 *	"config"		the text of its config file; included files are not in it
 *	"config_mode" "config_uid" "config_gid"	of that file
 *	"mode" "uid" "gid"	of its directory
 *	"files"			what else is in the directory, an array of {"path","mode","uid","gid"} with
 *				"directory":true or "hex":the content
 *
 * LXC has no hook that runs before every start, so the name of the config file is the guard: it is "config" on the
 * node that owns the container. On a node where the container is arriving, or which it has left, it is
 * "config.vmmigrate", which neither lxc-start nor LXC's autostart finds.
 *
 * Reading order: lxc.c (paths, configs, the table of the kind), rootfs.c, extra-files.c, facts.c, fit.c, rewrite.c,
 * define.c, hold.c, loop.c, power.c.
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

/* ------------------------------------------------------------------ lxc.c */

/* A container's directory and the two names of its config. Each path belongs to the caller. */
char *lxc_directory(struct guest_host *host, const char *id) VMM_MUST_USE;
char *lxc_active_config(struct guest_host *host, const char *id) VMM_MUST_USE;	 /* DIRECTORY/config */
char *lxc_inactive_config(struct guest_host *host, const char *id) VMM_MUST_USE; /* DIRECTORY/config.vmmigrate */
/* The one of the two that exists, the active one first; NULL where neither does. Belongs to the caller. */
char *lxc_present_config(struct guest_host *host, const char *id) VMM_MUST_USE;

/* A name that we accept: letters, digits and ". _ - + @ :". */
bool lxc_name_good(const char *id);

#define vmm_auto_container __attribute__((cleanup(lxc_cleanup_container)))
void lxc_cleanup_container(struct lxc_container **container);

/* Opens the container and reads its config, active or inactive. Errors "no-such-guest", "bad-definition". */
int lxc_load(struct guest_host *host, const char *id, struct lxc_container **container, struct vmm_error **err);
/* The value of a config item, or NULL where it is not set. Belongs to the caller. */
char *lxc_item(struct lxc_container *container, const char *key) VMM_MUST_USE;
/* True if a line of the config's own text, which has no included files, gives the key this value; NULL: any value. Of a
 * value that has several words only the first one counts. */
bool lxc_text_has(const char *text, const char *key, const char *value);
/* The value in a line "key = value" of a config; points into `line`. NULL where the line has another key. */
const char *lxc_value(const char *line, const char *key);
/* The state in guest.h's terms; a constant. A held container is "paused": LXC is not asked about it, since its monitor
 * does not answer while the hook waits. */
const char *lxc_state_of(struct lxc_container *container);

/* ------------------------------------------------------------------ rootfs.c */

/* The value of lxc.rootfs.path: [TYPE:]PATH, or overlay:LOWER[:LOWER...]:UPPER. NULL: it has no root. Belongs to the
 * caller. */
char *lxc_root(struct guest_host *host, struct lxc_container *container) VMM_MUST_USE;
/* All three take such a value. */
bool lxc_is_overlay(const char *root);
/* Its path, or an overlay's paths with colons between them; points into `root`. NULL where it is not a path of this
 * node (zfs, rbd, nbd). */
const char *lxc_root_paths(const char *root);
/* The volume name ("target") of an overlay's layer: "lower" "lower2" ... from number 0 on, and "upper" for the last. */
char *lxc_layer(int number, bool last) VMM_MUST_USE;
/* Its root as an array of volumes (storage.h); belongs to the caller. */
struct json_object *lxc_volumes(struct guest_host *host, struct lxc_container *container) VMM_MUST_USE;

/* True if the path is that of the working directory of an overlay: beside the upper layer. What is in it belongs to the
 * kernel, and LXC makes it anew. */
bool lxc_is_work_directory(struct json_object *volumes, const char *path);

/* ------------------------------------------------------------------ extra-files.c */

enum { LXC_EXTRA_FILES_MOST = 192 << 10 }; /* bytes of all such files of a container */

/* What is in a container's directory besides the config and the volumes. */
struct lxc_extra_files {
	struct json_object *files; /* as in the definition */
	struct json_object *left;  /* names of what cannot be carried in a definition */
	struct json_object *logs;  /* names of logs, which stay where they are */
};
#define vmm_auto_extra_files __attribute__((cleanup(lxc_cleanup_extra_files)))
void lxc_cleanup_extra_files(struct lxc_extra_files *found);
/* lxc_cleanup_extra_files frees what is in *found, also after an error. */
int lxc_extra_files_read(const char *directory, struct json_object *volumes, struct lxc_extra_files *found,
			 struct vmm_error **err);
int lxc_extra_files_write(const char *directory, struct json_object *files, struct vmm_error **err);
/* Removes as many of them as it can. */
void lxc_extra_files_remove(const char *directory, struct json_object *volumes, struct json_object *files);

/* ------------------------------------------------------------------ guest_ops: facts.c, fit.c, rewrite.c, define.c */

int lxc_host_facts(struct guest_host *host, struct json_object **facts, struct vmm_error **err);
int lxc_list(struct guest_host *host, struct json_object **guests, struct vmm_error **err);
int lxc_facts(struct guest_host *host, const char *who, struct json_object **facts, struct vmm_error **err);
int lxc_state(struct guest_host *host, const char *id, struct json_object **state, struct vmm_error **err);
int lxc_fit(struct guest_host *host, struct json_object *guest, struct json_object **fit, struct vmm_error **err);

int lxc_rewrite(const char *definition, struct json_object *changes, char **rewritten, struct vmm_error **err);
int lxc_define(struct guest_host *host, const char *definition, struct vmm_error **err);
int lxc_undefine(struct guest_host *host, const char *id, struct vmm_error **err);
int lxc_autostart(struct guest_host *host, const char *id, bool on, struct vmm_error **err);
int lxc_own(struct guest_host *host, const char *id, bool own, struct vmm_error **err);

/* ------------------------------------------------------------------ hold.c */

/* A file in the directory /run/vmmigrate/lxc/ID, through which we and hooks/lxc/hold.c speak. Belongs to the caller. */
char *lxc_hold_file(const char *id, const char *name) VMM_MUST_USE;
/* Makes the directory, and removes the files of an earlier start. Called before each start. */
int lxc_hold_reset(const char *id, struct vmm_error **err);
/* True while the hook of a held start waits for an answer. */
bool lxc_is_held(const char *id);
/* Answers it: "go" lets the container run, "end" makes its start fail. */
int lxc_hold_answer(const char *id, const char *answer, struct vmm_error **err);

/* ------------------------------------------------------------------ loop.c */

/* Where the root is a disk image: waits, 30 s at most, until no loop device uses it any more, and syncs it to the disk.
 * Error "volume-in-use". */
int lxc_await_loop(struct lxc_container *container, struct vmm_error **err);

/* ------------------------------------------------------------------ guest_ops: power.c */

int lxc_start(struct guest_host *host, const char *id, bool held, struct vmm_error **err);
int lxc_release(struct guest_host *host, const char *id, struct vmm_error **err);
int lxc_stop(struct guest_host *host, const char *id, int limit_ms, bool force, bool (*cancelled)(void *),
	     void *context, struct vmm_error **err);
int lxc_destroy(struct guest_host *host, const char *id, struct vmm_error **err);

#endif
