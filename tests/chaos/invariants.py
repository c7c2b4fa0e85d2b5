"""What has to be true after each run. Each check returns a sentence for each thing that is wrong."""

import re
import time

from lab import NODES, field, other

# Of ours, or made for us: none of it may be there while nothing migrates. Seeds are meant to stay.
LEFT_BEHIND = r"""
    exec 2>/dev/null
    find /var/lib/libvirt/images /var/lib/lxc -maxdepth 2 -name '.vmmigrate-*' ! -name '.vmmigrate-seed-*'
    find /var/lib/lxc -maxdepth 2 -name config.vmmigrate
    find /var/lib/lxc -mindepth 1 -maxdepth 1 -empty
    find /var/lib/vmmigrate/guests /var/lib/vmmigrate/made /var/lib/vmmigrate/tasks -name '.?*' ! -name .lock
    find /run/vmmigrate /run/libvirt /var/lib/libvirt/qemu /tmp -name '*tunnelmigrate*' -o -type s -path '*vmmigrate*'
    pgrep -fa 'vmmigrate-(agent|engine)|[r]sync --server|[l]xc-hold|[t]ree-pipe'
    for task in /var/lib/vmmigrate/tasks/*/; do
        [ ! -e "$task" ] || grep -q '"settled":true' "$task/result" || echo "$task is not settled"
    done
    grep -LE '^state=idle' /var/lib/vmmigrate/guests/* | sed 's/$/ is locked/'
    grep -lE '^(task|permit)=.' /var/lib/vmmigrate/guests/* | sed 's/$/ names a task/'
    awk '$5 ~ /vmmigrate/ && $5 !~ "^/(var/lib/vmmigrate-lab|var/log/vmmigrate-lab|mnt)" { print "mounted: " $5 }' /proc/self/mountinfo
"""


def nothing_left(run):
    """A relay or an agent may take a moment to end."""
    end = time.monotonic() + 30
    while True:
        left = [f"left on {node}: {line}" for node in NODES for line in run.lab.sh(node, LEFT_BEHIND)[1].splitlines()]
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.5)


def one_node_has_it(run):
    where = run.plan.guest.where(run.lab)
    return [] if len(where) == 1 else [f"the nodes that have its definition: {', '.join(where) or 'none'}"]


def runs_as_before(run):
    guest, node = run.plan.guest, run.node_now()
    if not node:
        return []
    state = guest.state(run.lab, node)
    wanted = "running" if run.plan.running and not run.guest_was_ended else "off"
    wrong = [] if state == wanted else [f"it is {state} on {node}, and should be {wanted}"]
    if wanted == "running" and state == "running":
        status, said = run.lab.verb("wait-ticks", guest.id, 3, 60, check=False)
        wrong += [said.strip()] if status else []
    if guest.has_autostart(run.lab, node) != run.plan.running:
        wrong.append(f"its autostart on {node} should be {'on' if run.plan.running else 'off'}")
    return wrong


def never_ran_twice(run):
    said = run.lab.verb("ticks", run.plan.guest.id, check=False)[1].strip()
    return [f"it ran twice: {said}"] if int(field(said, "rewinds") or 0) or int(field(said, "overlaps") or 0) else []


def disk_is_the_newest(run):
    node = run.node_now()
    if not node:
        return []
    status, said = run.lab.verb("records", node, run.plan.guest.id, check=False)
    return [f"records: {said.strip()}"] if status or " errors=0 " not in said else []


def definition_is_the_same(run):
    node = run.node_now()
    if not node or run.plan.guest.read_definition(run.lab, node) == run.plan.guest.definition:
        return []
    return [f"its definition on {node} is another one: {run.plan.guest.read_definition(run.lab, node)}"]


def records_agree(run):
    """The node that has the guest is its owner in its own record, and in the other's unless that one is older."""
    node, records = run.node_now(), {}
    for each in NODES:
        said = run.lab.sh(each, f"cat /var/lib/vmmigrate/guests/*-{run.plan.guest.id}")[1]
        records[each] = dict(re.findall(r"^(\w+)=(.*)$", said, re.M))
    mine, theirs = records.get(node, {}), records.get(other(node), {}) if node else {}
    wrong = []
    if mine and mine["owner"] != node:
        wrong.append(f"{node} has it, and notes that {mine['owner']} owns it")
    if mine and theirs and theirs["owner"] != node and int(theirs["generation"]) >= int(mine["generation"]):
        wrong.append(f"{other(node)} notes that {theirs['owner']} owns it, generation {theirs['generation']}; "
                     f"{node} notes generation {mine['generation']}")
    return wrong


def the_last_line_is_true(run):
    """The exit status that the migration ended with says where the guest is, if nothing was lost with the terminal."""
    node = run.node_now()
    if run.exit in (0, 8) and node != run.target:
        return [f"it ended with {run.exit}, and the guest is on {node}"]
    if run.exit in (1, 3, 6, 7) and node != run.source and run.ended_by_itself:
        return [f"it ended with {run.exit}, and the guest is on {node}"]
    if run.plan.kill.name == "nothing" and run.exit != 0:
        return [f"nothing was killed, and it ended with {run.exit}"]
    return []


INVARIANTS = (
    ("one node has it", one_node_has_it),
    ("it runs as before", runs_as_before),
    ("it never ran twice", never_ran_twice),
    ("its disk is the newest", disk_is_the_newest),
    ("its definition is the same", definition_is_the_same),
    ("records agree", records_agree),
    ("nothing is left", nothing_left),
    ("the last line is true", the_last_line_is_true),
)


def broken(run):
    return [f"{name}: {what}" for name, check in INVARIANTS for what in check(run)]
