#!/bin/sh
# Run by run.sh inside its overlay: the packages are installed and upgraded; removal is refused during a migration; then they are
# removed and purged.
set -eu
cd /tmp
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

fail()
{
	echo "$*" >&2
	exit 1
}

there()
{
	for path; do
		[ -e "$path" ] || fail "$path is missing"
	done
}

gone()
{
	for path; do
		[ ! -e "$path" ] || fail "$path is left"
	done
}

guard=/etc/libvirt/hooks/qemu.d/vmmigrate
task=/var/lib/vmmigrate/tasks/node1-1-5f

# Without systemd, the installation says that a running libvirtd has to be restarted.
mkdir -p /opt/libvirtd
cp /bin/sleep /opt/libvirtd/libvirtd
/opt/libvirtd/libvirtd 1000 &
daemon=$!
dpkg -i vmmigrate_*.deb vmmigrate-dev_*.deb >install.log 2>&1 || fail "$(cat install.log)"
kill $daemon
grep -q 'restart libvirtd' install.log || fail "libvirtd is not mentioned: $(cat install.log)"
there /usr/bin/vmmigrate /usr/lib/vmmigrate/vmmigrate.so /usr/share/man/man5/vmmigrate.conf.5.gz
[ "$(stat -c %a /var/lib/vmmigrate)" = 700 ] || fail "others may read /var/lib/vmmigrate"
if [ ! -f $guard ] || [ -L $guard ] || [ ! -x $guard ]; then
	fail "the guard is no executable file"
fi
gone /etc/libvirt/hooks/.vmmigrate.new
$guard web start begin - </dev/null || fail "the guard refuses another operation than prepare"
vmmigrate version >version.log || fail "$(cat version.log)"
grep -q '^engine' version.log
vmmigrate --help | grep -e --online >/dev/null
man -w vmmigrate >/dev/null || fail "no manual page"

# The header compiles by itself, in C and C++, as pkg-config says.
echo '#include <vmmigrate-plugin.h>' >header.c
pkg-config --cflags vmmigrate-plugin >flags
gcc -std=c99 -Wall -Werror @flags -c header.c
! command -v g++ >/dev/null || g++ -Wall -Werror @flags -c -x c++ header.c
[ "$(pkg-config --variable=plugin vmmigrate-plugin)" = /usr/lib/vmmigrate/vmmigrate.so ]

# An upgrade replaces the guard, and asks for no restart.
echo old >$guard
dpkg -i vmmigrate_*.deb >install.log 2>&1
cmp -s $guard /usr/lib/vmmigrate/libvirt-guard || fail "the guard is not replaced"
! grep -q restart install.log || fail "an upgrade asks for a restart"

# The package cannot be removed while a task of this node is not settled, or a task of another node has locked a guest here.
mkdir -p $task /var/lib/vmmigrate/guests
touch $task/journal
! dpkg -r vmmigrate >remove.log 2>&1 || fail "removed in the middle of a task"
grep -q 'node1-1-5f' remove.log || fail "the task is not named: $(cat remove.log)"
there $guard /usr/bin/vmmigrate
echo '{"exit":9,"settled":false}' >$task/result
! dpkg -r vmmigrate >remove.log 2>&1 || fail "removed with a task that is not settled"
echo '{"exit":0,"settled":true}' >$task/result
printf 'guest=qemu-100\nstate=handover\ntask=node2-7-5f\n' >/var/lib/vmmigrate/guests/qemu-100
! dpkg -r vmmigrate >remove.log 2>&1 || fail "removed while another node's task holds a guest"
grep -q 'node2-7-5f' remove.log || fail "the task is not named: $(cat remove.log)"
printf 'guest=qemu-100\nstate=idle\ntask=\n' >/var/lib/vmmigrate/guests/qemu-100

dpkg -r vmmigrate vmmigrate-dev >remove.log 2>&1 || fail "$(cat remove.log)"
gone $guard /usr/bin/vmmigrate /usr/lib/vmmigrate
there /var/lib/vmmigrate/guests/qemu-100

# A purge leaves only what the administrator has made.
mkdir -p /root/.ssh /etc/vmmigrate/hooks.d/pre-migrate.d
cat >/root/.ssh/authorized_keys <<'END'
ssh-ed25519 AAAA somebody@else
restrict,command="exec /usr/libexec/vmmigrate/vmmigrate-agent" ssh-ed25519 BBBB vmmigrate@node2
from="192.0.2.3",restrict,command="exec /usr/libexec/vmmigrate/vmmigrate-agent node3" ssh-ed25519 CCCC vmmigrate@node3
END
touch /etc/vmmigrate/vmmigrate.conf /etc/vmmigrate/id_vmmigrate /etc/vmmigrate/node-id /etc/vmmigrate/hooks.d/pre-migrate.d/10-mine
dpkg -P vmmigrate >remove.log 2>&1 || fail "$(cat remove.log)"
gone /var/lib/vmmigrate /etc/vmmigrate/vmmigrate.conf /etc/vmmigrate/id_vmmigrate /etc/vmmigrate/node-id
there /etc/vmmigrate/hooks.d/pre-migrate.d/10-mine
[ "$(cat /root/.ssh/authorized_keys)" = "ssh-ed25519 AAAA somebody@else" ] || fail "authorized_keys: $(cat /root/.ssh/authorized_keys)"
echo "install, upgrade, refused removal, removal and purge work"
