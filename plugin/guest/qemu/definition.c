/* definition.c: reads guest facts from a domain's XML. */
#include <string.h>

#include "qemu.h"

int64_t definition_bytes(const char *number, const char *unit)
{
	static const struct {
		const char *name;
		int64_t bytes;
	} units[] = {
		{"b", 1},
		{"bytes", 1},
		{"KB", 1000},
		{"k", 1 << 10},
		{"KiB", 1 << 10},
		{"MB", 1000000},
		{"M", 1 << 20},
		{"MiB", 1 << 20},
		{"GB", 1000000000},
		{"G", 1 << 30},
		{"GiB", 1 << 30},
		{"TB", 1000000000000},
		{"T", (int64_t)1 << 40},
		{"TiB", (int64_t)1 << 40},
	};
	int64_t size = number ? strtoll(number, NULL, 10) : 0;
	for (size_t i = 0; unit && i < VMM_COUNT(units); i++)
		if (!strcmp(unit, units[i].name))
			return size * units[i].bytes;
	return size << 10;
}

static int64_t memory_of(xmlNode *domain)
{
	xmlNode *memory = xml_below(domain, "memory");
	vmm_auto_free char *number = xml_text(memory), *unit = xml_attribute(memory, "unit");
	return definition_bytes(number, unit);
}

static void number_of_vcpus(xmlNode *domain, struct json_object *facts)
{
	xmlNode *vcpu = xml_below(domain, "vcpu");
	vmm_auto_free char *current = xml_attribute(vcpu, "current"), *maximum = xml_text(vcpu);
	json_put(facts, "vcpus:i",
		 (int64_t)(current   ? strtoll(current, NULL, 10)
			   : maximum ? strtoll(maximum, NULL, 10)
				     : 1));
}

int definition_highest(const char *set)
{
	int highest = -1;
	while (set && *set) {
		size_t length = strcspn(set, ",");
		const char *dash = memchr(set, '-', length);
		int number = atoi(dash ? dash + 1 : set);
		if (*set != '^' && *set >= '0' && *set <= '9' && number > highest)
			highest = number;
		set += length + (set[length] == ',');
	}
	return highest;
}

static int pinned_to(xmlNode *domain)
{
	vmm_auto_free char *whole = xml_attribute(xml_below(domain, "vcpu"), "cpuset");
	int highest = definition_highest(whole);
	xml_each (pin, xml_below(domain, "cputune"), "vcpupin") {
		vmm_auto_free char *set = xml_attribute(pin, "cpuset");
		int cpu = definition_highest(set);
		highest = cpu > highest ? cpu : highest;
	}
	return highest;
}

static int64_t hugepages_of(xmlNode *domain)
{
	xmlNode *hugepages = xml_below(domain, "memoryBacking/hugepages"), *page = xml_below(hugepages, "page");
	if (!hugepages)
		return 0;
	vmm_auto_free char *size = xml_attribute(page, "size"), *unit = xml_attribute(page, "unit");
	return size ? definition_bytes(size, unit) : -1;
}

static struct json_object *cpu_of(xmlNode *domain)
{
	xmlNode *cpu = xml_below(domain, "cpu");
	vmm_auto_free char *mode = xml_attribute(cpu, "mode"), *model = xml_text(xml_below(cpu, "model"));
	vmm_auto_free char *check = xml_attribute(cpu, "check");
	return json_make("mode:s model:s check:s", mode ? mode : "custom", model, check);
}

/* A name of an interface of the host that an administrator chose; NULL where libvirt chooses one at each start, or
 * where the interface has to be there already. Belongs to the caller. */
static char *fixed_name(xmlNode *interface)
{
	static const char *const given[] = {"vnet", "macvtap", "macvlan"};
	xmlNode *target = xml_below(interface, "target");
	char *name = xml_attribute(target, "dev");
	/* One of the type "ethernet" may be there already: an administrator has made it. */
	bool chosen = name && *name && !xml_attribute_is(interface, "type", "ethernet");
	for (size_t i = 0; chosen && i < VMM_COUNT(given); i++)
		chosen = !str_starts(name, given[i]);
	if (chosen)
		return name;
	free(name);
	return NULL;
}

/* What an interface is connected to. A running guest's source names both its network and what that network has chosen
 * here: the network is what the definition asked for. */
static struct json_object *network_of(xmlNode *interface)
{
	static const char *const names[] = {"bridge", "dev", "name"};
	xmlNode *source = xml_below(interface, "source");
	vmm_auto_free char *type = xml_attribute(interface, "type"), *name = xml_attribute(source, "network");
	vmm_auto_free char *mac = xml_attribute(xml_below(interface, "mac"), "address"), *dev = fixed_name(interface);
	vmm_auto_free char *mtu = xml_attribute(xml_below(interface, "mtu"), "size");
	struct json_object *network =
		json_make("type:s mac:s dev:s mtu:i", name ? "network" : type, mac, dev, mtu ? atoll(mtu) : (int64_t)0);
	for (size_t i = 0; i < VMM_COUNT(names) && !name; i++)
		name = xml_attribute(source, names[i]);
	json_put(network, "name:s", name);
	return network;
}

static struct json_object *networks_of(xmlNode *devices)
{
	struct json_object *networks = json_object_new_array();
	xml_each (interface, devices, "interface")
		json_object_array_add(networks, network_of(interface));
	return networks;
}

/* ------------------------------------------------------------------ devices that are tied to the host */

static void add_device(struct json_object *devices, const char *class, const char *name)
{
	json_object_array_add(devices, json_make("class:s name:s", class, name ? name : "?"));
}

static char *pci_name(xmlNode *address)
{
	static const char *const parts[] = {"domain", "bus", "slot", "function"};
	unsigned long number[VMM_COUNT(parts)];
	for (size_t i = 0; i < VMM_COUNT(parts); i++) {
		vmm_auto_free char *value = xml_attribute(address, parts[i]);
		number[i] = value ? strtoul(value, NULL, 0) : 0;
	}
	return str_format("%04lx:%02lx:%02lx.%lx", number[0], number[1], number[2], number[3]);
}

static char *usb_name(xmlNode *source)
{
	vmm_auto_free char *vendor = xml_attribute(xml_below(source, "vendor"), "id");
	vmm_auto_free char *product = xml_attribute(xml_below(source, "product"), "id");
	if (vendor && product)
		return str_format("%s:%s", vendor, product);
	vmm_auto_free char *bus = xml_attribute(xml_below(source, "address"), "bus");
	vmm_auto_free char *device = xml_attribute(xml_below(source, "address"), "device");
	return str_format("bus %s device %s", bus ? bus : "?", device ? device : "?");
}

static void add_hostdev(struct json_object *devices, xmlNode *hostdev)
{
	vmm_auto_free char *type = xml_attribute(hostdev, "type"), *name = NULL;
	xmlNode *source = xml_below(hostdev, "source"), *address = xml_below(source, "address");
	if (str_same(type, "pci"))
		name = pci_name(address);
	else if (str_same(type, "usb"))
		name = usb_name(source);
	else if (str_same(type, "mdev"))
		name = xml_attribute(address, "uuid");
	else if (str_same(type, "scsi"))
		name = xml_attribute(xml_below(source, "adapter"), "name");
	else if (!type) /* capabilities mode: <source><block>…, <char>…, <interface>… */
		name = xml_text(source);
	add_device(devices, type ? type : "host", name);
	/* libvirt starts the guest without it where it is not there. */
	if (xml_attribute_is(source, "startupPolicy", "optional"))
		json_put(json_object_array_get_idx(devices, json_count(devices, "") - 1), "optional:b", 1);
}

/* Elements that use something of the host, whose name is in the `attribute` of a `child`, or in that child's text
 * where there is no attribute. `child` NULL: in the element's own attribute. `type` NULL: of any type. */
static const struct tied {
	const char *element, *type, *class, *child, *attribute;
} tied[] = {
	{"filesystem", NULL, "filesystem", "source", "dir"},
	{"serial", "dev", "serial", "source", "path"},
	{"parallel", "dev", "parallel", "source", "path"},
	{"parallel", "parport", "parallel", "source", "path"},
	{"console", "dev", "serial", "source", "path"},
	{"channel", "dev", "serial", "source", "path"},
	{"input", "passthrough", "input", "source", "evdev"},
	{"input", "evdev", "input", "source", "dev"},
	{"interface", "vdpa", "vdpa", "source", "dev"},
	{"memory", NULL, "memory", "source/path", NULL},
	{"shmem", NULL, "shmem", NULL, "name"},
	{"smartcard", NULL, "smartcard", NULL, "mode"},
};

static void add_tied(struct json_object *devices, xmlNode *all)
{
	for (const struct tied *t = tied; t < tied + VMM_COUNT(tied); t++)
		xml_each (node, all, t->element) {
			xmlNode *child = t->child ? xml_below(node, t->child) : node;
			/* Not tied to the host: memory that no file backs (a DIMM), and a smart card of the SPICE
			 * client. */
			if ((t->type && !xml_attribute_is(node, "type", t->type)) || (!t->attribute && !child) ||
			    (xml_is(node, "smartcard") && xml_attribute_is(node, "mode", "passthrough")))
				continue;
			vmm_auto_free char *name = t->attribute ? xml_attribute(child, t->attribute) : xml_text(child);
			/* libvirt lists the first serial port a second time, as a console. */
			if (xml_is(node, "console") && xml_below(all, "serial"))
				continue;
			add_device(devices, t->class, name);
		}
}

static struct json_object *devices_of(xmlNode *domain)
{
	struct json_object *devices = json_object_new_array();
	xmlNode *all = xml_below(domain, "devices");
	xml_each (hostdev, all, "hostdev")
		add_hostdev(devices, hostdev);
	xml_each (interface, all, "interface") {
		vmm_auto_free char *name = pci_name(xml_below(interface, "source/address"));
		if (xml_attribute_is(interface, "type", "hostdev"))
			add_device(devices, "pci", name);
	}
	xml_each (disk, all, "disk") {
		vmm_auto_free char *name = pci_name(xml_below(disk, "source/address"));
		if (xml_attribute_is(disk, "type", "nvme"))
			add_device(devices, "pci", name);
	}
	xml_each (tpm, all, "tpm") {
		vmm_auto_free char *path = xml_attribute(xml_below(tpm, "backend/device"), "path");
		if (!xml_attribute_is(xml_below(tpm, "backend"), "type", "emulator"))
			add_device(devices, "tpm", path);
	}
	add_tied(devices, all);
	xmlNode *security = xml_below(domain, "launchSecurity");
	vmm_auto_free char *type = xml_attribute(security, "type");
	if (security)
		add_device(devices, "launch-security", type);
	return devices;
}

/* ------------------------------------------------------------------ the whole */

static char *id_of(xmlNode *domain, const char *name)
{
	xml_each (guest, xml_below(domain, "metadata"), "guest") {
		char *id = xml_attribute(guest, "id");
		if (id && *id && guest->ns && str_same((const char *)guest->ns->href, DEFINITION_NAMESPACE))
			return id;
		free(id);
	}
	return str_copy(name);
}

static struct json_object *facts_of(xmlNode *domain, const char *name, const char *uuid)
{
	xmlNode *type = xml_below(domain, "os/type");
	vmm_auto_free char *id = id_of(domain, name), *title = xml_text(xml_below(domain, "title"));
	vmm_auto_free char *arch = xml_attribute(type, "arch"), *machine = xml_attribute(type, "machine");
	vmm_auto_free char *virt = xml_attribute(domain, "type"),
			   *on_poweroff = xml_text(xml_below(domain, "on_poweroff"));
	vmm_auto_free char *emulator = xml_text(xml_below(domain, "devices/emulator"));
	struct json_object *facts =
		json_make("id:s name:s uuid:s title:s memory:i", id, name, uuid, title, memory_of(domain));
	number_of_vcpus(domain, facts);
	json_put(facts, "pinned:d hugepages:i arch:s machine:s virt:s emulator:s on_poweroff:s cpu:o",
		 pinned_to(domain), hugepages_of(domain), arch, machine, virt, emulator, on_poweroff, cpu_of(domain));
	struct json_object *devices = devices_of(domain);
	json_put(facts, "volumes:o networks:o devices:o needs:o arguments:o secrets:o", definition_volumes(domain),
		 networks_of(xml_below(domain, "devices")), devices, definition_needs(domain, devices),
		 definition_arguments(domain), definition_secrets(domain));
	return facts;
}

int definition_facts(const char *definition, struct json_object **facts, struct vmm_error **err)
{
	vmm_auto_xml xmlDoc *document = NULL;
	if (xml_open(definition, "domain", &document, err) < 0)
		return -1;
	xmlNode *domain = xmlDocGetRootElement(document);
	vmm_auto_free char *name = xml_text(xml_below(domain, "name")), *uuid = xml_text(xml_below(domain, "uuid"));
	if (!name || !*name)
		return error_set(err, VMM_FAILED, "bad-definition", "the definition has no name");
	*facts = facts_of(domain, name, uuid);
	return 0;
}

int definition_cpu(const char *definition, char **cpu, struct vmm_error **err)
{
	vmm_auto_xml xmlDoc *document = NULL;
	*cpu = NULL;
	if (xml_open(definition, "domain", &document, err) < 0)
		return -1;
	xmlNode *node = xml_below(xmlDocGetRootElement(document), "cpu");
	if (node)
		*cpu = xml_print(node);
	return 0;
}
