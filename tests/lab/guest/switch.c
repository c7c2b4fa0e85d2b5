/*
 * switch: switches between two processes every four milliseconds, as a work-around for a fault of QEMU's TCG.
 *
 * After TCG (up to 8.2) has marked a large aligned range of memory as sent, it does not notice what the guest writes
 * there until its TLB is flushed. Those writes are missing on the target of a live migration, and the guest's kernel
 * panics there. A switch of address spaces flushes the TLB. Real guests run under KVM, which has no such fault.
 */
#define _GNU_SOURCE
#include <time.h>
#include <unistd.h>

enum { TURN_NS = 4 * 1000 * 1000 };

static void take_turns(int in, int out)
{
	char ball;

	while (read(in, &ball, 1) == 1) {
		nanosleep(&(struct timespec){0, TURN_NS}, NULL);
		if (write(out, &ball, 1) != 1)
			return;
	}
}

int main(void)
{
	int there[2], back[2];

	if (pipe(there) < 0 || pipe(back) < 0 || write(there[1], "o", 1) != 1)
		return 1;
	if (fork() == 0)
		take_turns(there[0], back[1]);
	else
		take_turns(back[0], there[1]);
	return 0;
}
