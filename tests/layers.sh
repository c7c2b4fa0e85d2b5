#!/bin/sh
# Includes point downward: each room may include only those that are listed for it, and itself.
# The command includes two headers of ours, vmmigrate-plugin.h and base/suggest.h (which needs libc only); the plug-in
# includes the first of them.
set -u
cd "$(dirname "$0")/.." || exit 2
git ls-files --error-unmatch plugin/base/base.h >/dev/null || exit 2
bad=0

# room: rooms below it
rules='
plugin/base:
plugin/link: base
plugin/copy: base link
plugin/tree: base
plugin/track: base copy
plugin/guest: base
plugin/guest/qemu: base guest
plugin/guest/lxc: base guest
storage: base
plugin/cluster: base link
plugin/plan: base guest storage track
plugin/node: base link copy tree guest storage track cluster
plugin/migration: base link copy tree guest storage track cluster node plan
plugin/engine: base link copy tree guest storage track cluster node plan migration
cli:
hooks/libvirt:
hooks/lxc:
'

allowed() { # room header
	case $2 in
	vmmigrate-plugin.h) [ "$1" = cli ] || [ "$1" = plugin ] ;;
	base/suggest.h) [ "$1" = cli ] || [ "${1#plugin/}" != "$1" ] ;;
	*/*)
		case $1 in plugin/guest/*) own=guest ;; *) own=${1#plugin/} ;; esac
		below=$(printf '%s' "$rules" | sed -n "s|^$1:||p")
		for lower in $own $below; do
			case $2 in "$lower"/*) return 0 ;; esac
		done
		return 1
		;;
	*) [ -e "$1/$2" ] ;;
	esac
}

for file in $(git ls-files '*.c' '*.h' | grep -v '^tests/'); do
	room=$(dirname "$file")
	for header in $(sed -n 's/^#include "\(.*\)"$/\1/p' "$file"); do
		allowed "$room" "$header" && continue
		echo "$file includes $header, which is not below $room"
		bad=1
	done
done

# Each library has one room that knows it.
only() { # header-pattern room...
	pattern=$1
	shift
	for file in $(git grep -lE "#include <$pattern" -- '*.c' '*.h' ':!tests'); do
		for room in "$@"; do
			case $file in "$room"*) continue 2 ;; esac
		done
		echo "$file includes <$pattern>: only $* may"
		bad=1
	done
}
only 'libvirt/' plugin/guest/qemu
only 'libxml/' plugin/guest/qemu
only 'libssh/' plugin/link/ssh
only 'librsync' plugin/copy/delta
only 'lxc/' plugin/guest/lxc

# plan/ is pure: also through the headers that it includes it reaches no node, no link and no library of the field.
for file in plugin/plan/*.c; do
	# shellcheck disable=SC2046 # several flags
	reached=$("${CC:-cc}" -M -D_GNU_SOURCE -Iplugin -I. $(pkg-config --cflags json-c) "$file" | tr -s '[:space:]' '\n' |
		grep -E '^plugin/(node|link|copy|tree|cluster|migration|engine)/|/(libvirt|libssh|libxml2|lxc)/|librsync')
	[ -z "$reached" ] && continue
	echo "$file reaches" $reached
	bad=1
done

[ $bad = 0 ] && echo "layers: every include points downward"
exit $bad
