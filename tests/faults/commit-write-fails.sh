#!/bin/bash
# FAULTS 52: writing the commit ends with EIO, though the record reached the disk: it is in doubt. It is undone only after the target
# has noted ABANDONED; a guest whose memory has moved goes forward. Reading the journal again gives the same answer.
. "$(dirname "$0")/../lab/live.sh"

# In every process of the node, the fdatasync of a journal that ends in a commit writes it and then says EIO, once.
fdatasync_fails() {
    cc -shared -fPIC -O2 -x c -o "$output.so" - <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int fdatasync(int fd)
{
	static char link[64], path[4096], data[1 << 20];
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
	int done = real(fd);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t length = readlink(link, path, sizeof(path) - 1);
	if (done < 0 || length < 8 || memcmp(path + length - 8, "/journal", 8))
		return done;
	length = pread(fd, data, sizeof(data), 0);
	if (length < 0 || !memmem(data, (size_t)length, "\"what\":\"commit\"", 15) || unlink("/run/commit-fails"))
		return done;
	errno = EIO;
	return -1;
}
C
    on node1 sh -ec 'cat >/usr/local/lib/commit-fails.so; echo /usr/local/lib/commit-fails.so >/etc/ld.so.preload' <"$output.so"
    rm "$output.so"
}
commit_fails() { on "$1" touch /run/commit-fails; }
has_failed() { on "$1" test ! -e /run/commit-fails || fail "no commit was written"; }

fresh_lab
fdatasync_fails
vm node1 100 --autostart
commit_fails node1
migrate 1 node1 100 node2 --restart
has_failed node1
says "commit 100: write the journal"
says "guest 100 is running on node1"
as_it_was node1 100
on node1 vmmigrate recover
lab reboot node1
until_recovered node1 100
as_it_was node1 100
second_try node1 100 --restart
migrate 0 node2 100 node1 --restart
runs_on node1 100

commit_fails node1
migrate 9 node1 100 node2 --online
has_failed node1
until_recovered node2 100
runs_on node2 100
gone_from node1 100
[ "$(autostart node2 100)" = enable ] || fail "autostart did not come along"
wait_until_clean
second_try node2 100 --online
lab records node1 100
