/* speed: a limit in bytes a second, kept with libvirt's, which is in whole MiB: now the one below it, now the one above. Pure. */
#ifndef VMM_QEMU_SPEED_H
#define VMM_QEMU_SPEED_H

#include "base/base.h"

struct speed {
	uint64_t limit;	     /* bytes a second; 0: none. Less than 1 MiB is 1 MiB. */
	uint64_t from_bytes; /* what had crossed */
	int64_t from_ms;     /* when counting began; 0: not yet */
};

/* MiB a second to begin with; 0: no limit. */
unsigned long speed_first(const struct speed *speed);
/* MiB a second from now on, when so many bytes have crossed. What a link that was slower has left unused is not made up for. */
unsigned long speed_next(struct speed *speed, uint64_t bytes, int64_t now_ms);

#endif
