"""What is killed, and how it is put right again."""

import time
from collections import namedtuple

# fits(plan): whether it means anything for this run. strike(run): the deed. mend(run): puts right what does not come back by itself,
# after the random time that it lasts. guest_may_end: it may end the guest itself, as a crash of the guest would.
Kill = namedtuple("Kill", "name weight fits strike mend lasts guest_may_end")


def everywhere(_):
    return True


def is_vm(plan):
    return plan.guest.kind == "vm"


def is_running(plan):
    return plan.running


def moves_tree(plan):
    return plan.guest.kind == "ct"


def has_image(plan):
    return plan.guest.kind == "vm" and not plan.guest.shared


def moves_memory(plan):
    return plan.mode.name in ("live", "paused")


def nothing(_):
    pass


def signal(run, node, name, pattern):
    run.lab.on(node, "pkill", f"-{name}", "-f", pattern)


def process(side, pattern):
    return lambda run: signal(run, getattr(run, side), "KILL", pattern)


def worker_and_supervisor(run):
    signal(run, run.source, "KILL", "vmmigrate-engine")


def worker_and_agent(run):
    process("source", "^vmmigrate-engine worker")(run)
    process("target", "vmmigrate-agent")(run)


def worker_waits(run):
    signal(run, run.source, "STOP", "^vmmigrate-engine worker")


def worker_goes_on(run):
    signal(run, run.source, "CONT", "^vmmigrate-engine worker")


def libvirtd(side):
    return lambda run: run.lab.verb("libvirtd", getattr(run, side), "kill", check=False)


def guest_process(side):
    return lambda run: run.plan.guest.kill(run.lab, getattr(run, side))


def connections(run):
    """Ends sshd's processes of both nodes that serve a connection; the listener stays."""
    for node in (run.source, run.target):
        signal(run, node, "KILL", "^sshd: root")


def sshd_gone(run):
    run.lab.sh(run.target, "kill -KILL $(cat /run/sshd.pid); pkill -KILL -f '^sshd: root'")


def power(*sides):
    def strike(run):
        for side in sides:
            run.lab.verb("kill", getattr(run, side))

    return strike


def link(state):
    return lambda run: run.lab.verb("link", run.target, state)


def disk_full(run):
    run.lab.sh(run.target, """cd /var/lib/libvirt/images
        fallocate -l "$(df --output=avail -B1 . | sed -n 2p)" filler
        cat /dev/zero >>filler""")


def resume_after_full_disk(run):
    """QEMU pauses a guest that cannot write; an administrator lets it go on."""
    put_right(run)
    time.sleep(0.5)
    for node in (run.source, run.target):
        run.lab.sh(node, "virsh list --state-paused --name | while read -r vm; do [ -z $vm ] || "
                         "! virsh domstate --reason $vm | grep 'I/O error' >/dev/null || virsh -q resume $vm; done")


def cancel(run):
    run.lab.on(run.source, "vmmigrate", "cancel", str(run.plan.guest.id))


def terminal(run):
    signal(run, run.typed_on, "KILL", "^vmmigrate [0-9]")


def recover_meanwhile(run):
    for node in (run.source, run.target):
        run.lab.on(node, "vmmigrate", "recover", timeout=90)


def put_right(run):
    """All of it, whatever was killed."""
    lab = run.lab
    for node in (run.source, run.target):
        if not lab.is_up(node):
            lab.verb("boot", node)
        lab.verb("link", node, "up")
        lab.verb("libvirtd", node, "start")
        lab.sh(node, "pidof -s sshd >/dev/null && kill -0 $(cat /run/sshd.pid) 2>/dev/null || { rm -f /run/sshd.pid; /usr/sbin/sshd; }"
                     "; rm -f /var/lib/libvirt/images/filler")
    worker_goes_on(run)


SHORT, LONG = (0.2, 3), (1, 8)
KILLS = (
    Kill("nothing", 1, everywhere, nothing, nothing, None, False),
    Kill("worker", 4, everywhere, process("source", "^vmmigrate-engine worker"), nothing, None, False),
    Kill("worker and supervisor", 4, everywhere, worker_and_supervisor, nothing, None, False),
    Kill("worker and agent", 3, everywhere, worker_and_agent, nothing, None, False),
    Kill("worker waits", 2, everywhere, worker_waits, worker_goes_on, LONG, False),
    Kill("agent", 4, everywhere, process("target", "vmmigrate-agent"), nothing, None, False),
    Kill("relay", 3, moves_memory, process("source", "^vmmigrate-engine relay"), nothing, None, False),
    Kill("libvirtd of the source", 3, is_vm, libvirtd("source"), put_right, SHORT, False),
    Kill("libvirtd of the target", 3, is_vm, libvirtd("target"), put_right, SHORT, False),
    Kill("guest on the source", 2, is_running, guest_process("source"), nothing, None, True),
    Kill("guest on the target", 3, is_running, guest_process("target"), nothing, None, True),
    Kill("ssh connections", 4, everywhere, connections, nothing, None, False),
    Kill("sshd", 2, everywhere, sshd_gone, put_right, LONG, False),
    Kill("rsync on the source", 3, moves_tree, process("source", "rsync"), nothing, None, False),
    Kill("rsync on the target", 3, moves_tree, process("target", "rsync"), nothing, None, False),
    Kill("power of the source", 3, everywhere, power("source"), put_right, SHORT, False),
    Kill("power of the target", 4, everywhere, power("target"), put_right, SHORT, False),
    Kill("power of both", 2, everywhere, power("source", "target"), put_right, SHORT, False),
    Kill("link down", 3, everywhere, link("down"), put_right, LONG, False),
    Kill("link drops all", 3, everywhere, link("drop"), put_right, LONG, False),
    Kill("disk full", 3, has_image, disk_full, resume_after_full_disk, LONG, False),
    Kill("cancel", 4, everywhere, cancel, nothing, None, False),
    Kill("terminal", 1, everywhere, terminal, nothing, None, False),
    Kill("recover meanwhile", 2, everywhere, recover_meanwhile, nothing, None, False),
)


def pick_kill(random, plan):
    fitting = [kill for kill in KILLS if kill.fits(plan)]
    return random.choices(fitting, [kill.weight for kill in fitting])[0]


def strike_and_mend(run):
    run.plan.kill.strike(run)
    if run.plan.lasts:
        time.sleep(run.plan.lasts)
    run.plan.kill.mend(run)
