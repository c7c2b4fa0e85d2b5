/* speed.c: see speed.h. */
#include "speed.h"

enum { MIB = 1 << 20, MAKE_UP_MS = 1000 };

unsigned long speed_first(const struct speed *speed)
{
	return (unsigned long)((speed->limit + MIB - 1) / MIB);
}

unsigned long speed_next(struct speed *speed, uint64_t bytes, int64_t now_ms)
{
	unsigned long above = speed_first(speed), below = (unsigned long)(speed->limit / MIB);
	if (above == below || !below)
		return above;
	int64_t ms = now_ms - speed->from_ms;
	uint64_t moved = bytes - speed->from_bytes, may = speed->limit * (uint64_t)ms / 1000;
	if (!speed->from_ms || may > moved + speed->limit * MAKE_UP_MS / 1000) {
		speed->from_bytes = bytes;
		speed->from_ms = now_ms;
		return above;
	}
	return moved < may ? above : below;
}
