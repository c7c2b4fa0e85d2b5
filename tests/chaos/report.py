"""What the runs have shown, in words and as a table."""

from collections import Counter, namedtuple

Row = namedtuple("Row", "kill phase end guest mode")


def describe(run):
    plan, moment = run.plan, run.plan.moment
    when = f"{moment.delay} s after {moment.phase or 'its begin'}" + (f", for {plan.lasts} s" if plan.lasts else "")
    command = " ".join((*plan.mode.arguments, *plan.options))
    return (f"{plan.guest.name} {'running' if plan.running else 'off'} {run.source}>{run.target} {plan.mode.name} [{command}]: "
            f"{plan.kill.name}, {when}: in {run.phase or '?'}; {run.how_it_ended()}, on {run.ended_on}"
            + (f" ({run.decided})" if run.decided else ""))


def row(run):
    return Row(run.plan.kill.name, run.phase, run.how_it_ended(), run.plan.guest.name, run.plan.mode.name)


def counts(rows, name):
    return ", ".join(f"{what} {count}" for what, count in Counter(getattr(row, name) for row in rows).most_common())


def table(rows, found, failed, seed):
    lines = [f"{'killed':24} {'runs':>4}  in which phases; how it ended"]
    for kill, count in Counter(row.kill for row in rows).most_common():
        of_it = [row for row in rows if row.kill == kill]
        lines.append(f"{kill:24} {count:4}  {counts(of_it, 'phase')}")
        lines.append(f"{'':30} {counts(of_it, 'end')}")
    lines += [f"guests: {counts(rows, 'guest')}", f"modes: {counts(rows, 'mode')}"]
    hits = sum(row.phase not in ("after the end", "") for row in rows)
    lines.append(f"seed {seed}: {len(rows)} runs, {hits} of them hit a migration in its middle, {found} with a finding; "
                 f"the lab itself failed {failed} times")
    return "\n".join(lines)
