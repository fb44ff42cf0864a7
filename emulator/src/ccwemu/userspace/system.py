# SPDX-License-Identifier: GPL-2.0-or-later
"""systemd and udevd of an emulated host: the boot, and what follows on later events.

No such daemon runs in the node, since the order of events would be its own then. This follows the rules that the node
has, and runs the programs that they name in it; docs/architecture.md says what of udev and systemd there is.

What happens is made of steps: an event against the rules, a program from start to end, a module, a subchannel that
answers late. One step is done at a time; which of those that may come next comes next is drawn from the seed.
"""

from __future__ import annotations

import errno
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ccwemu.machine.host import Machine
from ccwemu.machine.uevent import Uevent
from ccwemu.userspace import modules, rules, units
from ccwemu.userspace.event import Evaluation, coldplug
from ccwemu.userspace.files import NodeFiles
from ccwemu.userspace.journal import Journal
from ccwemu.userspace.queue import EventQueue, Queued
from ccwemu.userspace.rules import Rule
from ccwemu.userspace.units import ENVIRONMENT, Unit

log = logging.getLogger(__name__)

OWN_RULES = ("/etc/udev/rules.d", "/run/udev/rules.d")
SHARED_RULES = ("/usr/local/lib/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d")
SHARED_PATTERNS = ("*driverctl*.rules", "*mdevctl*.rules")
"""Of the rules that packages bring, the ones of these: the others are those of the machine that all of it runs on."""

GATHERED = 0.001
"""Seconds for which events are gathered: one change makes several, and waking this thread for each costs more."""
EVENT_TIMEOUT = 180.0
"""Seconds that udevd gives a program."""


class Ended(Protocol):
    """How a program ended: its exit status (negative: the signal) and what it printed."""

    @property
    def status(self) -> int: ...
    @property
    def output(self) -> str: ...


Run = Callable[[Sequence[str], Mapping[str, str], float], Ended]
"""Run a program in the node: words, environment, seconds. Raises OSError where it cannot be, or the node is gone."""

Tell = Callable[[Mapping[str, str], Iterable[str]], None]
"""Tell programs that watch devices of an event that is worked off: its variables and tags."""

Steps = Iterator[None]


@dataclass
class Tally:
    """What was done."""

    events: int = 0
    programs: int = 0
    failed: int = 0


class System:
    """Boot it once; it follows later events until it is closed."""

    def __init__(
        self, machine: Machine, files: NodeFiles, run: Run, journal: Journal, refresh: Callable[[], None] = lambda: None
    ) -> None:
        """``refresh`` lets the node's faces show what the machine has changed."""
        self._machine = machine
        self._files = files
        self._run = run
        self._journal = journal
        self._refresh = refresh
        self._rules: list[Rule] = []
        self._stamp: tuple[int, ...] | None = None
        self._queue = EventQueue()
        self._arrived: deque[Uevent] = deque()
        self._wake = threading.Condition()
        self._asleep = False
        self._active: set[str] = set()
        """Units that have succeeded and remain."""
        self._ready: list[Steps] = []
        self._tell: Tell | None = None
        self._closed = False
        self._unsubscribe: Callable[[], None] = lambda: None
        self.tally = Tally()

    # -- boot and after ---------------------------------------------------------------------------------------------

    def boot(
        self, chance: random.Random | None = None, late: Sequence[str] = (), services: Sequence[Unit] = ()
    ) -> None:
        """Load the modules, work off an "add" of everything and have the ``late`` subchannels appear meanwhile.

        ``services`` are started when all of that is done (multi-user.target).
        ``chance``: draws what comes next; None: first come, first served. Returns when nothing is left to do.
        Raises OSError where the node is gone.
        """
        self._unsubscribe = self._machine.uevents.subscribe(self._arrive)
        self._read_rules()
        with self._machine.lock:
            coldplug(self._machine)
        self._take_arrived()
        self._ready.append(self._load_modules())
        self._ready += [self._appear(busid) for busid in late]
        self._work_off_all(chance)
        self._ready += [self._start_unit(unit) for unit in services]
        self._work_off_all(chance)

    def _work_off_all(self, chance: random.Random | None) -> None:
        while self._ready:
            self._step(chance)
            self._machine.settle()
            self._take_arrived()

    def follow(self, tell: Tell | None = None) -> None:
        """Work off later events in their order, in a thread of its own, and ``tell`` of each."""
        self._tell = tell
        threading.Thread(target=self._follow, name=f"{self._machine.spec.name} udevd", daemon=True).start()

    def close(self) -> None:
        self._closed = True
        self._unsubscribe()
        self._unsubscribe = lambda: None
        with self._wake:
            self._wake.notify_all()

    def _follow(self) -> None:
        while True:
            with self._wake:
                self._asleep = True  # first: who arrives from now on wakes this thread
                while not self._arrived and not self._closed:
                    self._wake.wait()
                self._asleep = False
            if self._closed:
                return
            time.sleep(GATHERED)
            self._read_rules()
            self._take_arrived()
            try:
                while self._ready and not self._closed:
                    self._step(None)
                    self._take_arrived()
            except Exception as problem:
                if isinstance(problem, OSError) and problem.errno == errno.ESRCH:  # the node is gone: soon this is told
                    return
                log.exception("host %s: following uevents", self._machine.spec.name)

    # -- steps ------------------------------------------------------------------------------------------------------

    def _step(self, chance: random.Random | None) -> None:
        """One step of one of those that are ready."""
        place = chance.randrange(len(self._ready)) if chance is not None else 0
        try:
            next(self._ready[place])
        except StopIteration:
            del self._ready[place]

    def _arrive(self, event: Uevent) -> None:
        """Called under the machine's lock."""
        self._arrived.append(event)
        if self._asleep:
            with self._wake:
                self._wake.notify_all()

    def _take_arrived(self) -> None:
        while self._arrived:
            queued = self._queue.add(self._arrived.popleft())
            if not queued.waits_for:
                self._ready.append(self._work_off(queued))

    def _load_modules(self) -> Steps:
        """systemd-modules-load."""
        for name in modules.to_load(self._files, self._machine.command_line):
            with self._machine.lock:
                self._machine.modules.load_at_boot([name])
            self._journal.say(f"systemd-modules-load: {name}")
            yield

    def _appear(self, busid: str) -> Steps:
        self._machine.appear_late(busid)
        self._journal.say(f"late: subchannel {busid}")
        yield

    def _work_off(self, queued: Queued) -> Steps:
        """udevd: the rules, then what they want run; at last systemd is told."""
        event = queued.event
        self.tally.events += 1
        outcome = Evaluation(self._machine, self._files, event, self._journal.warn).apply(self._rules)
        self._journal.say(_told(event))
        for note in outcome.notes:
            self._journal.say(f"  {note}")
        if outcome.runs:
            yield
        for rule, words in outcome.runs:
            environment = {key: value for key, value in outcome.environment.items() if key[:1] != "."}
            self._execute(rule.where, words, {**environment, **ENVIRONMENT})
            yield
        if self._tell is not None:
            self._refresh()
            self._tell(outcome.environment, outcome.tags)
        self._ready += [self._work_off(later) for later in self._queue.finish(queued)]
        self._ready += [self._start(name) for name in outcome.wants]

    def _start(self, name: str) -> Steps:
        """systemd: a unit that a device wants."""
        unit = units.load(name, self._files, self._journal.warn) if name not in self._active else None
        if name in self._active:
            self._journal.say(f"{name}: is active already")
        elif unit is None:
            self._journal.warn(f"{name}: no such unit in the host")
        elif all(self._files.exists(path) for path in unit.condition_paths):
            yield from self._start_unit(unit)
            return
        else:
            self._journal.say(f"{name}: a path of its condition is not there")
        yield

    def _start_unit(self, unit: Unit) -> Steps:
        started = all(self._execute(unit.name, words, unit.environment) for words in unit.commands)
        if started and unit.remain_after_exit:
            self._active.add(unit.name)
        yield

    def _execute(self, who: str, words: Sequence[str], environment: Mapping[str, str]) -> bool:
        """Run a program in the node and say how it ended. False where it failed."""
        self._refresh()
        self.tally.programs += 1
        command = " ".join(words)
        try:
            ended = self._run(words, environment, EVENT_TIMEOUT)
        except OSError as problem:
            if problem.errno == errno.ESRCH:  # not the program: the node is gone
                raise
            self.tally.failed += 1
            advice = "; install the package that brings it" if problem.errno == errno.ENOENT else ""
            self._journal.warn(f"{who}: {words[0]} cannot be run in the host: {problem.strerror}{advice}")
            return False
        self._journal.say(f"{who}: {command}: status {ended.status}")
        self._journal.catch_up()
        for line in ended.output.splitlines():
            (self._journal.warn if ended.status else self._journal.say)(line)
        self.tally.failed += ended.status != 0
        return ended.status == 0

    # -- rules ------------------------------------------------------------------------------------------------------

    def _read_rules(self) -> None:
        """Again only when a directory has changed, as udevd does."""
        stamp = self._files.stamp((*OWN_RULES, *SHARED_RULES))
        if stamp == self._stamp:
            return
        self._stamp = stamp
        found = {_name(path): path for path in self._files.find(SHARED_RULES, SHARED_PATTERNS)}
        found |= {_name(path): path for path in self._files.find(OWN_RULES, ["*.rules"])}
        self._rules = []
        for _key, path in sorted(found.items()):
            self._rules += rules.parse(path, self._files.text(path), self._journal.warn)


def _name(path: str) -> str:
    return path.rsplit("/", 1)[1]


def _told(event: Uevent) -> str:
    extra = [f" {key}={event.env[key]}" for key in ("MDEV_STATE", "DRIVER") if key in event.env]
    synthetic = " (synthetic)" if "SYNTH_UUID" in event.env else ""
    return f"{event.action} {event.devpath}{''.join(extra)}{synthetic}"
