/* checks-network.c: are the guest's networks on the target, and are its names and addresses free there? */
#include <strings.h>

#include "plan/checks.h"

static bool has_mac(struct json_object *other, const char *mac)
{
	json_each (theirs, other, "macs")
		if (!strcasecmp(json_text_or(theirs, "", ""), mac))
			return true;
	return false;
}

void look_mac_taken(const struct look *look)
{
	json_each (network, look->guest, "networks") {
		const char *mac = json_text(network, "mac");
		json_each (other, look->node[TARGET], "guests") {
			if (!mac || !look_concerns(look, network) || guest_same(look->facts, other) ||
			    !has_mac(other, mac))
				continue;
			const char *name = json_text_or(other, "name", json_text_or(other, "id", "?"));
			finding_hint(found(look, mac, "the MAC address %s of %s is that of %s on %s too", mac,
					   look->label, name, look->name[TARGET]),
				     "give one of them another address before both are up on one network");
		}
	}
}

static struct json_object *network_named(struct json_object *host, const char *name)
{
	json_each (network, host, "networks")
		if (str_same(json_text(network, "name"), name))
			return network;
	return NULL;
}

static struct json_object *link_named(struct json_object *node, const char *name)
{
	json_each (link, node, "links")
		if (name && str_same(json_text(link, "name"), name))
			return link;
	return NULL;
}

/* True if an earlier network is the same one for this mode. */
static bool seen_before(const struct look *look, size_t index, const char *type, const char *name)
{
	json_each (network, look->guest, "networks")
		if (network_i < index && look_concerns(look, network) && str_same(json_text(network, "type"), type) &&
		    str_same(json_text(network, "name"), name))
			return true;
	return false;
}

/* Bridges of Open vSwitch are no bridges to the kernel, but have an interface of their name. */
static bool has_bridge(const struct look *look, enum side side, const char *name)
{
	return json_has(look->node[side], "bridges", name);
}

static bool is_other_bridge(const struct look *look, const char *here, const char *there)
{
	return !has_bridge(look, SOURCE, here) && link_named(look->node[SOURCE], here) &&
	       link_named(look->node[TARGET], there);
}

static void check_bridge(const struct look *look, struct json_object *network, const char *name)
{
	/* --map-network does not change what a file that a container's config includes has set. */
	bool fixed = json_true(network, "included");
	const char *to = fixed ? name : facts_mapped(look->facts, "map_network", name);
	if (has_bridge(look, TARGET, to) || is_other_bridge(look, name, to))
		return;
	struct json_object *finding = found(look, to, "%s uses the bridge %s%s, which %s does not have", look->label,
					    to, look_when(look, network), look->name[TARGET]);
	vmm_auto_free char *other = fixed ? str_copy("set another in the container's own config (lxc.net.N.link)")
					  : str_format("name another: --map-network %s=OTHER", name);
	finding_hint(finding, "make the bridge %s on %s, in the same network as here, or %s", to, look->name[TARGET],
		     other);
}

static void check_network(const struct look *look, struct json_object *interface, const char *name)
{
	struct json_object *network = network_named(look->host[TARGET], name);
	if (!json_true(look->host[TARGET], "up"))
		return;
	if (!network)
		finding_hint(found(look, name, "%s uses the libvirt network %s%s, which %s does not have", look->label,
				   name, look_when(look, interface), look->name[TARGET]),
			     "copy it: virsh net-dumpxml %s here, virsh net-define there, then net-start and "
			     "net-autostart",
			     name);
	else if (!json_true(network, "active"))
		finding_hint(found(look, name, "the libvirt network %s of %s is not active on %s", name, look->label,
				   look->name[TARGET]),
			     "on %s: virsh net-start %s; virsh net-autostart %s", look->name[TARGET], name, name);
}

void look_bridge_missing(const struct look *look)
{
	json_each (network, look->guest, "networks") {
		const char *type = json_text_or(network, "type", "?"), *name = json_text(network, "name");
		if (!name || !look_concerns(look, network) || seen_before(look, network_i, type, name))
			continue;
		if (str_same(type, "bridge"))
			check_bridge(look, network, name);
		else if (str_same(type, "network"))
			check_network(look, network, name);
	}
}

/* The interface of the host to which a network of the guest is bridged on that node, or NULL. */
static struct json_object *bridge_of(const struct look *look, enum side side, struct json_object *network)
{
	const char *name = json_text(network, "name");
	if (str_same(json_text(network, "type"), "network"))
		name = json_text(network_named(look->host[side], name), "bridge");
	else if (name && side == TARGET)
		name = facts_mapped(look->facts, "map_network", name);
	return link_named(look->node[side], name);
}

void look_mtu_smaller(const struct look *look)
{
	json_each (network, look->guest, "networks") {
		struct json_object *here = bridge_of(look, SOURCE, network), *there = bridge_of(look, TARGET, network);
		int64_t own = json_number(network, "mtu"), was = json_number(here, "mtu"),
			is = json_number(there, "mtu");
		int64_t most = own > was ? own : was;
		if (!there || !is || is >= most || !look_concerns(look, network))
			continue;
		finding_hint(found(look, json_text_or(there, "name", "?"), "%s of %s has an MTU of %lld; %s has %lld%s",
				   json_text_or(there, "name", "?"), look->name[TARGET], (long long)is,
				   own > was ? "the guest's interface" : json_text_or(here, "name", "?"),
				   (long long)most, own > was ? "" : " here"),
			     "larger packets of the guest may get lost; on %s: ip link set %s mtu %lld, as far as its "
			     "network carries that",
			     look->name[TARGET], json_text_or(there, "name", "?"), (long long)most);
	}
}

void look_interface_taken(const struct look *look)
{
	json_each (network, look->guest, "networks") {
		const char *name = json_text(network, "dev");
		if (!name || !look_concerns(look, network) || !link_named(look->node[TARGET], name))
			continue;
		finding_hint(found(look, name,
				   "%s gives its interface on the host the name %s%s, which an interface of %s has "
				   "already",
				   look->label, name, look_when(look, network), look->name[TARGET]),
			     "rename one of the two, or let the name be chosen: take %s out of the definition (%s)",
			     name, facts_ops(look->facts)->edit);
	}
}

void look_conntrack_lost(const struct look *look)
{
	json_each (network, look->guest, "networks") {
		const char *type = json_text_or(network, "type", "?"), *name = json_text(network, "name");
		bool bridged = str_same(type, "bridge") || str_same(type, "network");
		if (!bridged || !look_concerns(look, network) || !name ||
		    !json_true(look->node[SOURCE], "node.bridge_conntrack"))
			continue;
		finding_hint(
			found(look, name,
			      "%s tracks connections over bridges, and what it knows of those of %s is not moved",
			      look->name[SOURCE], look->label),
			"filters that ask for the state of a connection may cut those that are open; let them "
			"accept connections that they have not seen begin on %s, or expect clients to connect again",
			look->name[TARGET]);
		return;
	}
}
