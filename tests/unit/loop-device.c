/* loop-device.c: makes a block device for a test. */
#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "loop-device.h"

int loop_device(const char *backing, uint64_t size, char **name)
{
	vmm_auto_close int file = open(backing, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	vmm_auto_close int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	if (file < 0 || control < 0 || ftruncate(file, (off_t)size) < 0)
		return -1;
	for (int tries = 0; tries < 10; tries++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);
		*name = str_format("/dev/loop%d", number);
		int device = number < 0 ? -1 : open(*name, O_RDWR | O_CLOEXEC);
		struct loop_config config = {.fd = (unsigned)file, .info.lo_flags = LO_FLAGS_AUTOCLEAR};
		if (device >= 0 && !ioctl(device, LOOP_CONFIGURE, &config))
			return device;
		free(*name);
		*name = NULL;
		if (device < 0)
			return -1;
		close(device); /* somebody else has taken this number meanwhile */
	}
	return -1;
}
