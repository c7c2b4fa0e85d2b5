"""The lab (tests/lab) as the other files here use it."""

import os
import re
import subprocess
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
LAB = TOP / "tests/lab/lab"
NODES = ("node1", "node2")


class LabFailed(Exception):
    """The lab itself did not do what it was told: nothing is known about vmmigrate."""


class Lab:
    def __init__(self, name):
        self.name = name
        self.environment = dict(os.environ, LAB=name, LAB_QUIET="1")

    def verb(self, *words, check=True, timeout=120):
        """Runs a verb of the lab. Returns its exit status and all that it said."""
        try:
            done = subprocess.run([LAB, *map(str, words)], env=self.environment, stdin=subprocess.DEVNULL, timeout=timeout,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace")
        except subprocess.TimeoutExpired:
            if check:
                raise LabFailed(f"lab {' '.join(map(str, words))}: not done in {timeout} s") from None
            return 124, f"not done in {timeout} s"
        if check and done.returncode:
            raise LabFailed(f"lab {' '.join(map(str, words))}: {done.stdout.strip()}")
        return done.returncode, done.stdout

    def on(self, node, *command, check=False, timeout=60):
        """Runs a command there. Returns its exit status and all that it said."""
        return self.verb("exec", node, *command, check=check, timeout=timeout)

    def sh(self, node, script, check=False, timeout=60):
        return self.on(node, "bash", "-c", script, check=check, timeout=timeout)

    def start(self, node, *command):
        """Starts a command there; the caller waits for the process."""
        return subprocess.Popen([LAB, "exec", node, *command], env=self.environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace")

    def root(self, node):
        """The node's root as this machine sees it; it is not there while the node is off."""
        try:
            pid = Path(f"/run/vmmigrate-lab/{self.name}/{node}").read_text().split()[0]
        except (OSError, IndexError):
            return Path("/nonexistent")
        return Path(f"/proc/{pid}/root")

    def is_up(self, node):
        return (self.root(node) / "run/vmmigrate-lab.booted").exists()

    def tasks(self, node):
        """The directories of the tasks that began there."""
        try:
            return set((self.root(node) / "var/lib/vmmigrate/tasks").iterdir())
        except OSError:
            return set()

    def down(self):
        self.verb("down", check=False)

    def fresh(self, images):
        """Two joined nodes with the packages that `make deb` has built; images are on a filesystem of that type."""
        self.down()
        self.verb("up", "--images", images, "--images-size", "700M")
        packages = [str(path) for path in (TOP / "build").glob("vmmigrate_*.deb")]
        if not packages:
            raise LabFailed("no package in build/: make deb")
        self.verb("install", *packages)
        self.verb("join")
        for node in NODES:
            self.sh(node, "printf '\\n[migration]\\ndata_ports = 49300-49303\\n' >>/etc/vmmigrate/vmmigrate.conf", check=True)


def other(node):
    return NODES[1 - NODES.index(node)]


def field(text, name):
    """The value of "name=VALUE" in a line of the lab's."""
    found = re.search(rf"\b{name}=(\S+)", text)
    return found.group(1) if found else ""
