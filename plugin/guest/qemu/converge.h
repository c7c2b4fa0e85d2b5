/* converge: will a live migration come to an end? Pure: QEMU's figures in, a decision out.
 *
 * QEMU sends all memory, then again and again what has been written since: an iteration each. It stops the guest for
 * the last one, as soon as what is left crosses within the downtime that it is allowed. That begins low and is raised
 * as iterations go by. */
#ifndef VMM_QEMU_CONVERGE_H
#define VMM_QEMU_CONVERGE_H

#include "base/base.h"

struct converge {
	int64_t max_downtime_ms;
	int64_t downtime_ms; /* allowed now */
	int iteration;	     /* the last one seen */
	uint64_t least;	     /* bytes that were left in the best iteration since the downtime has been at its most */
	int barren;	     /* iterations since then */
	int64_t fruitful_ms; /* when it was */
	uint64_t processed;  /* bytes that had crossed at the last look, */
	int64_t moved_ms;    /* and when that changed */
};

struct converge_sample {
	int64_t now_ms;
	int iteration; /* 0: not begun */
	uint64_t processed, remaining;
	uint64_t rate, dirty_rate; /* bytes a second */
};

enum converge_advice {
	CONVERGE_WAIT,
	CONVERGE_ALLOW,	  /* `downtime_ms` is new: tell QEMU */
	CONVERGE_STALLED, /* writes outrun the link, at full downtime and with all the time that auto-converge needs */
	CONVERGE_LINK_LOST, /* nothing has crossed for too long */
};

/* max_downtime_ms 0: 500. */
void converge_begin(struct converge *state, int64_t max_downtime_ms, int64_t now_ms);
enum converge_advice converge_look(struct converge *state, const struct converge_sample *sample);

#endif
