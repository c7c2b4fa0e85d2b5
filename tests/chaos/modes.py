"""The modes of a migration, with the options that may be added to each at random."""

from collections import namedtuple

# seconds: about how long the migration takes here, slowed down; the random moment of a kill lies within.
# bwlimit: KiB/s, so slow that there is time to kill something.
Mode = namedtuple("Mode", "name fits arguments seconds bwlimit phases options")

BEFORE = ("lock", "pre-hooks", "prepare")
BEHIND = ("commit", "release", "confirm", "post-hooks", "unlock")
VOLUMES = ("copy", "verify", "publish")


def live(guest, running):
    return guest.kind == "vm" and guest.shared and running


def restart(_, running):
    return running


def offline(_, running):
    return not running


IMAGE_OPTIONS = (
    (("--keep-seed",), lambda guest: not guest.shared),
    (("--data", "tls"), lambda guest: guest.kind == "vm" and not guest.shared),
    (("--parallel-connections", "2"), lambda guest: guest.kind == "vm" and not guest.shared),
    (("--digest", "sha256"), lambda guest: guest.kind == "vm" and not guest.shared),
    (("--verify", "full"), lambda guest: guest.kind == "ct"),
    (("--replace",), lambda guest: True),
)
RESTART_OPTIONS = (
    *IMAGE_OPTIONS,
    (("--no-precopy",), lambda guest: not guest.shared),
    (("--track", "none"), lambda guest: guest.kind == "vm" and not guest.shared),
    (("--force-stop", "--timeout", "20"), lambda guest: True),
)
LIVE_OPTIONS = (
    (("--on-stall", "suspend"), lambda guest: True),
    (("--max-downtime", "300"), lambda guest: True),
    (("--migration-type", "insecure", "--migration-network", "10.78.0.0/24"), lambda guest: True),
)

MODES = (
    Mode("live", live, ("--online",), 5, 16384, (*BEFORE, "switch-hooks", "handover", *BEHIND, "settle"), LIVE_OPTIONS),
    Mode("paused", live, ("--non-live",), 5, 16384, (*BEFORE, "switch-hooks", "handover", *BEHIND, "settle"), LIVE_OPTIONS[2:]),
    Mode("restart", restart, ("--restart",), 9, 6144,
         (*BEFORE, "precopy", "rounds", "switch-hooks", "stop", *VOLUMES, "define", "handover", *BEHIND, "settle"), RESTART_OPTIONS),
    Mode("offline", offline, (), 4, 6144, (*BEFORE, "switch-hooks", *VOLUMES, "define", *BEHIND), IMAGE_OPTIONS),
)


def pick_mode(random, guest, running):
    return random.choice([mode for mode in MODES if mode.fits(guest, running)])


def pick_options(random, mode, guest):
    """Each option that fits is given once in five runs."""
    return [word for words, fits in mode.options if random.random() < 0.2 and fits(guest) for word in words]
