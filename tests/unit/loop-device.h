/* loop-device: a block device for a test. */
#ifndef LOOP_DEVICE_H
#define LOOP_DEVICE_H

#include "base/base.h"

/* Makes a loop device on a file of `size` bytes and returns a descriptor for reading and writing. The kernel removes
 * the device when its last descriptor is closed. *name ("/dev/loop3") belongs to the caller. -1 if none can be made:
 * without root, or without loop devices. */
int loop_device(const char *backing, uint64_t size, char **name);

#endif
