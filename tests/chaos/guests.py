"""The guests: small, and used for one run after the other. Each moves once in every run that picks it."""

import time

from lab import NODES, LabFailed


class Guest:
    def __init__(self, name, number, kind, shared, options):
        self.name, self.id, self.kind, self.shared, self.options = name, number, kind, shared, options
        self.definition = None  # as it was when it was made

    # ---------------------------------------------------------------- both kinds
    def make(self, lab, node):
        lab.verb("container" if self.kind == "ct" else "guest", node, self.id, *self.options)
        self.definition = self.read_definition(lab, node)

    def where(self, lab):
        """The nodes that have its definition."""
        return [node for node in NODES if self.state(lab, node) != "absent"]

    def is_running(self, lab, node):
        return self.state(lab, node) == "running"

    def ticks(self, lab, count=3, seconds=60):
        lab.verb("wait-ticks", self.id, count, seconds, timeout=seconds + 30)

    def bring(self, lab, node, running):
        """Before a run: it runs there, with autostart, or it is off, without."""
        if self.state(lab, node) == "paused":  # a full disk did that, in an earlier run
            lab.on(node, "virsh", "-q", "resume", f"vm{self.id}", check=True)
        if running and not self.is_running(lab, node):
            self.start(lab, node)
        if not running and self.is_running(lab, node):
            self.stop(lab, node)
        self.set_autostart(lab, node, running)
        self.definition = self.read_definition(lab, node)
        if running:
            self.ticks(lab)

    def start(self, lab, node):
        status, said = self.try_to_start(lab, node)
        if status:
            raise LabFailed(f"{self.name} cannot be started on {node}: {said.strip()}")

    def stop(self, lab, node):
        end = time.monotonic() + 60
        self.ask_to_stop(lab, node)
        while self.state(lab, node) != "off":
            if time.monotonic() > end:
                raise LabFailed(f"{self.name} does not shut down on {node}")
            time.sleep(0.2)


class Vm(Guest):
    def __init__(self, name, number, shared, *options):
        super().__init__(name, number, "vm", shared, ("--size", "64M", "--data", "8", "--memory", "96", *options))

    def state(self, lab, node):
        status, said = lab.on(node, "virsh", "domstate", f"vm{self.id}")
        return {"shut off": "off"}.get(said.strip(), said.strip()) if status == 0 else "absent"

    def try_to_start(self, lab, node):
        return lab.on(node, "virsh", "-q", "start", f"vm{self.id}")

    def ask_to_stop(self, lab, node):
        lab.on(node, "virsh", "-q", "shutdown", f"vm{self.id}")

    def set_autostart(self, lab, node, on):
        lab.on(node, "virsh", "-q", "autostart", f"vm{self.id}", *([] if on else ["--disable"]), check=True)

    def has_autostart(self, lab, node):
        return "enable" in lab.sh(node, f"virsh dominfo vm{self.id} | grep ^Autostart:")[1]

    def read_definition(self, lab, node):
        return lab.on(node, "virsh", "dumpxml", "--inactive", f"vm{self.id}")[1]

    def kill(self, lab, node):
        lab.on(node, "pkill", "-KILL", "-f", f"guest=vm{self.id},")


class Container(Guest):
    def __init__(self, name, number, *options):
        super().__init__(name, number, "ct", False, ("--data", "8", *options))

    def state(self, lab, node):
        script = f"""
            cd /var/lib/lxc/{self.id} 2>/dev/null || {{ echo absent; exit; }}
            [ -e config ] || [ -e config.vmmigrate ] || {{ echo absent; exit; }}
            case $(timeout 10 lxc-info -s -H -n {self.id}) in RUNNING) echo running ;; STOPPED | "") echo off ;; *) echo between ;; esac"""
        return lab.sh(node, script)[1].strip()

    def try_to_start(self, lab, node):
        return lab.on(node, "lxc-start", "-n", self.id)

    def ask_to_stop(self, lab, node):
        lab.on(node, "lxc-stop", "-n", self.id, "-t", "20")

    def set_autostart(self, lab, node, on):
        lab.sh(node, f"""config=/var/lib/lxc/{self.id}/config
            grep -v '^lxc.start.auto' $config >$config.new; cat $config.new >$config; rm $config.new
            {f"echo 'lxc.start.auto = 1' >>$config" if on else ":"}""", check=True)

    def has_autostart(self, lab, node):
        return "1" in lab.sh(node, f"grep '^lxc.start.auto = 1' /var/lib/lxc/{self.id}/config")[1]

    def read_definition(self, lab, node):
        return lab.on(node, "cat", f"/var/lib/lxc/{self.id}/config")[1]

    def kill(self, lab, node):
        """lxc-info does not answer while the start of a container is held."""
        lab.sh(node, f"kill -KILL $(timeout 2 lxc-info -p -H -n {self.id})")


def all_guests():
    return [
        Vm("vm-raw", 101, False, "--disk", "dir"),
        Vm("vm-qcow2", 102, False, "--disk", "dir", "--format", "qcow2"),
        Vm("vm-iscsi", 103, True, "--disk", "iscsi"),
        Container("ct", 201),
    ]

