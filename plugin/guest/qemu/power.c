/* power.c: starts and stops guests (guest_ops->start, release, stop, destroy). */
#include <string.h>

#include "qemu.h"

enum {
	STOP_POLL_MS = 50,   /* until we notice that it is off, which is downtime */
	STOP_PRESS_MS = 5000 /* the power button is pressed again: a guest that was booting has missed it */
};

/* ------------------------------------------------------------------ start, release */

static int wrong_state(virDomainPtr domain, const struct qemu_state *state, const char *wanted, struct vmm_error **err)
{
	error_set(err, VMM_FAILED, "guest-state", "VM %s cannot be %s: it is %s (%s)", virDomainGetName(domain), wanted,
		  state->name, state->why);
	return error_hint(err, "look at it: virsh domstate --reason %s", virDomainGetName(domain));
}

/* libvirt has refused to start it; `problem` says why. No error where it is already as wanted: the answer to an
 * earlier call was lost, or somebody else has started it. */
static int already_started(virDomainPtr domain, bool held, struct vmm_error *problem, struct vmm_error **err)
{
	struct qemu_state state = {0};
	if (!error_is(problem, "guest-state") || virDomainIsActive(domain) != 1) {
		error_take(err, problem);
		return -1;
	}
	error_clear(&problem);
	if (qemu_state_of(domain, &state, err) < 0)
		return -1;
	bool is_held = state.state == VIR_DOMAIN_PAUSED && state.reason == VIR_DOMAIN_PAUSED_USER;
	if (held ? is_held : state.state == VIR_DOMAIN_RUNNING)
		return 0;
	return wrong_state(domain, &state, held ? "held" : "started", err);
}

int qemu_start(struct guest_host *host, const char *id, bool held, struct vmm_error **err)
{
	vmm_auto_domain virDomainPtr domain = NULL;
	struct vmm_error *problem = NULL;
	if (qemu_find(host, id, &domain, err) < 0)
		return -1;
	if (virDomainCreateWithFlags(domain, held ? VIR_DOMAIN_START_PAUSED : 0) == 0)
		return 0;
	qemu_failed(&problem, "start VM %s", virDomainGetName(domain));
	return already_started(domain, held, problem, err);
}

/* The caller has made sure, by the guest record, that this node may run it. */
int qemu_release(struct guest_host *host, const char *id, struct vmm_error **err)
{
	vmm_auto_domain virDomainPtr domain = NULL;
	vmm_auto_free char *job = NULL;
	struct qemu_state state = {0};
	if (qemu_find(host, id, &domain, err) < 0 || qemu_state_of(domain, &state, err) < 0)
		return -1;
	if (state.state == VIR_DOMAIN_RUNNING)
		return 0;
	if (strcmp(state.name, "paused") != 0)
		return wrong_state(domain, &state, "released", err);
	/* While memory arrives, QEMU would accept the command and run the guest as soon as all is there, whatever the
	 * source does then. */
	if (qemu_domain_job(domain, &job, err) < 0)
		return -1;
	if (job)
		return error_set(err, VMM_BUSY, "guest-job-active", "VM %s cannot be released: %s is under way",
				 virDomainGetName(domain), job);
	if (virDomainResume(domain) < 0)
		return qemu_failed(err, "release VM %s", virDomainGetName(domain));
	return 0;
}

/* ------------------------------------------------------------------ stop, destroy */

/* A transient domain no longer exists when it is off. */
static bool is_off(virDomainPtr domain)
{
	int active = virDomainIsActive(domain);
	return active == 0 || (active < 0 && qemu_last_is(VIR_ERR_NO_DOMAIN));
}

/* First by the guest agent where there is one, else by the power button (libvirt chooses); later by the power button
 * alone, which needs no agent and may be pressed more than once. Failures are ignored, as the guest may be shutting
 * down or its agent busy: the next call tries again. */
static void press(virDomainPtr domain, bool first)
{
	unsigned how = first ? VIR_DOMAIN_SHUTDOWN_DEFAULT : VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN;
	if (virDomainShutdownFlags(domain, how) < 0)
		log_debug("shut down: %s", virGetLastErrorMessage());
}

static int kill_it(virDomainPtr domain, struct vmm_error **err)
{
	struct vmm_error *problem = NULL;
	if (virDomainDestroy(domain) == 0)
		return 0;
	qemu_failed(&problem, "destroy VM %s", virDomainGetName(domain));
	if (!is_off(domain)) {
		error_take(err, problem);
		return -1;
	}
	error_clear(&problem);
	return 0;
}

static int stop_timed_out(virDomainPtr domain, int limit_ms, struct vmm_error **err)
{
	const char *name = virDomainGetName(domain);
	struct qemu_state state = {0};
	if (qemu_state_of(domain, &state, err) < 0)
		return -1;
	error_set(err, VMM_FAILED, "shutdown-timeout", "VM %s did not shut down within %g s; it is %s", name,
		  limit_ms / 1000.0, state.name);
	return error_hint(
		err, "%s",
		strcmp(state.name, "paused") != 0
			? "shut it down from within, allow more time (--timeout), or have it killed then (--force-stop)"
			: "a paused guest cannot shut down: resume it first");
}

int qemu_stop(struct guest_host *host, const char *id, int limit_ms, bool force, bool (*cancelled)(void *),
	      void *context, struct vmm_error **err)
{
	vmm_auto_domain virDomainPtr domain = NULL;
	if (qemu_find(host, id, &domain, err) < 0)
		return -1;
	int64_t began = clock_steady_ms(), pressed = 0;
	for (; !is_off(domain); clock_sleep_ms(STOP_POLL_MS)) {
		int64_t now = clock_steady_ms();
		if (virConnectIsAlive(virDomainGetConnect(domain)) != 1) {
			/* libvirtd was restarted; the guest keeps shutting down meanwhile. */
			struct vmm_error *problem = NULL;
			qemu_cleanup_domain(&domain);
			if (qemu_find(host, id, &domain, &problem) < 0)
				return qemu_gone_is_fine(err, problem);
		}
		if (cancelled && cancelled(context))
			return error_set(err, VMM_CANCELLED, "cancelled", "shutdown of VM %s: cancelled",
					 virDomainGetName(domain));
		if (now - began >= limit_ms)
			return force ? kill_it(domain, err) : stop_timed_out(domain, limit_ms, err);
		if (!pressed || now - pressed >= STOP_PRESS_MS) {
			press(domain, !pressed);
			pressed = now;
		}
	}
	return 0;
}

int qemu_destroy(struct guest_host *host, const char *id, struct vmm_error **err)
{
	struct vmm_error *problem = NULL;
	vmm_auto_domain virDomainPtr domain = NULL;
	if (qemu_find(host, id, &domain, &problem) < 0)
		return qemu_gone_is_fine(err, problem);
	return kill_it(domain, err);
}
