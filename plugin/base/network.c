/* network.c: IP addresses and networks, as text. */
#include <arpa/inet.h>
#include <string.h>

#include "base.h"

/* An address in network byte order. */
struct address {
	int family; /* AF_INET or AF_INET6 */
	unsigned char bytes[sizeof(struct in6_addr)];
	int bits; /* of the prefix; -1 where the text has none */
};

/* Reads "ADDRESS" or "ADDRESS/BITS"; false where the text is neither. */
static bool address_read(const char *text, struct address *address)
{
	size_t length = strcspn(text, "/");
	char host[INET6_ADDRSTRLEN];
	if (length >= sizeof(host))
		return false;
	memcpy(host, text, length);
	host[length] = 0;
	*address = (struct address){.family = strchr(host, ':') ? AF_INET6 : AF_INET, .bits = -1};
	if (inet_pton(address->family, host, address->bytes) != 1)
		return false;
	if (!text[length])
		return true;
	const char *bits = text + length + 1;
	if (!*bits || strlen(bits) > 3 || strspn(bits, "0123456789") != strlen(bits))
		return false;
	address->bits = atoi(bits);
	return address->bits <= (address->family == AF_INET ? 32 : 128);
}

bool network_is_valid(const char *network)
{
	struct address address;
	return network && address_read(network, &address) && address.bits >= 0;
}

bool network_has(const char *network, const char *address)
{
	struct address in, at;
	if (!network || !address || !address_read(network, &in) || in.bits < 0 || !address_read(address, &at) ||
	    in.family != at.family)
		return false;
	int bytes = in.bits / 8, rest = in.bits % 8;
	unsigned char mask = (unsigned char)(0xff << (8 - rest));
	return !memcmp(in.bytes, at.bytes, (size_t)bytes) && (!rest || !((in.bytes[bytes] ^ at.bytes[bytes]) & mask));
}

char *network_of_one(const char *address)
{
	struct address only;
	if (!address || !address_read(address, &only) || only.bits >= 0)
		return NULL;
	return str_format("%s/%d", address, only.family == AF_INET ? 32 : 128);
}

char *address_in_uri(const char *address)
{
	bool six = strchr(address, ':') && *address != '[';
	return str_format("%s%s%s", six ? "[" : "", address, six ? "]" : "");
}
