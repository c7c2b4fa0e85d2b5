# shellcheck shell=sh disable=SC2034,SC2317,SC2059
# Sourced by the tests of the command: sets up a fake engine in $VMMIGRATE_FAKE, and defines functions that run the
# command and check what it prints. BUILD is the directory of the programs.
set -u
here=${here:-$(cd "$(dirname "$0")" && pwd)}
BUILD=$(cd "${BUILD:-$here/../../build}" && pwd)
export VMMIGRATE_PLUGIN="$BUILD/vmmigrate.so" VMMIGRATE_ENGINE="$here/fake-engine"
export LC_ALL=C.UTF-8 TERM=xterm-256color
unset NO_COLOR
VMMIGRATE_FAKE=$(mktemp -d)
export VMMIGRATE_FAKE
trap 'rm -rf "$VMMIGRATE_FAKE"' EXIT
trap 'exit 1' INT TERM
fake=$VMMIGRATE_FAKE
vmmigrate="$BUILD/vmmigrate"

# reply VERB STATUS JSON: what the fake engine replies to that verb, and its exit status
reply()
{
	printf '%s\n' "$3" >"$fake/$1.json"
	echo "$2" >"$fake/$1.status"
}

# events JSON...: the events that `follow` reads
events()
{
	for event; do
		printf '%s\n' "$event"
	done >"$fake/follow.json"
}

# run ARGUMENTS...: runs the command without a terminal. Sets $out, $err, $status, and $asked: the requests to the engine
run()
{
	: >"$fake/asked"
	"$vmmigrate" "$@" >"$fake/out" 2>"$fake/err" </dev/null
	status=$?
	out=$(cat "$fake/out")
	err=$(cat "$fake/err")
	asked=$(cat "$fake/asked")
}

fail()
{
	echo "$0: $*" >&2
	for what in out err asked; do
		[ -s "$fake/$what" ] && sed "s/^/  $what: /" "$fake/$what" >&2
	done
	exit 1
}

expect_status()
{
	[ "$status" = "$1" ] || fail "status $status, not $1"
}

# expect TEXT PIECE...: fails unless each piece is in the text
expect()
{
	text=$1
	shift
	for piece; do
		case $text in
		*"$piece"*) ;;
		*) fail "'$piece' is missing" ;;
		esac
	done
}

# refuse TEXT PIECE...: fails if any of the pieces is in the text
refuse()
{
	text=$1
	shift
	for piece; do
		case $text in
		*"$piece"*) fail "'$piece' should not be there" ;;
		esac
	done
}

last_line()
{
	printf '%s\n' "$1" | tail -n 1
}

info='{"api":1,"version":"0.1.0","protocol":[1,0],"node":"node1","verbs":[],"options":[
{"name":"online","type":"flag","group":"mode","help":"move a running VM without stopping it"},
{"name":"non_live","type":"flag","group":"mode","help":"let it stand while its memory moves"},
{"name":"restart","type":"flag","group":"mode","help":"shut it down here and start it there"},
{"name":"targetstorage","type":"list","argument":"STORAGE|FROM=TO,...","group":"storage","help":"where copied volumes go"},
{"name":"max_downtime","type":"number","argument":"MS","default":"2000","group":"limits","help":"how long a live migration may let the guest stand at its end, at most"},
{"name":"bwlimit","type":"number","argument":"KIB/S","group":"limits","help":"bandwidth, at most"},
{"name":"migration_type","type":"choice","argument":"TYPE","choices":["secure","insecure"],"default":"secure","group":"network","help":"through ssh or TLS, or in the clear on the migration network"},
{"name":"ignore","type":"list","argument":"CODE,...","group":"safety","help":"go on although these checks refuse"}],
"checks":[{"code":"bridge-missing","group":"storage","what":"every bridge of the guest is on the target","modes":["live"],"kind":null,"severity":"override","option":"map_network"},
{"code":"clock-skew","group":"target","what":"the clocks differ by no more than a second","modes":["live"],"kind":null,"severity":"warning","option":null}],
"phases":[],"hooks":[]}'
reply info 0 "$info"

task=node1:2a:65f0
reply start 0 "{\"api\":1,\"task\":\"$task\",\"node\":\"node1\"}"
reply plan 0 '{"api":1,"plan":{"mode":"live","kind":"qemu","id":"100","name":"web","guest":"qemu-100","source":"node1","target":"node2","running":true,"stops_guest":false,"volumes":[],"bytes":0,"downtime_ms":300},"findings":[]}'
reply cancel 0 '{"api":1}'
done_ok='{"api":1,"seq":9,"time":9,"type":"result","exit":0,"message":"TASK OK","node":"node2","guest_state":"running","statistics":{}}'
events "$done_ok"

# Types on the next terminal; a test defines its own.
keys()
{
	:
}

# terminal ARGUMENTS...: as run, on a terminal of $columns (100). Sets $screen, $status and $asked.
terminal()
{
	: >"$fake/asked"
	: >"$fake/screen"
	printf '%s' "stty cols ${columns:-100} rows 30; exec $vmmigrate" >"$fake/command"
	for argument; do
		printf " '%s'" "$argument" >>"$fake/command"
	done
	keys | SHELL=/bin/sh script -qefc "$(cat "$fake/command")" "$fake/screen" >/dev/null
	status=$?
	screen=$(sed '1d;$d' "$fake/screen" | tr -d '\r')
	asked=$(cat "$fake/asked")
	cp "$fake/screen" "$fake/out"
	: >"$fake/err"
	keys()
	{
		:
	}
}

# after TEXT KEYS: waits until the text is on the screen of `terminal`, then types the keys.
after()
{
	for _ in $(seq 100); do
		grep -qF -- "$1" "$fake/screen" 2>/dev/null && break
		sleep 0.1
	done
	printf "$2"
}
