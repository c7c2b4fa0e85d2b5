/* live.c: moves a running guest's memory from this node to another.
 *
 * The two hypervisors speak to each other, so that the migration goes on if our worker dies. libvirt's own connection
 * always goes through the relay, a process that outlives the worker and is noted in the task's made journal. Memory
 * goes through the relay too, and so through ssh (secure), or straight over TCP (insecure).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "node/local.h"

#ifndef VMM_LIBEXEC
#define VMM_LIBEXEC "/usr/libexec/vmmigrate"
#endif

enum { RELAY_READY_MS = 20000 };

/* How a guest's memory crosses. */
struct carrier {
	pid_t relay;		      /* 0: none */
	char *control_uri, *data_uri; /* struct guest_migration */
	char *listen;		      /* likewise */
};

/* Runs `vmmigrate-engine relay` with these descriptors as its stdin and stdout. Returns 0, or an errno; *pid is 0 then.
 */
static int relay_spawn(int in, int out, pid_t *pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, in, 0);
	posix_spawn_file_actions_adddup2(&files, out, 1);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
	char name[] = "vmmigrate-engine", verb[] = "relay";
	char *const argv[] = {name, verb, NULL};
	int number = posix_spawn(pid, VMM_LIBEXEC "/vmmigrate-engine", &files, &attributes, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attributes);
	if (number)
		*pid = 0;
	return number;
}

/* Ends the relay and waits for its end. *pid becomes 0, since the number may belong to another process from now on. */
static void relay_end(pid_t *pid)
{
	enum { PATIENCE_MS = 2000, LOOK_MS = 20 };
	pid_t relay = *pid;
	*pid = 0;
	if (relay <= 0 || kill(relay, SIGTERM) < 0)
		return;
	for (int ms = 0; ms < PATIENCE_MS; ms += LOOK_MS, clock_sleep_ms(LOOK_MS))
		if (waitpid(relay, NULL, WNOHANG) != 0)
			return;
	kill(relay, SIGKILL);
	waitpid(relay, NULL, 0);
}

/* Starts a relay, which reads its request from stdin and writes one byte to stdout as soon as its sockets listen. */
static int relay_start(struct json_object *request, pid_t *pid, struct vmm_error **err)
{
	int in[2], out[2];
	if (pipe2(in, O_CLOEXEC) < 0)
		return error_errno(err, errno, "start the relay");
	vmm_auto_close int its_in = in[0], request_in = in[1];
	if (pipe2(out, O_CLOEXEC) < 0)
		return error_errno(err, errno, "start the relay");
	vmm_auto_close int ready = out[0], its_out = out[1];
	int number = relay_spawn(its_in, its_out, pid);
	if (number)
		return error_errno(err, number, "start the relay");
	vmm_cleanup_close(&its_in);
	vmm_cleanup_close(&its_out);
	const char *line = json_line(request);
	bool sent = fd_write_all(request_in, line, strlen(line)) == 0;
	vmm_cleanup_close(&request_in);
	struct pollfd wait = {ready, POLLIN, 0};
	char byte;
	if (sent && poll(&wait, 1, RELAY_READY_MS) == 1 && read(ready, &byte, 1) == 1)
		return 0;
	relay_end(pid);
	return error_set(err, VMM_FAILED, "relay-failed", "the relay did not start; the task's log says why");
}

int local_memory_directory(const struct local_guest *g, const char *task, uid_t *user, gid_t *group,
			   struct vmm_error **err)
{
	vmm_auto_json struct json_object *facts = NULL;
	vmm_auto_free char *socket = relay_migration_socket(task), *dir = path_dir(socket);
	if (g->ops->host_facts(g->host, &facts, err) < 0 || dir_make(dir, 0700, err) < 0)
		return -1;
	*user = (uid_t)json_number(facts, "uids.user");
	*group = (gid_t)json_number(facts, "uids.group");
	return lchown(dir, *user, *group) < 0 ? error_errno(err, errno, "give %s to QEMU's user", dir) : 0;
}

/* Memory goes to the address that the checks have found for it, and the target listens at no other. If they have found
 * none, it goes to the address or host name that the configuration has for the target, and the hypervisor there decides
 * where it listens. */
static void carry_by_tcp(struct local_node *node, const char *peer, struct json_object *options,
			 struct carrier *carrier)
{
	const char *found = json_text(options, "memory_address");
	struct json_object *section = json_member(json_at(node->config, "node"), peer);
	vmm_auto_free char *host = address_in_uri(found ? found : json_text_or(section, "address", peer));
	carrier->data_uri = str_format("tcp://%s", host);
	carrier->listen = found ? str_copy(found) : NULL;
}

/* Adds the socket that memory crosses by to the relay's request. Only QEMU's user can connect to it. */
static int carry_by_relay(const struct local_guest *g, const char *task, struct json_object *request,
			  struct carrier *carrier, struct vmm_error **err)
{
	vmm_auto_free char *socket = relay_migration_socket(task);
	uid_t user;
	gid_t group;
	if (local_memory_directory(g, task, &user, &group, err) < 0)
		return -1;
	json_append(request, "sockets",
		    json_make("listen:s connect:s uid:i gid:i", socket, socket, (int64_t)user, (int64_t)group));
	carrier->data_uri = str_format("unix://%s", socket);
	return 0;
}

/* Starts a relay for the hypervisors' connection and, where the migration is secure, for memory. Only root can connect
 * to the first. */
static int carry(struct local_node *node, const struct local_guest *g, const char *peer, const char *task,
		 struct json_object *options, struct carrier *carrier, struct vmm_error **err)
{
	bool insecure = str_same(json_text(options, "migration_type"), "insecure");
	if (insecure)
		carry_by_tcp(node, peer, options, carrier);
	if (!g->ops->control_socket)
		return 0;
	vmm_auto_free char *dir = str_format("%s/relay-%s", node->paths->run, task),
			   *control = str_format("%s/control", dir);
	vmm_auto_json struct json_object *request = json_make("peer:s", peer);
	json_append(request, "sockets", json_make("listen:s connect:s", control, g->ops->control_socket));
	if (dir_make(dir, 0700, err) < 0 || (!insecure && carry_by_relay(g, task, request, carrier, err) < 0) ||
	    relay_start(request, &carrier->relay, err) < 0)
		return -1;
	carrier->control_uri = str_format(g->ops->control_uri, control);
	vmm_auto_free char *started = str_format("%llu", (unsigned long long)process_started(carrier->relay));
	return local_made_note(node, task, json_make("made:s pid:d started:s", "relay", (int)carrier->relay, started),
			       err);
}

/* ---------------------------------------------------------------- from migrate to migrate_end */

struct local_moving {
	struct json_object *options; /* `g` refers to strings in it */
	struct local_guest g;
	struct carrier carrier;
};

static void moving_free(struct local_moving *moving)
{
	relay_end(&moving->carrier.relay);
	free(moving->carrier.control_uri);
	free(moving->carrier.data_uri);
	free(moving->carrier.listen);
	local_guest_close(&moving->g);
	json_object_put(moving->options);
	free(moving);
}

static int begin(struct local_node *node, struct local_moving *moving, const char *peer, const char *task,
		 struct guest_migration *migration, struct vmm_error **err)
{
	struct local_guest *g = &moving->g;
	if (local_guest_open(node, moving->options, g, err) < 0)
		return -1;
	if (!g->ops->migrate)
		return error_set(err, VMM_BLOCKED, "not-supported", "a %s cannot move while it runs", g->ops->label);
	if (carry(node, g, peer, task, moving->options, &moving->carrier, err) < 0)
		return -1;
	migration->id = g->id;
	migration->peer = peer;
	migration->target_uri = moving->carrier.control_uri;
	migration->data_uri = moving->carrier.data_uri;
	migration->listen = moving->carrier.listen;
	return g->ops->migrate(g->host, migration, err);
}

int local_migrate(struct vmm_node *vmm, struct vmm_node *peer, const char *task, struct guest_migration *migration,
		  struct json_object *options, struct vmm_error **err)
{
	struct local_node *node = (struct local_node *)vmm;
	node->moving = mem_zero(sizeof(*node->moving));
	node->moving->options = json_copy(options);
	return begin(node, node->moving, peer->name, task, migration, err);
}

int local_migrate_end(struct vmm_node *vmm, struct vmm_error **err)
{
	struct local_node *node = (struct local_node *)vmm;
	struct local_moving *moving = node->moving;
	if (!moving)
		return 0;
	node->moving = NULL;
	int done = moving->g.host && moving->g.ops->migrate_end ? moving->g.ops->migrate_end(moving->g.host, err) : 0;
	moving_free(moving);
	return done;
}
