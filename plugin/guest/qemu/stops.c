/* stops.c: when a guest was stopped, as libvirt's events tell.
 *
 * The events come in the library's own thread, and may still be coming while they are being given up: so what they write
 * to belongs to both, and goes with the last of the two. */
#include <stdatomic.h>

#include "qemu.h"

struct qemu_stops {
	atomic_llong at_ms;
	atomic_int holders;
	virConnectPtr connection;
	int registered;
};

static void let_go(void *opaque)
{
	struct qemu_stops *stops = opaque;
	if (atomic_fetch_sub(&stops->holders, 1) == 1)
		free(stops);
}

static int on_event(virConnectPtr connection, virDomainPtr domain, int event, int detail, void *opaque)
{
	struct qemu_stops *stops = opaque;
	(void)connection, (void)domain, (void)detail;
	if (event == VIR_DOMAIN_EVENT_SUSPENDED)
		atomic_store(&stops->at_ms, clock_steady_ms());
	else if (event == VIR_DOMAIN_EVENT_RESUMED)
		atomic_store(&stops->at_ms, 0);
	return 0;
}

struct qemu_stops *qemu_stops_watch(virDomainPtr domain)
{
	struct qemu_stops *stops = mem_zero(sizeof(*stops));
	atomic_init(&stops->at_ms, 0);
	atomic_init(&stops->holders, 2);
	stops->connection = virDomainGetConnect(domain);
	stops->registered = virConnectDomainEventRegisterAny(stops->connection, domain, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
							     VIR_DOMAIN_EVENT_CALLBACK(on_event), stops, let_go);
	if (stops->registered >= 0) {
		virConnectRef(stops->connection);
		return stops;
	}
	free(stops);
	return NULL;
}

int64_t qemu_stops_last(const struct qemu_stops *stops)
{
	return stops ? atomic_load(&stops->at_ms) : 0;
}

void qemu_stops_end(struct qemu_stops *stops)
{
	if (!stops)
		return;
	virConnectPtr connection = stops->connection;
	virConnectDomainEventDeregisterAny(connection, stops->registered);
	let_go(stops);
	virConnectClose(connection);
}
