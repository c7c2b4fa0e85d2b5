/* fit.c: guest_ops->fit: can this node run a guest of another one? */
#include <string.h>

#include "qemu.h"

/* The names in a message like "...does not provide required features: avx2, bmi1". libvirt gives them nowhere else. */
static struct json_object *missing_features(const char *message)
{
	static const char introduction[] = "required features: ";
	struct json_object *missing = json_object_new_array();
	const char *names = message ? strstr(message, introduction) : NULL;
	for (names = names ? names + strlen(introduction) : ""; *names;) {
		size_t length = strcspn(names, ", ");
		if (length)
			json_object_array_add(missing, json_object_new_string_len(names, (int)length));
		names += length + strspn(names + length, ", ");
	}
	return missing;
}

/* `facts`: of the definition that the CPU is in. */
static int ask_cpu(virConnectPtr connection, struct json_object *facts, const char *cpu, struct json_object *fit,
		   struct vmm_error **err)
{
	/* Compared with what the hypervisor offers, not with the host's CPU: under TCG QEMU emulates any CPU. */
	int answer = virConnectCompareHypervisorCPU(connection, json_text(facts, "emulator"), json_text(facts, "arch"),
						    json_text(facts, "machine"), json_text(facts, "virt"), cpu,
						    VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE);
	if (answer >= 0) {
		json_put(fit, "cpu:s", answer == VIR_CPU_COMPARE_INCOMPATIBLE ? "incompatible" : "ok");
		return 0;
	}
	if (qemu_last_is(VIR_ERR_CPU_INCOMPATIBLE)) {
		json_put(fit, "cpu:s cpu_missing:o", "incompatible", missing_features(virGetLastErrorMessage()));
		return 0;
	}
	/* The machine type, architecture or CPU model is unknown here. "cpu" stays "unknown"; the other facts of
	 * `fit` say what is missing. */
	log_debug("compare the CPU: %s", virGetLastErrorMessage());
	if (virConnectIsAlive(connection) != 1)
		return qemu_failed(err, "compare the CPU");
	return 0;
}

/* A CPU that is the host's own (host-passthrough, maximum) cannot be compared: the definition does not say what it
 * is. A host-model is chosen by the target at the next start; where the guest runs, its live definition has a custom
 * CPU. */
static int compare_cpu(virConnectPtr connection, const char *definition, struct json_object *fit,
		       struct vmm_error **err)
{
	vmm_auto_json struct json_object *facts = NULL;
	vmm_auto_free char *cpu = NULL;
	json_put(fit, "cpu:s cpu_missing:o", "unknown", json_object_new_array());
	if (definition_facts(definition, &facts, err) < 0 || definition_cpu(definition, &cpu, err) < 0)
		return -1;
	const char *mode = json_text(facts, "cpu.mode");
	if (!cpu || str_same(mode, "host-model")) {
		json_put(fit, "cpu:s", "ok");
		return 0;
	}
	if (!str_same(mode, "custom"))
		return 0;
	return ask_cpu(connection, facts, cpu, fit, err);
}

/* Has libvirt make the command line that it would start QEMU with: that checks the definition against this node's
 * QEMU, and reserves, writes and runs nothing. */
static void try_definition(virConnectPtr connection, const char *definition, struct json_object *fit)
{
	char *command = virConnectDomainXMLToNative(connection, "qemu-argv", definition, 0);
	vmm_auto_free char *objection = command ? NULL : qemu_one_line(virGetLastErrorMessage());
	json_put(fit, "definition:s", objection);
	free(command);
}

/* Can this node run the guest with that definition, of a machine of this type? */
static int fit_of(virConnectPtr connection, struct json_object *guest, const char *machine, const char *definition,
		  struct json_object **fit, struct vmm_error **err)
{
	vmm_auto_json struct json_object *result = json_object_new_object(), *machines = NULL;
	if (qemu_machines(connection, json_text_or(guest, "arch", ""), &machines, err) < 0)
		return -1;
	json_put(result, "machine:b", json_has(machines, "", machine));
	if (compare_cpu(connection, definition, result, err) < 0)
		return -1;
	json_put(result, "secrets_missing:o", qemu_secrets_missing(connection, guest));
	vmm_auto_free char *with_files = NULL;
	if (qemu_pools_to_files(connection, guest, definition, &with_files, err) < 0)
		return -1;
	try_definition(connection, with_files ? with_files : definition, result);
	*fit = json_object_get(result);
	return 0;
}

int qemu_fit(struct guest_host *host, struct json_object *guest, struct json_object **fit, struct vmm_error **err)
{
	vmm_auto_json struct json_object *result = NULL, *next = NULL;
	const char *persistent, *live = json_text(guest, "live_definition"),
				*machine = json_text_or(guest, "machine", "");
	virConnectPtr connection = qemu_connection(host, err);
	if (!connection || json_need(guest, "definition", "guest facts", &persistent, err) < 0 ||
	    fit_of(connection, guest, machine, live ? live : persistent, &result, err) < 0)
		return -1;
	if (live) {
		if (fit_of(connection, guest, json_text_or(guest, "next.machine", machine), persistent, &next, err) < 0)
			return -1;
		json_put(result, "next:O", next);
	}
	*fit = json_object_get(result);
	return 0;
}
