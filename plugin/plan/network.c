/* network.c: networks in CIDR notation, and which address a node has in one. */
#include <arpa/inet.h>
#include <string.h>

#include "plan/plan.h"

enum { ADDRESS_BYTES = sizeof(struct in6_addr) };

/* Reads "192.0.2.7" or "2001:db8::7" of `length` characters. Returns the count of bytes, or 0. */
static int read_address(const char *text, size_t length, unsigned char bytes[ADDRESS_BYTES])
{
	char address[INET6_ADDRSTRLEN];
	if (length >= sizeof(address))
		return 0;
	memcpy(address, text, length);
	address[length] = 0;
	return inet_pton(AF_INET, address, bytes) == 1 ? 4 : inet_pton(AF_INET6, address, bytes) == 1 ? 16 : 0;
}

/* Returns the count of an address's bytes and the bits that are the network's, or 0. */
static int read_network(const char *cidr, unsigned char bytes[ADDRESS_BYTES], int *bits)
{
	const char *slash = cidr ? strchr(cidr, '/') : NULL;
	if (!slash || !slash[1] || strlen(slash + 1) > 3 || strspn(slash + 1, "0123456789") != strlen(slash + 1))
		return 0;
	int count = read_address(cidr, (size_t)(slash - cidr), bytes);
	*bits = atoi(slash + 1);
	return *bits <= count * 8 ? count : 0;
}

bool network_is_valid(const char *cidr)
{
	unsigned char bytes[ADDRESS_BYTES];
	int bits;
	return read_network(cidr, bytes, &bits) > 0;
}

bool network_has(const char *cidr, const char *address)
{
	unsigned char network[ADDRESS_BYTES], bytes[ADDRESS_BYTES];
	int bits, count = read_network(cidr, network, &bits);
	if (!count || !address || read_address(address, strlen(address), bytes) != count)
		return false;
	for (int i = 0; i < count; i++, bits -= 8) {
		unsigned char mask = bits >= 8 ? 0xff : bits > 0 ? (unsigned char)(0xff << (8 - bits)) : 0;
		if ((network[i] ^ bytes[i]) & mask)
			return false;
	}
	return true;
}

const char *network_address(struct json_object *node, const char *cidr)
{
	json_each (address, node, "node.addresses")
		if (network_has(cidr, json_text(address, "")))
			return json_text(address, "");
	return NULL;
}
