#!/bin/bash
# The libvirt guard refuses `prepare` and nothing else, and never prints anything on stdout. Needs no root.
#
#	tests/hooks/test-guard.sh		builds the guard with the paths of a temporary directory, and tries it
set -u
cd "$(dirname "$0")/../.." || exit 1
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
passed=0 failed=0
boot=$(cat /proc/sys/kernel/random/boot_id)
uuid=11111111-2222-3333-4444-555555555555
other=99999999-2222-3333-4444-555555555555

"${CC:-gcc}" -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror ${SANITIZE:-} -DGUARD_RECORDS="\"$dir/guests\"" -DGUARD_RUN="\"$dir/run\"" \
	-o "$dir/guard" hooks/libvirt/guard.c || exit 1

# xml UUID: a definition as libvirtd gives it to the hook.
xml() { printf "<domain type='kvm' id='1'>\n  <name>web</name>\n  <uuid>%s</uuid>\n  <title>&lt;uuid&gt;</title>\n</domain>\n" "$1"; }

# record FILE LINE...: one guest record.
record() {
	local file=$dir/guests/$1
	shift
	mkdir -p "$dir/guests"
	printf '%s\n' "$@" >"$file"
}

# try WANTED-STATUS PATTERN WHAT OPERATION GUEST [UUID]: PATTERN is what stderr has to contain; empty: stderr is empty.
try() {
	local status=$1 pattern=$2 what=$3 operation=$4 guest=$5 out err got
	xml "${6-$uuid}" | "$dir/guard" "$guest" "$operation" begin - >"$dir/out" 2>"$dir/err"
	got=${PIPESTATUS[1]} out=$(cat "$dir/out") err=$(cat "$dir/err")
	if [ "$got" = "$status" ] && [ -z "$out" ] && { [ -z "$pattern" ] && [ -z "$err" ] || [[ -n $pattern && $err == *"$pattern"* ]]; }; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED: $what ($operation $guest): status $got, wanted $status; stdout \"$out\"; stderr \"$err\""
	fi
	rm -f "$dir/out" "$dir/err"
}

anew() { rm -rf "$dir/guests"; }

# Operations that are never refused, whatever the records say.
harmless="start started stopped release migrate restore reconnect attach garbage"

try 0 '' 'no records at all' prepare web
mkdir "$dir/guests"
try 0 '' 'an empty directory' prepare web

record qemu-100 guest=qemu-100 name=web "uuid=$uuid" permit= guard=allow reason=
try 0 '' 'an allowed guest' prepare web

record qemu-100 guest=qemu-100 name=web "uuid=$uuid" permit= guard=deny 'reason=web belongs to node n2'
try 1 'web belongs to node n2' 'a denied guest' prepare web
try 1 'vmmigrate status web' 'a refusal names the remedy' prepare web
try 0 '' 'a new guest under the old name' prepare web "$other"
try 1 'belongs' 'by UUID alone, another name' prepare renamed
try 1 'belongs' 'by UUID in capitals' prepare renamed "${uuid^^}"
try 0 '' 'another guest' prepare db "$other"
try 0 '' 'a name that begins alike' prepare webs "$other"
for operation in $harmless; do try 0 '' 'denied, but not asked' "$operation" web; done

record qemu-100 guest=qemu-100 name=web "uuid=$uuid" "permit=$boot" guard=deny 'reason=web is being moved'
try 0 '' 'a permit of this boot' prepare web

# The permit of a start of our own ends with the process that starts it.
permit() { record qemu-100 guest=qemu-100 name=web "uuid=$uuid" "permit=$1" guard=deny 'reason=web is being moved'; }
sleep 60 &
starter=$! began=$(awk '{ print $22 }' "/proc/$!/stat")
permit "start:$starter:$began:$boot"
try 0 '' 'a start of ours' prepare web
permit "start:$starter:$began:$other"
try 1 'being moved' 'a start of ours in an earlier boot' prepare web
permit "start:$starter:$((began - 1)):$boot"
try 1 'being moved' 'another process has the pid of the one that was starting it' prepare web
for odd in "start:" "start:$starter" "start:$starter:$boot" "start:$starter:$began" "start::$began:$boot" "start:$starter::$boot"; do
	permit "$odd"
	try 1 'being moved' "a damaged permit, $odd" prepare web
done
permit "start:$starter:$began:$boot"
kill "$starter"
wait "$starter" 2>/dev/null
try 1 'being moved' 'the process that was starting it was killed' prepare web
permit "start:$starter:0:$boot"
try 1 'being moved' 'no process, and no time either' prepare web
# The file has the UUID for a name, since version 0.2.
anew
record "qemu-$uuid" "guest=qemu-$uuid" name=web "uuid=$uuid" permit= guard=deny 'reason=web belongs to node n2'
try 1 'web belongs to node n2' 'denied by a file of its UUID' prepare web
try 1 'belongs' 'renamed, denied by a file of its UUID' prepare renamed
try 0 '' 'a new guest under the name of a file of another UUID' prepare web "$other"
try 1 'belongs' 'no UUID in what libvirtd says: the name counts' prepare web ''
anew

# A permit for memory that comes in: libvirtd says `migrate` and then `prepare`, once.
mkdir -p "$dir/guests"
record qemu-100 guest=qemu-100 name=web "uuid=$uuid" "permit=incoming:$boot" guard=deny 'reason=web is being moved'
try 1 'being moved' 'a start by hand while memory may come in' prepare web
try 0 '' 'memory comes in' migrate web
try 0 '' 'the incoming guest' prepare web
try 1 'being moved' 'a start by hand after it' prepare web
try 0 '' 'memory of another guest' migrate db "$other"
try 1 'being moved' 'another guest that comes in opens nothing' prepare web
try 0 '' 'memory comes in again' migrate web
touch -d '-2 minutes' "$dir"/run/incoming/*
try 1 'being moved' 'a mark that was left behind' prepare web
try 1 'being moved' 'and taken away by that' prepare web
record qemu-100 guest=qemu-100 name=web "uuid=$uuid" "permit=incoming:$other" guard=deny 'reason=web is being moved'
try 0 '' 'memory comes in, but the permit is of an earlier boot' migrate web
try 1 'being moved' 'incoming, by a permit of an earlier boot' prepare web
record qemu-100 guest=qemu-100 name=web "uuid=$uuid" permit= guard=deny 'reason=web is being moved'
try 0 '' 'memory comes in without a permit' migrate web
try 1 'being moved' 'incoming without a permit' prepare web
[ -z "$(ls "$dir/run/incoming")" ] && passed=$((passed + 1)) || { failed=$((failed + 1)); echo 'FAILED: marks are left'; }

record qemu-100 guest=qemu-100 name=web "uuid=$uuid" "permit=$boot" guard=deny 'reason=web is being moved'
record "qemu-$uuid" "guest=qemu-$uuid" name=web "uuid=$uuid" permit= guard=deny 'reason=the other one'
try 1 'the other one' 'a permit in one record does not open another' prepare web
anew
record qemu-100 guest=qemu-100 name=web "uuid=$uuid" "permit=$other" guard=deny 'reason=web is being moved'
try 1 'being moved' 'a permit of an earlier boot' prepare web
record qemu-100 guest=qemu-100 name=web "uuid=$uuid" permit= guard=deny 'reason='
try 1 'another node' 'a denial without a reason' prepare web
record qemu-100 guest=qemu-100 name=web "uuid=$uuid" guard=deny $'reason=with \e[2J control \x7f'
try 1 'with  [2J control' 'control characters do not reach the terminal' prepare web

anew
record lxc-100 guest=lxc-100 name=web "uuid=$uuid" guard=deny reason=container
try 0 '' 'a record of another kind' prepare web
record qemu-100.new-4711 guest=qemu-100 name=web "uuid=$uuid" guard=deny reason=torn
try 0 '' 'a record that has not got its name yet' prepare web
record qemu-x.new-1 guest=qemu-x.new-1 name=x.new-1 "uuid=$other" guard=deny reason=odd
try 1 'odd' 'a guest of such a name' prepare x.new-1 "$other"

# Damaged records: `prepare` is refused where they concern the guest. Other guests and other operations are admitted.
damaged() {
	try 1 'damaged' "$1" prepare web
	try 0 '' "$1: another guest" prepare db "$other"
	for operation in $harmless; do try 0 '' "$1" "$operation" web; done
	anew
}
anew
record qemu-100 name=web "uuid=$uuid" && damaged 'no guard='
record qemu-100 name=web "uuid=$uuid" guard=perhaps && damaged 'guard=perhaps'
record qemu-100 name=web "uuid=$uuid" guard=allow guard=deny && damaged 'both'
record qemu-100 name=web guard=allow 'torn li' && damaged 'a line without ='
record qemu-100 "uuid=$uuid" guard=allow $'x=\xff\xfe' '<<<' && damaged 'garbage'
mkdir -p "$dir/guests" && printf 'name=web\nguard=allow\n\0\0\0\0' >"$dir/guests/qemu-100" && damaged 'NUL bytes'
record qemu-web '' && damaged 'an empty file of the name'
record "qemu-$uuid" '' && damaged 'an empty file of the UUID'
record "qemu-$uuid" "uuid=$uuid" 'torn' && damaged 'a torn file of the UUID'
mkdir -p "$dir/guests/qemu-web" && damaged 'a directory of the name'
mkdir -p "$dir/guests" && ln -s /etc/passwd "$dir/guests/qemu-web" && damaged 'a link of the name'
mkdir -p "$dir/guests" && mkfifo "$dir/guests/qemu-web" && damaged 'a FIFO of the name'
mkdir -p "$dir/guests" && head -c 100000 /dev/zero | tr '\0' x >"$dir/guests/qemu-web" && damaged 'a file too large'

# The directory of the records cannot be read.
anew
: >"$dir/guests"
try 1 'cannot be read' 'no directory, but a file' prepare web
for operation in $harmless; do try 0 '' 'no directory, but a file' "$operation" web; done
anew

# Called without arguments, without XML, without stdin.
record qemu-100 name=web "uuid=$uuid" guard=deny reason=no
for args in '' 'web'; do
	# shellcheck disable=SC2086
	[ -z "$("$dir/guard" $args 2>&1 </dev/null)" ] && passed=$((passed + 1)) || { failed=$((failed + 1)); echo "FAILED: arguments \"$args\""; }
done
"$dir/guard" web prepare begin - </dev/null >/dev/null 2>&1
[ $? = 1 ] && passed=$((passed + 1)) || { failed=$((failed + 1)); echo 'FAILED: without XML'; }
"$dir/guard" web prepare begin - <&- >/dev/null 2>&1
[ $? = 1 ] && passed=$((passed + 1)) || { failed=$((failed + 1)); echo 'FAILED: without stdin'; }
# An XML larger than what the guard reads: the writer is not blocked.
{ xml "$uuid"; head -c 3000000 /dev/zero | tr '\0' ' '; } 2>/dev/null | "$dir/guard" renamed prepare begin - >/dev/null 2>&1
[ "${PIPESTATUS[1]}" = 1 ] && passed=$((passed + 1)) || { failed=$((failed + 1)); echo 'FAILED: a large XML'; }

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
