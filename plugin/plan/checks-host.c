/* checks-host.c: can the target's hypervisor and hardware run this guest? */
#include "plan/checks.h"

void look_arch_mismatch(const struct look *look)
{
	const char *here = json_text(look->node[SOURCE], "node.arch"),
		   *there = json_text(look->node[TARGET], "node.arch");
	if (!here || !there || str_same(here, there))
		return;
	struct json_object *finding = found(look, look->name[TARGET], "%s is %s, %s is %s", look->name[SOURCE], here,
					    look->name[TARGET], there);
	finding_hint(finding, "choose a node of the architecture %s", here);
}

/* ------------------------------------------------------------------ versions (as libvirt counts: 7002001 is 7.2.1) */

struct versions {
	int64_t here, there;
	char text[SIDES][32];
};

static bool versions_of(const struct look *look, const char *key, struct versions *versions)
{
	versions->here = json_number(look->host[SOURCE], key);
	versions->there = json_number(look->host[TARGET], key);
	for (enum side side = SOURCE; side < SIDES; side++) {
		unsigned version = (unsigned)(side == SOURCE ? versions->here : versions->there);
		snprintf(versions->text[side], sizeof(versions->text[side]), "%u.%u.%u", version / 1000000,
			 version / 1000 % 1000, version % 1000);
	}
	return versions->here > 0 && versions->there > 0;
}

static void backward(const struct look *look, const char *key, const char *program)
{
	struct versions versions;
	if (!versions_of(look, key, &versions) || versions.there >= versions.here)
		return;
	struct json_object *finding =
		found(look, look->name[TARGET], "%s on %s is older (%s) than on %s (%s)", program, look->name[TARGET],
		      versions.text[TARGET], look->name[SOURCE], versions.text[SOURCE]);
	hint_ways(look, finding, MODE_RESTART, "upgrade %s first", look->name[TARGET]);
}

void look_backward_qemu(const struct look *look)
{
	backward(look, "version", "QEMU");
}

void look_backward_libvirt(const struct look *look)
{
	backward(look, "libvirt", "libvirt");
}

void look_version_differs(const struct look *look)
{
	static const char *const keys[][2] = {{"version", "QEMU"}, {"libvirt", "libvirt"}};
	for (size_t i = 0; i < VMM_COUNT(keys); i++) {
		struct versions versions;
		if (!versions_of(look, keys[i][0], &versions) || versions.there <= versions.here)
			continue;
		struct json_object *finding =
			found(look, look->name[TARGET], "%s on %s is newer (%s) than on %s (%s)", keys[i][1],
			      look->name[TARGET], versions.text[TARGET], look->name[SOURCE], versions.text[SOURCE]);
		finding_hint(finding, "the guest can go there, but perhaps not come back to %s while it runs",
			     look->name[SOURCE]);
	}
}

/* ------------------------------------------------------------------ what the target's hypervisor says of the guest */

void look_machine_type(const struct look *look)
{
	const char *machine = json_text_or(look->guest, "machine", "?");
	struct json_object *answer = json_at(look->fit, "machine");
	if (!json_object_is_type(answer, json_type_boolean) || json_object_get_boolean(answer))
		return;
	struct json_object *finding =
		found(look, machine, "%s has the machine type %s, which the QEMU of %s does not offer", look->label,
		      machine, look->name[TARGET]);
	finding_hint(finding,
		     "install the QEMU of %s on %s, or shut the guest down and give it a machine type that both have "
		     "(virsh edit; `qemu-system-x86_64 -machine help` on %s lists them)",
		     look->name[SOURCE], look->name[TARGET], look->name[TARGET]);
}

/* What the target's hypervisor has against a definition. A machine type that it does not have is the finding of the
 * check machine-type. */
static const char *objection(struct json_object *fit)
{
	struct json_object *machine = json_at(fit, "machine");
	return machine && !json_object_get_boolean(machine) ? NULL : json_text(fit, "definition");
}

static void refused(const struct look *look, const char *when, const char *why)
{
	finding_hint(found(look, look->name[TARGET], "%s does not accept the definition of %s%s: %s",
			   look->name[TARGET], look->label, when, why),
		     "change the definition (%s), or give %s what it lacks", facts_ops(look->facts)->edit,
		     look->name[TARGET]);
}

/* If the target could not answer at all, nothing is known of the machine type and the CPU: that is refused as well. */
void look_definition_refused(const struct look *look)
{
	const char *why = objection(look->fit), *failed = json_text(look->fit, "error.message");
	const char *later = look->mode == MODE_RESTART ? NULL : objection(json_at(look->fit, "next"));
	if (why)
		refused(look, "", why);
	if (later && !str_same(later, why))
		refused(look, " for its next start", later);
	if (!why && !later && failed && json_true(look->host[TARGET], "up"))
		finding_hint(found(look, look->name[TARGET], "%s could not say whether it can run %s: %s",
				   look->name[TARGET], look->label, failed),
			     "look into the log of its hypervisor: journalctl -u libvirtd");
}

/* A guest that is started with a CPU that the host cannot provide fails, unless QEMU emulates its CPU, or its
 * definition says that nobody is to look (check='none'). */
void look_cpu_incompatible(const struct look *look)
{
	bool memory = look->mode == MODE_LIVE || look->mode == MODE_PAUSED;
	vmm_auto_text struct text missing = {0};
	bool emulated = str_same(json_text(look->guest, "virt"), "qemu");
	if (!str_same(json_text(look->fit, "cpu"), "incompatible") ||
	    (!memory && (emulated || str_same(json_text(look->guest, "cpu.check"), "none"))))
		return;
	json_each (feature, look->fit, "cpu_missing")
		text_add(&missing, "%s%s", missing.length ? ", " : "", json_text_or(feature, "", "?"));
	struct json_object *finding = found_as(look, memory ? CHECK_ERROR : CHECK_OVERRIDE, look->name[TARGET],
					       "%s cannot provide the CPU of %s%s%s", look->name[TARGET], look->label,
					       missing.length ? ": it lacks " : "", missing.length ? missing.data : "");
	finding_hint(finding, "give it a CPU model that every node has (`virsh hypervisor-cpu-baseline`, virsh edit)%s",
		     memory ? ", then shut it down and start it" : "");
}

/* Compares all that libvirt says of the hosts' CPUs, except for the version of their microcode. */
static bool same_cpu(struct json_object *one, struct json_object *other)
{
	vmm_auto_json struct json_object *a = json_copy(one), *b = json_copy(other);
	if (!json_object_is_type(a, json_type_object) || !json_object_is_type(b, json_type_object))
		return false;
	json_object_object_del(a, "microcode");
	json_object_object_del(b, "microcode");
	return json_object_equal(a, b);
}

void look_cpu_host_model(const struct look *look)
{
	const char *mode = json_text_or(look->guest, "cpu.mode", "custom");
	struct json_object *here = json_at(look->host[SOURCE], "cpu"), *there = json_at(look->host[TARGET], "cpu");
	if (!str_same(mode, "host-model") && !str_same(mode, "host-passthrough"))
		return;
	bool equal = same_cpu(here, there);
	struct json_object *finding = found_as(look, equal ? CHECK_WARNING : CHECK_OVERRIDE, look->label,
					       "%s has the CPU of its host (%s); the CPUs of %s and %s %s", look->label,
					       mode, look->name[SOURCE], look->name[TARGET],
					       equal ? "look equal now" : "differ, or are not known to be equal");
	hint_ways(look, finding, MODE_RESTART, "give the guest a named CPU model that every node has (virsh edit)");
}

void look_microcode_differs(const struct look *look)
{
	const char *here = json_text(look->host[SOURCE], "cpu.microcode"),
		   *there = json_text(look->host[TARGET], "cpu.microcode");
	if (!here || !there || str_same(here, there))
		return;
	struct json_object *finding =
		found(look, look->name[TARGET], "CPU microcode is of version %s on %s and of version %s on %s", here,
		      look->name[SOURCE], there, look->name[TARGET]);
	finding_hint(
		finding,
		"install the same microcode on both nodes: a CPU feature that the guest uses may be missing there");
}

/* ------------------------------------------------------------------ room for it */

/* Free bytes in huge pages of that size; a size that the node does not have counts as none. */
static int64_t hugepages_free(struct json_object *node, int64_t size)
{
	json_each (pool, node, "node.hugepages")
		if (json_number(pool, "size") == size)
			return json_number(pool, "free");
	return 0;
}

void look_memory_short(const struct look *look)
{
	int64_t need = json_number(look->guest, "memory"), page = json_number(look->guest, "hugepages");
	bool huge = page > 0;
	int64_t have =
		huge ? hugepages_free(look->node[TARGET], page) : json_number(look->node[TARGET], "node.memory_free");
	if (need <= have || !json_at(look->node[TARGET], huge ? "node.hugepages" : "node.memory_free"))
		return;
	vmm_auto_free char *need_text = str_size(need), *have_text = str_size(have), *page_text = str_size(page);
	vmm_auto_free char *what = huge ? str_format("huge pages of %s", page_text) : str_copy("memory");
	struct json_object *finding = found(look, look->name[TARGET], "%s needs %s of %s on %s, which has %s free",
					    look->label, need_text, what, look->name[TARGET], have_text);
	if (huge)
		finding_hint(
			finding,
			"reserve more huge pages of that size on %s (nr_hugepages in /sys/kernel/mm/hugepages), or "
			"choose another node",
			look->name[TARGET]);
	else
		finding_hint(finding, "move other guests away from %s, or choose another node", look->name[TARGET]);
}

void look_vcpu_short(const struct look *look)
{
	int64_t cpus = json_number(look->node[TARGET], "node.cpus"), vcpus = json_number(look->guest, "vcpus");
	struct json_object *known = json_at(look->node[TARGET], "node.cpu_highest");
	int64_t highest = known ? json_object_get_int64(known) : cpus - 1;
	struct json_object *pin = json_at(look->guest, "pinned");
	int64_t pinned = pin ? json_object_get_int64(pin) : -1;
	if (cpus <= 0)
		return;
	/* It would not start there. */
	if (pinned > highest)
		finding_hint(found_as(look, CHECK_OVERRIDE, look->name[TARGET],
				      "%s is pinned to CPU %lld; the highest of %s is CPU %lld", look->label,
				      (long long)pinned, look->name[TARGET], (long long)cpus - 1),
			     "take the pinning out (virsh vcpupin %s), or choose a node with more CPUs",
			     json_text_or(look->guest, "name", "GUEST"));
	else if (vcpus > cpus)
		finding_hint(found(look, look->name[TARGET], "%s has %lld vCPUs; %s has %lld CPUs", look->label,
				   (long long)vcpus, look->name[TARGET], (long long)cpus),
			     "expect it to be slower there, or choose a node with more CPUs");
}
