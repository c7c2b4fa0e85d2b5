/* needs.c: does this node have what a guest of another node names on its host (guest.h, "needs")? Each kind of need has
 * a row with the function that looks. Nothing is changed: an address is tried by binding a socket to it, which is
 * closed at once and has never listened. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "node/local.h"

static const char ok[] = "ok", missing[] = "missing", taken[] = "taken", small[] = "small", unknown[] = "unknown";

/* ------------------------------------------------------------------ paths */

static const char *look_at_file(const char *path, struct json_object *need)
{
	struct stat info;
	if (stat(path, &info) < 0)
		return missing;
	return S_ISREG(info.st_mode) && info.st_size < json_number(need, "size") ? small : ok;
}

static const char *look_at_mode(const char *path, mode_t one, mode_t other)
{
	struct stat info;
	return stat(path, &info) == 0 && ((info.st_mode & S_IFMT) == one || (info.st_mode & S_IFMT) == other) ? ok
													      : missing;
}

static const char *look_at_directory(const char *path, struct json_object *need)
{
	(void)need;
	return look_at_mode(path, S_IFDIR, S_IFDIR);
}

static const char *look_at_parent(const char *path, struct json_object *need)
{
	vmm_auto_free char *dir = path_dir(path);
	return look_at_directory(dir, need);
}

static const char *look_at_device(const char *path, struct json_object *need)
{
	(void)need;
	return look_at_mode(path, S_IFCHR, S_IFBLK);
}

static const char *look_at_socket(const char *path, struct json_object *need)
{
	(void)need;
	return look_at_mode(path, S_IFSOCK, S_IFSOCK);
}

/* QEMU opens PATH.in and PATH.out, or else PATH. */
static const char *look_at_pipe(const char *path, struct json_object *need)
{
	vmm_auto_free char *in = str_format("%s.in", path);
	return look_at_file(in, need) == ok ? ok : look_at_file(path, need);
}

static const char *look_for_program(const char *name, struct json_object *need)
{
	static const char *const directories[] = {"/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/sbin"};
	(void)need;
	for (size_t i = 0; i < VMM_COUNT(directories); i++) {
		vmm_auto_free char *path = str_format("%s/%s", directories[i], name);
		if (access(path, X_OK) == 0)
			return ok;
	}
	return missing;
}

/* ------------------------------------------------------------------ addresses and ports */

/* Binds a socket to an address of the list. */
static const char *try_address(const struct addrinfo *to)
{
	const int on = 1;
	vmm_auto_close int fd = socket(to->ai_family, to->ai_socktype | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return unknown;
	/* As QEMU does; without it, connections that have just ended would count. */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (to->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, to->ai_addr, to->ai_addrlen) == 0)
		return ok;
	return errno == EADDRINUSE ? taken : errno == EADDRNOTAVAIL ? missing : unknown;
}

static const char *look_at_address(const char *name, const char *port, int type)
{
	const struct addrinfo want = {.ai_socktype = type, .ai_flags = AI_PASSIVE};
	struct addrinfo *all = NULL;
	if (getaddrinfo(name, port, &want, &all) != 0)
		return missing;
	const char *answer = missing;
	for (struct addrinfo *to = all; to && answer != ok; to = to->ai_next) {
		const char *one = try_address(to);
		answer = one == missing ? answer : one;
	}
	freeaddrinfo(all);
	return answer;
}

/* "192.0.2.1:5900", "[::1]:5900". */
static const char *look_at_port(const char *name, int type)
{
	vmm_auto_free char *copy = str_copy(name);
	char *colon = strrchr(copy, ':'), *host = copy;
	if (!colon)
		return unknown;
	*colon = 0;
	if (*host == '[' && colon[-1] == ']') {
		host++;
		colon[-1] = 0;
	}
	return look_at_address(host, colon + 1, type);
}

static const char *look_for_address(const char *name, struct json_object *need)
{
	(void)need;
	return look_at_address(name, "0", SOCK_STREAM);
}

static const char *look_at_tcp(const char *name, struct json_object *need)
{
	(void)need;
	return look_at_port(name, SOCK_STREAM);
}

static const char *look_at_udp(const char *name, struct json_object *need)
{
	(void)need;
	return look_at_port(name, SOCK_DGRAM);
}

/* ------------------------------------------------------------------ what the kernel lists */

static const char *look_in_sysfs(const char *dir, const char *name)
{
	vmm_auto_free char *path = str_format("%s%s", dir, name);
	return file_there(path) ? ok : missing;
}

static const char *look_for_link(const char *name, struct json_object *need)
{
	(void)need;
	return look_in_sysfs("/sys/class/net/", name);
}

static const char *look_for_pci(const char *name, struct json_object *need)
{
	(void)need;
	return look_in_sysfs("/sys/bus/pci/devices/", name);
}

static const char *look_for_mdev(const char *name, struct json_object *need)
{
	(void)need;
	return look_in_sysfs("/sys/bus/mdev/devices/", name);
}

static const char *look_for_numa(const char *name, struct json_object *need)
{
	(void)need;
	return look_in_sysfs("/sys/devices/system/node/node", name);
}

/* libvirt says "scsi_host3", the kernel "host3". */
static const char *look_for_scsi(const char *name, struct json_object *need)
{
	static const char prefix[] = "scsi_";
	(void)need;
	return look_in_sysfs("/sys/class/scsi_host/", name + (str_starts(name, prefix) ? strlen(prefix) : 0));
}

static bool usb_has(const char *device, const char *what, long number, int base)
{
	vmm_auto_free char *path = str_format("/sys/bus/usb/devices/%s/%s", device, what), *text = NULL;
	return file_read(path, 32, &text, NULL, NULL) == 0 && strtol(text, NULL, base) == number;
}

/* "0x046d:0xc52b", or "bus 1 device 4". */
static const char *look_for_usb(const char *name, struct json_object *need)
{
	vmm_auto_json struct json_object *devices = NULL;
	unsigned vendor = 0, product = 0;
	int bus = 0, number = 0;
	bool by_id = sscanf(name, "0x%x:0x%x", &vendor, &product) == 2;
	(void)need;
	if (!by_id && sscanf(name, "bus %i device %i", &bus, &number) != 2)
		return unknown;
	if (dir_list("/sys/bus/usb/devices", &devices, NULL) < 0)
		return missing;
	json_each (item, devices, "") {
		const char *device = json_text_or(item, "", "");
		if (by_id ? usb_has(device, "idVendor", vendor, 16) && usb_has(device, "idProduct", product, 16)
			  : usb_has(device, "busnum", bus, 10) && usb_has(device, "devnum", number, 10))
			return ok;
	}
	return missing;
}

/* ------------------------------------------------------------------ the table of kinds */

static const struct kind {
	const char *name;
	bool path; /* its names are absolute paths; those of others have no slash */
	const char *(*look)(const char *name, struct json_object *need);
} kinds[] = {
	{"file", true, look_at_file},	      {"directory", true, look_at_directory},
	{"parent", true, look_at_parent},     {"device", true, look_at_device},
	{"socket", true, look_at_socket},     {"pipe", true, look_at_pipe},
	{"program", false, look_for_program}, {"link", false, look_for_link},
	{"address", false, look_for_address}, {"tcp", false, look_at_tcp},
	{"udp", false, look_at_udp},	      {"pci", false, look_for_pci},
	{"usb", false, look_for_usb},	      {"mdev", false, look_for_mdev},
	{"scsi", false, look_for_scsi},	      {"numa", false, look_for_numa},
};

static const char *look(struct json_object *need)
{
	const char *kind = json_text(need, "kind"), *name = json_text_or(need, "name", "");
	for (size_t i = 0; i < VMM_COUNT(kinds); i++) {
		if (!str_same(kinds[i].name, kind))
			continue;
		bool good = kinds[i].path ? path_check(name, "need", NULL) == 0
					  : *name && !strchr(name, '/') && strcmp(name, "..") != 0;
		return good ? kinds[i].look(name, need) : unknown;
	}
	return unknown;
}

struct json_object *local_needs(struct json_object *guest)
{
	struct json_object *answers = json_object_new_array();
	json_each (need, guest, "needs")
		json_object_array_add(answers, json_object_new_string(look(need)));
	return answers;
}
