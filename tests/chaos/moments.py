"""When it is killed: some time after the migration has begun, or some time after a phase has begun."""

import json
import time
from collections import namedtuple

# phase: None, or the phase that has to begin first. delay: seconds after that.
Moment = namedtuple("Moment", "phase delay")


def pick_moment(random, mode):
    if random.random() < 0.5:
        return Moment(None, round(random.uniform(0, mode.seconds), 2))
    return Moment(random.choice(mode.phases), round(random.choice((0, random.uniform(0, 0.3))), 3))


def phases_of(task):
    """The phases of the task that have begun, in their order, as its events say."""
    try:
        lines = (task / "events").read_text(errors="replace").splitlines()
    except OSError:
        return []
    begun = []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue  # it is being written
        if event.get("type") == "phase" and event.get("state") in ("begin", "undo"):
            begun.append(event["phase"] + (" (undo)" if event["state"] == "undo" else ""))
    return begun


def now(run):
    """The phase that the run's task is in."""
    tasks = run.new_tasks()
    return (phases_of(tasks[0]) or ["-"])[-1] if tasks else "-"


def wait_for(run, moment):
    """False if the migration had ended before the moment came."""
    while moment.phase and not any(moment.phase in phases_of(task) for task in run.new_tasks()):
        if run.has_ended():
            return False
        time.sleep(0.005)
    end = time.monotonic() + moment.delay
    while time.monotonic() < end:
        if run.has_ended():
            return False
        time.sleep(min(0.02, max(0, end - time.monotonic())))
    return not run.has_ended()
