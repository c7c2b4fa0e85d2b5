/* Which addresses an insecure migration of memory uses, by --migration-network, the configuration and the addresses of
 * the nodes.
 *
 * wrap: local_guest_open */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "node/local.h"
#include "two-nodes.h"

/* What the source's hypervisor was told: both are "" where it was told nothing, or never asked. */
static struct {
	char *uri, *listen;
} told;

static int note_and_migrate(struct guest_host *host, const struct guest_migration *migration, struct vmm_error **err)
{
	str_replace(&told.uri, migration->data_uri ? migration->data_uri : "");
	str_replace(&told.listen, migration->listen ? migration->listen : "");
	return guest_null.migrate(host, migration, err);
}

int __real_local_guest_open(struct local_node *node, struct json_object *args, struct local_guest *guest,
			    struct vmm_error **err);
int __wrap_local_guest_open(struct local_node *node, struct json_object *args, struct local_guest *guest,
			    struct vmm_error **err);

int __wrap_local_guest_open(struct local_node *node, struct json_object *args, struct local_guest *guest,
			    struct vmm_error **err)
{
	static struct guest_ops noting;
	int done = __real_local_guest_open(node, args, guest, err);
	if (done < 0)
		return done;
	noting = *guest->ops;
	noting.migrate = note_and_migrate;
	guest->ops = &noting;
	return 0;
}

static void write_text(struct two_nodes *w, const char *dir, const char *name, const char *text)
{
	vmm_auto_free char *path = str_format("%s/%s", dir, name);
	struct vmm_error *err = NULL;
	if (file_write(path, text, strlen(text), 0600, &err) < 0)
		two_nodes_fail(w, "%s", err->message);
}

struct network_case {
	const char *name, *options;  /* of the request, with ' for " */
	const char *source, *target; /* the nodes' addresses, likewise */
	const char *address;	     /* of node2 in the configuration, or NULL */
	const char *uri, *listen;    /* what the hypervisor is told */
	const char *refusal;	     /* the code of the check that refuses the migration, or "" */
};

#define NET(network) "'migration_type':'insecure','migration_network':'" network "'"

static void migrates(const struct network_case *c, const struct variant *variant)
{
	struct two_nodes *w = two_nodes_make();
	struct outcome outcome;
	const char *const addresses[NODES] = {c->source, c->target};
	two_nodes_describe(w, "%s: %s", variant->name, c->name);
	for (int node = 0; node < NODES; node++) {
		vmm_auto_free char *text = str_copy(addresses[node]);
		for (char *at = text; *at; at++)
			if (*at == '\'')
				*at = '"';
		write_text(w, w->machine[node].paths.null_root, "addresses", text);
	}
	vmm_auto_free char *config = str_format("[migration]\nself = node1\n[node node1]\n[node node2]\n%s%s\n",
						c->address ? "address = " : "", c->address ? c->address : "");
	write_text(w, w->machine[NODE1].etc, "vmmigrate.conf", config);
	two_nodes_guest(w, NODE1, variant, NULL);
	guest_writes(w, NODE1, variant->shared, 1);
	vmm_auto_free char *options = str_format("%.*s%s%s}", (int)strlen(variant->options) - 1, variant->options,
						 *c->options ? "," : "", c->options);
	for (char *at = options; *at; at++)
		if (*at == '\'')
			*at = '"';
	str_replace(&told.uri, "");
	str_replace(&told.listen, "");
	two_nodes_migrate(w, NODE1, options, &outcome);
	if (outcome.exit != (*c->refusal ? VMM_BLOCKED : VMM_DONE) || strcmp(outcome.code, c->refusal))
		two_nodes_fail(w, "exit %d, %s: %s", (int)outcome.exit, outcome.code, outcome.message);
	if (strcmp(told.uri, c->uri) || strcmp(told.listen, c->listen))
		two_nodes_fail(w, "memory goes to \"%s\", the target listens at \"%s\"", told.uri, told.listen);
	two_nodes_check(w, variant, true, 1);
	outcome_free(&outcome);
	two_nodes_free(w);
}

static void memory_uses_the_targets_address_in_the_network_and_no_other(void **state)
{
	(void)state;
	static const struct network_case cases[] = {
		{"IPv4", NET("10.78.0.0/24"), "['10.77.0.1','10.78.0.1']", "['10.77.0.2','10.78.0.2']", "10.77.0.2",
		 "tcp://10.78.0.2", "10.78.0.2", ""},
		{"IPv6", NET("fd00:78::/64"), "['fd00:77::1','fd00:78::1']", "['fd00:77::2','fd00:78::2']",
		 "fd00:77::2", "tcp://[fd00:78::2]", "fd00:78::2", ""},
		{"the first of two addresses", NET("10.0.0.0/8"), "['10.78.0.1']", "['10.77.0.2','10.78.0.2']", NULL,
		 "tcp://10.77.0.2", "10.77.0.2", ""},
		{"the target has none", NET("10.78.0.0/24"), "['10.78.0.1']", "['10.77.0.2']", "10.77.0.2", "", "",
		 "network-missing"},
		{"the source has none", NET("10.78.0.0/24"), "[]", "['10.78.0.2']", "10.77.0.2", "", "",
		 "network-missing"},
	};
	for (size_t i = 0; i < VMM_COUNT(cases); i++)
		for (size_t n = 0; n < 2; n++) /* live and paused */
			migrates(&cases[i], &variants[n]);
}

/* The target listens at the address that the configuration has for it, if that is its own. A host name or a translated
 * address is only what the source connects to. */
static void without_a_network_memory_uses_the_configured_address(void **state)
{
	(void)state;
	static const char insecure[] = "'migration_type':'insecure'";
	static const struct network_case cases[] = {
		{"its own", insecure, "[]", "['10.77.0.2','10.78.0.2']", "10.78.0.2", "tcp://10.78.0.2", "10.78.0.2",
		 ""},
		{"its own, IPv6", insecure, "[]", "['fd00:78::2']", "fd00:78:0::2", "tcp://[fd00:78::2]", "fd00:78::2",
		 ""},
		{"translated", insecure, "[]", "['10.77.0.2']", "192.0.2.2", "tcp://192.0.2.2", "", ""},
		{"translated, IPv6", insecure, "[]", "['10.77.0.2']", "fd00::2", "tcp://[fd00::2]", "", ""},
		{"a host name", insecure, "[]", "['10.77.0.2']", "node2.example", "tcp://node2.example", "", ""},
		{"no address", insecure, "[]", "['10.77.0.2']", NULL, "tcp://node2", "", ""},
	};
	for (size_t i = 0; i < VMM_COUNT(cases); i++)
		migrates(&cases[i], &variants[0]);
}

static void a_secure_migration_and_a_restart_use_no_address(void **state)
{
	(void)state;
	static const struct network_case secure = {"secure", "", "[]", "['10.78.0.2']", "10.78.0.2", "", "", ""};
	static const struct network_case restart = {"restart", NET("10.78.0.0/24"), "[]", "[]", "10.77.0.2", "", "",
						    ""};
	migrates(&secure, &variants[0]);
	migrates(&restart, &variants[2]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_uses_the_targets_address_in_the_network_and_no_other),
		cmocka_unit_test(without_a_network_memory_uses_the_configured_address),
		cmocka_unit_test(a_secure_migration_and_a_restart_use_no_address),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
