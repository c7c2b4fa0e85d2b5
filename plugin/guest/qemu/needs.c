/* needs.c: what a domain's XML names on its host, besides its volumes: files, directories, devices, sockets, addresses
 * and ports. A guest is not started where one of them is missing or taken, so the target is asked about all of them
 * before its source is stopped. The rows follow libvirt's schema (domaincommon.rng). */
#include <string.h>

#include "qemu.h"

/* A socket in one of libvirt's own directories: it makes that for each start, under another name. */
static bool is_made_by_libvirt(const char *kind, const char *path)
{
	return (str_same(kind, "parent") || str_same(kind, "socket")) &&
	       (str_starts(path, "/var/lib/libvirt/qemu/") || str_starts(path, "/run/libvirt/"));
}

static bool is_listed(struct json_object *needs, const char *kind, const char *name)
{
	json_each (need, needs, "")
		if (str_same(json_text(need, "kind"), kind) && str_same(json_text(need, "name"), name))
			return true;
	return false;
}

/* Adds it, unless it is there: libvirt lists the first serial port a second time, as a console. NULL: it is not
 * named. */
static void add(struct json_object *needs, const char *kind, const char *name, const char *use)
{
	if (name && *name && !is_listed(needs, kind, name))
		json_object_array_add(needs, json_make("kind:s name:s for:s", kind, name, use));
}

/* A path that is not absolute is no path: "none", or white space around other elements. */
static void add_path(struct json_object *needs, const char *kind, const char *path, const char *use)
{
	if (path && *path == '/' && !is_made_by_libvirt(kind, path))
		add(needs, kind, path, use);
}

/* ------------------------------------------------------------------ plain paths */

/* `element` below <domain>, of this `type` (NULL: any); there, `child` (NULL: the element itself) has the path in its
 * `attribute` (NULL: as its text). `kind` is as guest.h has it; `use` says to people what it serves. */
static const struct row {
	const char *element, *type, *child, *attribute, *kind, *use;
} rows[] = {
	{"os/kernel", NULL, NULL, NULL, "file", "its kernel"},
	{"os/initrd", NULL, NULL, NULL, "file", "its initrd"},
	{"os/dtb", NULL, NULL, NULL, "file", "its device tree"},
	{"os/loader", NULL, NULL, NULL, "file", "its firmware"},
	{"os/acpi/table", NULL, NULL, NULL, "file", "an ACPI table"},
	{"sysinfo", "fwcfg", "entry", "file", "file", "a firmware setting"},
	{"blkiotune/device", NULL, "path", NULL, "device", "an I/O limit"},
	{"devices/disk", "vhostuser", "source", "path", "socket", "a vhost-user disk"},
	{"devices/disk", "network", "source/host", "socket", "socket", "a network disk"},
	{"devices/disk", "network", "source/config", "file", "file", "a network disk"},
	{"devices/filesystem", NULL, "source", "dir", "directory", "a shared directory"},
	{"devices/filesystem", NULL, "source", "file", "file", "a shared filesystem"},
	{"devices/filesystem", NULL, "source", "dev", "device", "a shared filesystem"},
	{"devices/filesystem", NULL, "source", "socket", "socket", "a shared directory"},
	{"devices/filesystem", NULL, "binary", "path", "file", "a shared directory"},
	{"devices/interface", "vdpa", "source", "dev", "device", "a network interface"},
	{"devices/interface", NULL, "script", "path", "file", "a network interface"},
	{"devices/interface", NULL, "downscript", "path", "file", "a network interface"},
	{"devices/interface", NULL, "backend", "tap", "device", "a network interface"},
	{"devices/interface", NULL, "backend", "vhost", "device", "a network interface"},
	{"devices/interface", NULL, "backend", "logFile", "parent", "the log of a network interface"},
	{"devices/interface", NULL, "rom", "file", "file", "an option ROM"},
	{"devices/hostdev", NULL, "rom", "file", "file", "an option ROM"},
	{"devices/disk", NULL, "rom", "file", "file", "an option ROM"},
	{"devices/hostdev", NULL, "source/block", NULL, "device", "a device of its host"},
	{"devices/hostdev", NULL, "source/char", NULL, "device", "a device of its host"},
	{"devices/graphics", NULL, "gl", "rendernode", "device", "its display"},
	{"devices/graphics", "sdl", NULL, "xauth", "file", "its display"},
	{"devices/video", NULL, "model/acceleration", "rendernode", "device", "its video card"},
	{"devices/rng", NULL, "backend", NULL, "device", "its random numbers"},
	{"devices/tpm", NULL, "backend/device", "path", "device", "its TPM"},
	{"devices/tpm", NULL, "backend/source", "path", "socket", "its TPM"},
	{"devices/input", NULL, "source", "evdev", "device", "an input device"},
	{"devices/input", NULL, "source", "dev", "device", "an input device"},
	{"devices/shmem", NULL, "server", "path", "socket", "shared memory"},
	{"devices/smartcard", NULL, "database", NULL, "directory", "a smart card"},
	{"devices/audio", NULL, NULL, "path", "parent", "its sound"},
	{"devices/audio", NULL, "input", "dev", "device", "its sound"},
	{"devices/audio", NULL, "output", "dev", "device", "its sound"},
};

/* What the guest itself reads: the target's has to be the same, or at least of the same size. Another version of the
 * firmware is what each update of its package brings. */
static const char *same_of(const struct row *row)
{
	static const char *const read[][2] = {{"os/kernel", "content"},
					      {"os/initrd", "content"},
					      {"os/dtb", "content"},
					      {"os/acpi/table", "content"},
					      {"os/loader", "size"}};
	for (size_t i = 0; i < VMM_COUNT(read); i++)
		if (!strcmp(read[i][0], row->element))
			return read[i][1];
	return NULL;
}

static void add_from(struct json_object *needs, xmlNode *node, const struct row *row)
{
	vmm_auto_free char *path = row->attribute ? xml_attribute(node, row->attribute) : xml_text(node);
	size_t before = json_count(needs, "");
	add_path(needs, row->kind, path, row->use);
	if (same_of(row) && json_count(needs, "") > before)
		json_put(json_object_array_get_idx(needs, before), "same:s", same_of(row));
}

static void add_rows(struct json_object *needs, xmlNode *domain)
{
	for (const struct row *row = rows; row < rows + VMM_COUNT(rows); row++)
		xml_each (element, domain, row->element) {
			if (row->type && !xml_attribute_is(element, "type", row->type))
				continue;
			if (!row->child)
				add_from(needs, element, row);
			else
				xml_each (child, element, row->child)
					add_from(needs, child, row);
		}
}

/* The template is read only where the guest has no NVRAM yet: an NVRAM that it has goes with it. */
static void add_nvram_template(struct json_object *needs, xmlNode *domain)
{
	xmlNode *nvram = xml_below(domain, "os/nvram");
	vmm_auto_free char *template = xml_attribute(nvram, "template"), *path = xml_text(nvram);
	if (!path || *path != '/')
		add_path(needs, "file", template, "its NVRAM");
}

/* ------------------------------------------------------------------ character devices: serial ports, channels, ... */

/* Adds the port that QEMU listens on. */
static void add_port(struct json_object *needs, const char *kind, const char *address, const char *port,
		     const char *use)
{
	vmm_auto_free char *host = address_in_uri(address && *address ? address : "0.0.0.0");
	vmm_auto_free char *name = str_format("%s:%s", host, port ? port : "");
	if (port && atoi(port) > 0)
		add(needs, kind, name, use);
}

/* Where QEMU listens itself it makes the socket, in a directory that has to be there; else somebody must listen
 * already, unless QEMU tries again until somebody does. */
static void add_unix(struct json_object *needs, xmlNode *source, const char *path, const char *use)
{
	bool listens = xml_attribute_is(source, "mode", "bind") || xml_attribute_is(source, "mode", "server");
	if (listens || !xml_attribute_is(xml_below(source, "reconnect"), "enabled", "yes"))
		add_path(needs, listens ? "parent" : "socket", path, use);
}

static void add_source(struct json_object *needs, const char *type, xmlNode *source, const char *use)
{
	static const char *const plain[][2] = {{"dev", "device"}, {"file", "parent"}, {"pipe", "pipe"}};
	vmm_auto_free char *path = xml_attribute(source, "path");
	for (size_t i = 0; i < VMM_COUNT(plain); i++)
		if (str_same(type, plain[i][0]))
			add_path(needs, plain[i][1], path, use);
	if (str_same(type, "unix"))
		add_unix(needs, source, path, use);
	if ((str_same(type, "tcp") || str_same(type, "udp")) && xml_attribute_is(source, "mode", "bind")) {
		vmm_auto_free char *address = xml_attribute(source, "host"), *port = xml_attribute(source, "service");
		add_port(needs, type, address, port, use);
	}
}

static void add_character_device(struct json_object *needs, xmlNode *device, const char *use)
{
	vmm_auto_free char *type = xml_attribute(device, "type"),
			   *log = xml_attribute(xml_below(device, "log"), "file");
	xml_each (source, device, "source")
		add_source(needs, type, source, use);
	add_path(needs, "parent", log, "a log");
}

static void add_character_devices(struct json_object *needs, xmlNode *devices)
{
	static const char *const elements[][2] = {
		{"serial", "a serial port"}, {"parallel", "a parallel port"},  {"console", "its console"},
		{"channel", "a channel"},    {"redirdev", "a USB redirector"}, {"smartcard", "a smart card"},
	};
	for (size_t i = 0; i < VMM_COUNT(elements); i++)
		xml_each (device, devices, elements[i][0])
			add_character_device(needs, device, elements[i][1]);
	xml_each (rng, devices, "rng")
		add_character_device(needs, xml_below(rng, "backend"), "its random numbers");
}

/* ------------------------------------------------------------------ displays */

/* A port that libvirt chooses itself (autoport) is free by then. */
static void add_ports(struct json_object *needs, xmlNode *graphics, const char *address, const char *use)
{
	static const char *const attributes[] = {"port", "tlsPort", "websocket"};
	for (size_t i = 0; i < VMM_COUNT(attributes); i++) {
		vmm_auto_free char *port = xml_attribute(graphics, attributes[i]);
		bool chosen = i < 2 && xml_attribute_is(graphics, "autoport", "yes");
		if (!chosen)
			add_port(needs, "tcp", address ? address : "127.0.0.1", port, use);
	}
}

static void add_display(struct json_object *needs, xmlNode *graphics)
{
	static const char use[] = "its display";
	xmlNode *listen = xml_below(graphics, "listen");
	vmm_auto_free char *address = xml_attribute(listen, "address"), *network = xml_attribute(listen, "network"),
			   *socket = xml_attribute(listen, "socket");
	if (!address)
		address = xml_attribute(graphics, "listen");
	if (!socket)
		socket = xml_attribute(graphics, "socket");
	add_path(needs, "parent", socket, use);
	if (socket)
		return;
	/* libvirt looks the address up on each node. */
	if (network) {
		add(needs, "network", network, use);
		return;
	}
	add(needs, "address", address, use);
	add_ports(needs, graphics, address, use);
}

/* ------------------------------------------------------------------ network interfaces */

/* `bridge` and `network` have checks of their own (guest.h, "networks"). A running guest's interface of a libvirt
 * network names what that network has chosen here. */
static void add_interface(struct json_object *needs, xmlNode *interface)
{
	static const char use[] = "a network interface";
	xmlNode *source = xml_below(interface, "source");
	vmm_auto_free char *type = xml_attribute(interface, "type"), *device = xml_attribute(source, "dev"),
			   *network = xml_attribute(source, "network"), *path = xml_attribute(source, "path"),
			   *address = xml_attribute(source, "address"), *port = xml_attribute(source, "port"),
			   *tap = xml_attribute(xml_below(interface, "target"), "dev"),
			   *filter = xml_attribute(xml_below(interface, "filterref"), "filter");
	add(needs, "nwfilter", filter, use);
	if (str_same(type, "direct") && !network)
		add(needs, "link", device, use);
	else if (str_same(type, "ethernet") && xml_attribute_is(xml_below(interface, "target"), "managed", "no"))
		add(needs, "link", tap, use);
	else if (str_same(type, "vhostuser"))
		add_unix(needs, source, path, use);
	else if (str_same(type, "server"))
		add_port(needs, "tcp", address, port, use);
}

/* ------------------------------------------------------------------ all other things */

/* A file that backs memory (nvdimm, virtio-pmem) must be as large as that memory. */
static void add_memory(struct json_object *needs, xmlNode *memory)
{
	xmlNode *size = xml_below(memory, "target/size");
	vmm_auto_free char *path = xml_text(xml_below(memory, "source/path")), *number = xml_text(size),
			   *unit = xml_attribute(size, "unit");
	size_t before = json_count(needs, "");
	add_path(needs, "file", path, "persistent memory");
	if (json_count(needs, "") > before)
		json_put(json_object_array_get_idx(needs, before), "size:i", definition_bytes(number, unit));
}

/* Devices that are passed through have the classes of definition.c's list. */
static void add_passed_through(struct json_object *needs, struct json_object *devices)
{
	static const char *const kinds[] = {"pci", "usb", "mdev", "scsi"};
	json_each (device, devices, "")
		for (size_t i = 0; i < VMM_COUNT(kinds); i++)
			if (str_same(json_text(device, "class"), kinds[i]) && !json_true(device, "optional") &&
			    strcmp(json_text_or(device, "name", "?"), "?") != 0)
				add(needs, kinds[i], json_text(device, "name"), "a device of its host");
}

/* The highest NUMA node that memory is bound to. */
static void add_numa(struct json_object *needs, xmlNode *domain)
{
	xmlNode *memory = xml_below(domain, "numatune/memory");
	vmm_auto_free char *set = xml_attribute(memory, "nodeset");
	int highest = definition_highest(set);
	vmm_auto_free char *name = str_format("%d", highest);
	if (highest >= 0 && !xml_attribute_is(memory, "mode", "preferred"))
		add(needs, "numa", name, "its memory");
}

struct json_object *definition_needs(xmlNode *domain, struct json_object *tied_devices)
{
	struct json_object *needs = json_object_new_array();
	xmlNode *devices = xml_below(domain, "devices");
	add_rows(needs, domain);
	add_nvram_template(needs, domain);
	add_character_devices(needs, devices);
	xml_each (graphics, devices, "graphics")
		add_display(needs, graphics);
	xml_each (interface, devices, "interface")
		add_interface(needs, interface);
	xml_each (hostdev, devices, "hostdev") {
		vmm_auto_free char *link = xml_text(xml_below(hostdev, "source/interface"));
		add(needs, "link", link, "a device of its host");
	}
	xml_each (memory, devices, "memory")
		add_memory(needs, memory);
	xml_each (tpm, devices, "tpm")
		if (xml_attribute_is(xml_below(tpm, "backend"), "type", "emulator"))
			add(needs, "program", "swtpm", "its TPM");
	add_passed_through(needs, tied_devices);
	add_numa(needs, domain);
	return needs;
}

struct json_object *definition_arguments(xmlNode *domain)
{
	struct json_object *arguments = json_object_new_array();
	xml_each (argument, domain, "commandline/arg") {
		vmm_auto_free char *value = xml_attribute(argument, "value");
		if (value)
			json_object_array_add(arguments, json_make("name:s", value));
	}
	return arguments;
}
