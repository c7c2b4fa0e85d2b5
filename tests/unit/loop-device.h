/* loop-device: a block device for a test. */
#ifndef LOOP_DEVICE_H
#define LOOP_DEVICE_H

#include "base/base.h"

/* A loop device on a file, which is made that long, open for reading and writing; it goes when the last descriptor does. *name
 * ("/dev/loop3") is the caller's. -1 where there can be none: without root, or without loop devices. */
int loop_device(const char *backing, uint64_t size, char **name);

#endif
