/* Networks and addresses as text: base/network.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/base.h"

static void a_network_is_an_address_with_the_length_of_its_prefix(void **state)
{
	(void)state;
	static const char *const valid[] = {"10.0.0.0/24", "0.0.0.0/0",	  "192.0.2.1/32", "fd00:1::/64",
					    "::/0",	   "fd00::1/128", "10.0.0.7/24"};
	static const char *const invalid[] = {"",
					      "10.0.0.0",
					      "10.0.0.0/",
					      "10.0.0.0/33",
					      "10.0.0.0/-1",
					      "10.0.0.0/+8",
					      "10.0.0.0/0024",
					      "/24",
					      "10.0.0/24",
					      "10.0.0.0/24/24",
					      "fd00::/129",
					      "fd00::1",
					      "fe80::1%eth0/64",
					      "node2/24",
					      "10.0.0.0/ 8",
					      "0123456789012345678901234567890123456789012345678/8"};
	for (size_t i = 0; i < VMM_COUNT(valid); i++)
		if (!network_is_valid(valid[i]))
			fail_msg("%s is no network", valid[i]);
	for (size_t i = 0; i < VMM_COUNT(invalid); i++)
		if (network_is_valid(invalid[i]))
			fail_msg("%s is a network", invalid[i]);
	assert_false(network_is_valid(NULL));
}

static void a_network_has_the_addresses_that_have_its_prefix(void **state)
{
	(void)state;
	static const struct {
		const char *network, *address;
		bool contains;
	} cases[] = {
		{"10.78.0.0/24", "10.78.0.2", true},
		{"10.78.0.0/24", "10.78.0.2/16", true},
		{"10.78.0.0/24", "10.78.1.2", false},
		{"10.78.0.0/24", "10.77.0.2", false},
		{"10.78.0.99/24", "10.78.0.2", true},
		{"10.78.0.0/23", "10.78.1.255", true},
		{"10.78.0.0/23", "10.78.2.0", false},
		{"10.78.0.0/25", "10.78.0.127", true},
		{"10.78.0.0/25", "10.78.0.128", false},
		{"0.0.0.0/0", "203.0.113.9", true},
		{"0.0.0.0/0", "fd00::1", false},
		{"192.0.2.1/32", "192.0.2.1", true},
		{"192.0.2.1/32", "192.0.2.0", false},
		{"fd00:1::/64", "fd00:1::2", true},
		{"fd00:1::/64", "FD00:1:0:0:ffff::2/64", true},
		{"fd00:1::/64", "fd00:1:0:1::2", false},
		{"fd00:1::/63", "fd00:1:0:1::2", true},
		{"::/0", "fd00::1", true},
		{"::/0", "10.0.0.1", false},
		{"fd00::1/128", "fd00::1", true},
		{"10.78.0.0/24", "node2", false},
		{"10.78.0.0/24", "", false},
		{"10.78.0.0", "10.78.0.0", false},
	};
	for (size_t i = 0; i < VMM_COUNT(cases); i++)
		if (network_has(cases[i].network, cases[i].address) != cases[i].contains)
			fail_msg("%s %s %s", cases[i].network, cases[i].contains ? "does not contain" : "contains",
				 cases[i].address);
	assert_false(network_has(NULL, "10.0.0.1"));
	assert_false(network_has("10.0.0.0/8", NULL));
}

static void the_network_of_one_address_contains_no_other(void **state)
{
	(void)state;
	vmm_auto_free char *four = network_of_one("192.0.2.7"), *six = network_of_one("fd00::7");
	assert_string_equal(four, "192.0.2.7/32");
	assert_string_equal(six, "fd00::7/128");
	assert_null(network_of_one("node2.example"));
	assert_null(network_of_one("192.0.2.7/24"));
	assert_null(network_of_one(NULL));
}

static void a_uri_has_brackets_around_an_ipv6_address(void **state)
{
	(void)state;
	static const char *const pairs[][2] = {{"192.0.2.7", "192.0.2.7"},
					       {"fd00::7", "[fd00::7]"},
					       {"[fd00::7]", "[fd00::7]"},
					       {"node2.example", "node2.example"}};
	for (size_t i = 0; i < VMM_COUNT(pairs); i++) {
		vmm_auto_free char *host = address_in_uri(pairs[i][0]);
		assert_string_equal(host, pairs[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_network_is_an_address_with_the_length_of_its_prefix),
		cmocka_unit_test(a_network_has_the_addresses_that_have_its_prefix),
		cmocka_unit_test(the_network_of_one_address_contains_no_other),
		cmocka_unit_test(a_uri_has_brackets_around_an_ipv6_address),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
