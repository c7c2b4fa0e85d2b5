#!/usr/bin/env python3
"""Kills something at a random moment of a random migration between two real nodes, over and over: README.md beside this file."""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
import report
from guests import all_guests
from lab import LAB, NODES, TOP, Lab, LabFailed
from run import Run, plan

BATCH = 40  # after so many runs the lab and its guests are made anew
IMAGES = ("ext4", "xfs", "btrfs")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--minutes", type=float, help="stop after that time, whatever --runs says")
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(10**6)))
    parser.add_argument("--first", type=int, default=1, help="number of the first run; to repeat a single one")
    parser.add_argument("--keep", action="store_true", help="go on after a finding")
    return parser.parse_args()


class Chaos:
    def __init__(self, options):
        self.options, self.lab, self.guests = options, Lab(os.environ.setdefault("LAB", f"chaos{os.getpid()}")), all_guests()
        self.rows, self.found, self.interrupted = [], 0, False
        self.end = time.monotonic() + options.minutes * 60 if options.minutes else None

    def interrupt(self, *_):
        """Ctrl-C ends it after the run that is under way, with the table."""
        self.interrupted = True

    def source_of(self, number, guest):
        """Each run that picks a guest moves it once; a batch begins with all of them on node1."""
        first = (number - 1) // BATCH * BATCH + 1
        moves = sum(plan(self.options.seed, earlier, self.guests).guest is guest for earlier in range(first, number))
        return NODES[moves % 2]

    def fresh(self, number):
        self.lab.fresh(IMAGES[(number - 1) // BATCH % len(IMAGES)])
        for guest in self.guests:
            guest.made = False

    def one(self, number):
        the_plan, self.said = plan(self.options.seed, number, self.guests), []
        guest, source = the_plan.guest, self.source_of(number, the_plan.guest)
        if not guest.made:
            guest.make(self.lab, source)
            guest.made = True
        run = Run(self.lab, the_plan, source, self.said.append)
        run.do()
        return run

    def keep_evidence(self, number, run):
        at = TOP / "build/chaos" / f"{self.options.seed}-{number}"
        at.mkdir(parents=True, exist_ok=True)
        (at / "run").write_text("\n".join([report.describe(run), *run.findings, *self.said]) + "\n")
        for node in NODES:
            with open(at / f"{node}.tar", "wb") as file:
                subprocess.run([LAB, "exec", node, "tar", "-C", "/", "-c", "var/lib/vmmigrate", "var/log", "etc/vmmigrate"],
                               env=self.lab.environment, stdout=file, stderr=subprocess.DEVNULL, timeout=60, check=False)
            script = "ps axf; virsh list --all; ls -laR /var/lib/libvirt/images /var/lib/vmmigrate /run/vmmigrate; ls -la /var/lib/lxc/*"
            (at / f"{node}.state").write_text(self.lab.sh(node, script)[1])
        (at / "serial").write_text(self.lab.verb("serial", run.plan.guest.id, check=False)[1])
        return at

    def finding(self, number, run):
        self.found += 1
        print(f"FINDING in run {number}: {report.describe(run)}")
        for what in run.findings:
            print(f"  {what}")
        print(f"  kept in {self.keep_evidence(number, run)}")
        print(f"  again: make check-chaos SEED={self.options.seed} FIRST={number} RUNS=1", flush=True)

    def all(self):
        fresh, failed = False, 0
        for number in range(self.options.first, self.options.first + self.options.runs):
            if self.interrupted or self.end and time.monotonic() > self.end:
                break
            began = time.monotonic()
            try:
                if not fresh or (number - 1) % BATCH == 0:
                    self.fresh(number)
                fresh = True
                run = self.one(number)
            except (LabFailed, subprocess.TimeoutExpired) as failure:
                print(f"run {number}: the lab failed: {failure}", flush=True)
                fresh, failed = False, failed + 1
                continue
            self.rows.append(report.row(run))
            print(f"run {number}: {report.describe(run)} ({time.monotonic() - began:.0f} s)", flush=True)
            if run.findings:
                self.finding(number, run)
                fresh = False
                if not self.options.keep:
                    break
        print(report.table(self.rows, self.found, failed, self.options.seed))
        return 1 if self.found or failed > len(self.rows) // 10 else 0


def main():
    chaos = Chaos(arguments())
    signal.signal(signal.SIGINT, chaos.interrupt)
    signal.signal(signal.SIGTERM, chaos.interrupt)
    print(f"seed {chaos.options.seed}, lab {chaos.lab.name}", flush=True)
    try:
        return chaos.all()
    finally:
        chaos.lab.down()


if __name__ == "__main__":
    Path(TOP / "build/chaos").mkdir(parents=True, exist_ok=True)
    sys.exit(main())
