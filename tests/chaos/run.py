"""One run: a migration, something killed in its middle, all put right, recover, and the invariants."""

import random
import re
import subprocess
import time
from collections import namedtuple

import invariants
import kills
import modes
import moments
from lab import NODES, other

Plan = namedtuple("Plan", "number guest running mode options typed_elsewhere kill lasts moment")

RECOVER_SECONDS = 120  # until recover on both nodes has settled all
MIGRATION_SECONDS = 240  # until a migration has ended, whatever happens to it


def plan(seed, number, guests):
    """All random choices of a run come from the seed and the run's number."""
    dice = random.Random(f"{seed}:{number}")
    guest = dice.choice(guests)
    running = dice.random() < 0.75
    mode = modes.pick_mode(dice, guest, running)
    options = modes.pick_options(dice, mode, guest)
    draft = Plan(number, guest, running, mode, options, dice.random() < 0.2, None, None, None)
    kill = kills.pick_kill(dice, draft)
    lasts = round(dice.uniform(*kill.lasts), 1) if kill.lasts else None
    return draft._replace(kill=kill, lasts=lasts, moment=moments.pick_moment(dice, mode))


class Run:
    def __init__(self, lab, the_plan, source, log):
        self.lab, self.plan, self.source, self.target, self.log = lab, the_plan, source, other(source), log
        self.typed_on = self.target if the_plan.typed_elsewhere else source
        self.exit = None
        self.ended_by_itself = True  # False once the migration's command was cut off from its task
        self.guest_was_ended = False
        self.decided = ""  # the administrator's command that was needed
        self.phase = ""  # that was killed in
        self.findings = []

    # ---------------------------------------------------------------- the migration
    def command(self, slow):
        limit = ("--bwlimit", str(self.plan.mode.bwlimit)) if slow else ()
        return ("vmmigrate", str(self.plan.guest.id), self.target, *self.plan.mode.arguments, *self.plan.options, *limit, "--yes")

    def new_tasks(self):
        return sorted(self.lab.tasks(self.source) - self.tasks_before)

    def has_ended(self):
        return self.process.poll() is not None

    def begin(self):
        self.tasks_before = self.lab.tasks(self.source)
        self.process = self.lab.start(self.typed_on, *self.command(slow=True))

    def end(self):
        try:
            said = self.process.communicate(timeout=MIGRATION_SECONDS)[0]
        except subprocess.TimeoutExpired:
            self.process.kill()
            said = self.process.communicate()[0]
            self.findings.append(f"it has not ended within {MIGRATION_SECONDS} s")
        self.exit = self.process.returncode
        self.ended_by_itself = 0 <= self.exit < 128 and "power" not in self.plan.kill.name
        self.log(f"--- {' '.join(self.command(slow=True))} on {self.typed_on}: {self.exit}\n{said}")

    def strike(self):
        if moments.wait_for(self, self.plan.moment):
            self.phase = moments.now(self)
            kills.strike_and_mend(self)
        else:
            self.phase = "after the end"

    # ---------------------------------------------------------------- recover
    def has_worker(self):
        return any(self.lab.on(node, "pgrep", "-f", "^vmmigrate-engine (worker|recover)")[0] == 0 for node in NODES)

    def decide(self, node, said):
        """Follows the command with an administrator's decision that recover has printed, to the letter."""
        found = re.search(r"vmmigrate recover (\S+) --keep (source|target)", said)
        if not found:
            return False
        self.decided = found.group(0)
        self.log(f"--- {self.decided} on {node}: {self.lab.on(node, *self.decided.split(), timeout=90)}")
        return True

    def recover(self):
        """Recover on both nodes until both are done; a decision is given where it is asked for three times."""
        end, asked = time.monotonic() + RECOVER_SECONDS, 0
        while True:
            answers = {node: self.lab.on(node, "vmmigrate", "recover", timeout=120) for node in NODES}
            if not any(status for status, _ in answers.values()) and not self.has_worker():
                return
            self.log("--- recover: " + "; ".join(f"{node}: {status} {said.strip()}" for node, (status, said) in answers.items()))
            asked += any(status == 9 for status, _ in answers.values())
            if asked >= 3 and any(self.decide(node, said) for node, (status, said) in answers.items() if status == 9):
                asked = 0
            if time.monotonic() > end:
                self.findings.append(f"recover does not end: {answers}")
                return
            time.sleep(1)

    # ---------------------------------------------------------------- afterwards
    def node_now(self):
        where = self.plan.guest.where(self.lab)
        return where[0] if len(where) == 1 else None

    def may_have_ended(self):
        """A guest whose process was killed is off, as after a crash; it can be started where it is."""
        node = self.node_now()
        if self.plan.kill.guest_may_end and self.plan.running and node and self.plan.guest.state(self.lab, node) == "off":
            self.guest_was_ended = True

    def start_again(self):
        node = self.node_now()
        if self.guest_was_ended and node:
            status, said = self.plan.guest.try_to_start(self.lab, node)
            self.guest_was_ended = False
            self.findings += [f"it cannot be started on {node}: {said.strip()}"] if status else []

    def try_again(self):
        """The same migration, tried again, succeeds."""
        status, said = self.lab.on(self.typed_on, *self.command(slow=False), timeout=MIGRATION_SECONDS)
        self.log(f"--- tried again: {status}\n{said}")
        if status:
            self.findings.append(f"tried again it ends with {status}: {(said.strip().splitlines() or ['?'])[-1]}")
        self.exit, self.ended_by_itself = status, True

    def how_it_ended(self):
        names = {0: "done", 8: "done with warnings", 7: "cancelled", 3: "refused", 6: "busy", 1: "undone", 9: "decision"}
        if self.decided:
            return "decided"
        first = names.get(self.first_exit, "cut off") if self.first_ended else "cut off"
        return f"{first}, guest ended" if self.first_guest_ended else first

    def do(self):
        self.plan.guest.bring(self.lab, self.source, self.plan.running)
        self.begin()
        self.strike()
        self.end()
        kills.put_right(self)
        self.recover()
        self.may_have_ended()
        self.first_exit, self.first_ended, self.first_guest_ended = self.exit, self.ended_by_itself, self.guest_was_ended
        self.findings += invariants.broken(self)
        self.ended_on = self.node_now()
        self.start_again()
        if not self.findings and self.ended_on == self.source:
            self.try_again()
            self.findings += invariants.broken(self)
