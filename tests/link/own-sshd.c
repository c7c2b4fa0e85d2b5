/* own-sshd.c: starts and stops an sshd for one test. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "own-sshd.h"

static void must(bool good, const char *what)
{
	if (good)
		return;
	perror(what);
	exit(99);
}

void must_run_argv(const char *const *argv)
{
	struct run_result result;
	struct vmm_error *err = NULL;
	if (run_checked(&(struct run){.argv = argv, .limit_ms = 30000}, &result, &err) < 0) {
		fprintf(stderr, "%s\n", err->message);
		exit(99);
	}
	run_result_free(&result);
}

static void write_file(const char *path, const char *text)
{
	must(file_write(path, text, strlen(text), 0600, NULL) == 0, path);
}

/* Without root, a user namespace is needed too; user and group are mapped to themselves. */
static bool new_namespace(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	if (uid == 0)
		return unshare(CLONE_NEWNS) == 0;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return false;
	vmm_auto_free char *uids = str_format("%d %d 1", uid, uid), *gids = str_format("%d %d 1", gid, gid);
	const char *const files[][2] = {
		{"/proc/self/setgroups", "deny"}, {"/proc/self/uid_map", uids}, {"/proc/self/gid_map", gids}};
	for (size_t i = 0; i < VMM_COUNT(files); i++) {
		vmm_auto_close int fd = open(files[i][0], O_WRONLY | O_CLOEXEC);
		if (fd < 0 || fd_write_all(fd, files[i][1], strlen(files[i][1])) < 0)
			return false;
	}
	return true;
}

bool enter_namespace(void)
{
	return new_namespace() && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("tmpfs", "/run", "tmpfs", 0, "mode=755") == 0 &&
	       mount("tmpfs", "/etc/ssh", "tmpfs", 0, "mode=755") == 0 && mkdir("/run/sshd", 0755) == 0;
}

int free_port(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(at);
	vmm_auto_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0, "a free port");
	getsockname(fd, (struct sockaddr *)&at, &size);
	return ntohs(at.sin_port);
}

static char *make_key(struct own_sshd *d, const char *name)
{
	char *path = str_format("%s/%s", d->dir, name);
	must_run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path);
	return path;
}

static char *public_of(const char *key)
{
	vmm_auto_free char *path = str_format("%s.pub", key);
	char *line = NULL;
	must(file_read(path, 65536, &line, NULL, NULL) == 0, path);
	line[strcspn(line, "\n")] = 0;
	return line;
}

static void write_configuration(struct own_sshd *d, const char *host_key, const char *lines)
{
	char self[4096] = "";
	vmm_auto_free char *config = str_format("%s/config", d->dir), *accepted = str_format("%s/accepted", d->dir);
	vmm_auto_free char *host = public_of(host_key), *any = public_of(d->key), *forced = public_of(d->forced_key);
	must(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0, "this program's path");
	vmm_auto_free char *keys = str_format("%s\nrestrict,command=\"exec %s far\" %s\n", any, self, forced);
	vmm_auto_free char *hosts = str_format("[127.0.0.1]:%d %s\n", d->port, host);
	vmm_auto_free char *text = str_format("ListenAddress 127.0.0.1\nPort %d\nHostKey %s\nAuthorizedKeysFile %s\n"
					      "PidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin yes\n"
					      "PasswordAuthentication no\nKbdInteractiveAuthentication no\n%s",
					      d->port, host_key, accepted, lines);
	write_file(accepted, keys);
	write_file(d->known_hosts, hosts);
	write_file(config, text);
}

static void wait_until_it_listens(struct own_sshd *d)
{
	struct ssh_peer peer = own_sshd_peer(d);
	for (int i = 0; i < 200; i++) {
		int fd = link_connect(&peer, clock_steady_ms() + 1000, NULL);
		if (fd >= 0) {
			close(fd);
			return;
		}
		clock_sleep_ms(20);
	}
	must(false, "sshd does not listen");
}

void own_sshd_start(struct own_sshd *d, const char *lines)
{
	*d = (struct own_sshd){.dir = "/tmp/vmm-link-XXXXXX", .port = free_port()};
	must(mkdtemp(d->dir), "a directory");
	d->user = str_copy(getpwuid(geteuid())->pw_name);
	d->known_hosts = str_format("%s/known_hosts", d->dir);
	d->key = make_key(d, "key");
	d->forced_key = make_key(d, "forced");
	d->foreign_key = make_key(d, "foreign");
	vmm_auto_free char *host_key = make_key(d, "host");
	write_configuration(d, host_key, lines);
	vmm_auto_free char *config = str_format("%s/config", d->dir), *log = str_format("%s/log", d->dir);
	d->pid = fork();
	must(d->pid >= 0, "fork");
	if (d->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		execl("/usr/sbin/sshd", "/usr/sbin/sshd", "-D", "-E", log, "-f", config, NULL);
		_exit(127);
	}
	wait_until_it_listens(d);
}

void own_sshd_stop(struct own_sshd *d)
{
	kill(d->pid, SIGTERM);
	waitpid(d->pid, NULL, 0);
	dir_remove(d->dir, NULL);
	free(d->user);
	free(d->known_hosts);
	free(d->key);
	free(d->forced_key);
	free(d->foreign_key);
}

struct ssh_peer own_sshd_peer(const struct own_sshd *d)
{
	return (struct ssh_peer){.name = "node2",
				 .address = "127.0.0.1",
				 .port = d->port,
				 .user = d->user,
				 .key = d->key,
				 .known_hosts = d->known_hosts,
				 .connect_ms = 10000};
}
