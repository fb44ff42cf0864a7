# SPDX-License-Identifier: GPL-2.0-or-later
"""A running emulated host of a lab: its machine, its namespaces, its faces and its socket."""

from __future__ import annotations

import dataclasses
import gc
import logging
import os
import select
import shlex
import signal
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ccwemu import disk
from ccwemu.channel import ImageError
from ccwemu.faces.serve import Faces
from ccwemu.faults.board import Board
from ccwemu.guest import release
from ccwemu.hostio import HostIo
from ccwemu.lab import libvirt
from ccwemu.lab.enter import ENVIRONMENT
from ccwemu.lab.faults import FaultDesk
from ccwemu.lab.hostsock import Guests, count_operations, host_operations, node_operations
from ccwemu.lab.lines import Message, Server
from ccwemu.lab.spec import DiskSpec, HostSpec
from ccwemu.machine.host import Machine
from ccwemu.machine.ipl import IN_ORDER, Ipl, late_subchannels, moves, renumbered
from ccwemu.machine.kernel import ensure
from ccwemu.machine.spec import DasdSpec, MachineSpec, PlaceSpec
from ccwemu.machine.tree import Attribute
from ccwemu.namespace import given, root
from ccwemu.namespace.launch import Mount, Namespace, NodeSpec, launch
from ccwemu.namespace.mounts import MountTable
from ccwemu.namespace.unshare import IdMap
from ccwemu.userspace.files import NodeFiles
from ccwemu.userspace.journal import Journal
from ccwemu.userspace.monitors import Monitors, show_udevd
from ccwemu.userspace.system import System, Tally

log = logging.getLogger(__name__)

COMMAND_LIMIT = 300.0
"""Seconds that a command of the definition may take."""


class HostError(Exception):
    """A host that cannot be as it is defined; the text says which part and what to do."""


Report = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Boot:
    """How a boot went: a line for each thing that userspace did, in order, and how many."""

    ipl: Ipl
    lines: tuple[str, ...]
    tally: Tally


class Host:
    """Start it, reboot it, stop it. ``ended`` is called when the node dies by itself."""

    def __init__(
        self, spec: HostSpec, lab_directory: str, ids: IdMap, guests: Guests, changed: Callable[[], None]
    ) -> None:
        self.spec = spec
        self.ids = ids
        self._base = os.path.join(lab_directory, "hosts", spec.name)
        self._disks = os.path.join(lab_directory, "disks")
        self._guests = guests
        self._changed = changed
        self._faults = Board()
        self._machine_spec = self._with_images(spec.machine)
        self._namespace: Namespace | None = None
        self._mount_table: MountTable | None = None
        self._faces: Faces | None = None
        self._server: Server | None = None
        self._machine: Machine | None = None
        self._userspace: System | None = None
        self._journal: Journal | None = None
        self._guard = threading.RLock()
        self._silent: dict[str, ImageError] = {}
        """Of subchannels whose disk does not answer: what is wrong with its image."""
        self._was_up = False

    @property
    def pid(self) -> int | None:
        """The pid of the node's init; None while it is down."""
        return self._namespace.pid if self._namespace is not None else None

    # -- disks ------------------------------------------------------------------------------------------------------

    def _image(self, name: str) -> str:
        return os.path.join(self._disks, name)  # an absolute path stays what it is

    def _with_images(self, spec: MachineSpec) -> MachineSpec:
        subchannels = []
        for sch in spec.subchannels:
            if isinstance(sch.device, DasdSpec) and sch.device.image:
                device = dataclasses.replace(sch.device, image=self._image(sch.device.image))
                subchannels.append(dataclasses.replace(sch, device=device))
            else:
                subchannels.append(sch)
        return dataclasses.replace(spec, subchannels=tuple(subchannels))

    def require(self) -> None:
        """What of other packages it needs is there. Raises libvirt.LibvirtMissing."""
        if self.spec.libvirt:
            libvirt.require(self.spec.name)

    def make_disks(self, report: Report) -> None:
        """Make the images that the lab is to make and that are not there. Raises disk.DiskError."""
        os.makedirs(self._disks, exist_ok=True)
        for entry in self.spec.disks:
            path = self._image(entry.image)
            if entry.made_by_lab and not os.path.exists(path):
                report(f"{self.spec.name}: making the disk {entry.device}, {entry.cylinders} cylinders")
                _make_disk(entry, path)
            elif not os.path.exists(path):
                raise disk.DiskError(
                    f"{self.spec.name}: disk {entry.device}: there is no image {path}; make it with: "
                    f"ccwemu disk create {path} --cylinders {entry.cylinders}"
                )
            else:
                disk.info(path)

    def _disk_problem(self, sch: str, error: ImageError) -> None:
        """An image that cannot be used: its disk does not answer."""
        self._silent.setdefault(sch, error)
        log.error("host %s: the disk on subchannel %s does not answer: %s", self.spec.name, sch, error)

    # -- faults -----------------------------------------------------------------------------------------------------

    def fault(self, message: Message) -> Message:
        """A request of ``ccwemu fault``. Faults outlive a reboot: they are the devices'. Raises Refusal."""
        with self._guard:
            return FaultDesk(self._faults, self._machine_spec, self._machine).serve(message)

    def _without_removed_devices(self, machine: Machine) -> None:
        """Devices that are away are so for a machine that boots, too."""
        for sch in self._machine_spec.subchannels:
            if self._faults.removed(sch.busid):
                machine.device_gone(sch.busid)

    # -- start and stop ---------------------------------------------------------------------------------------------

    def start(self, ipl: Ipl = IN_ORDER) -> Boot:
        """Boot the machine, start its node and have its userspace boot. Raises what the parts raise."""
        with self._guard, _objects_that_stay():
            machine = Machine(
                self._machine_spec, HostIo(self._machine_spec.subchannels, self._disk_problem, self._faults)
            )
            self._without_removed_devices(machine)
            machine.set_open_counter(self._mounts_of)
            done = Path(self._base, "given")
            first = not done.exists()
            directory, binds = root.prepare(self._base, hostname=self.spec.name, owner=self.ids.outside)
            if first:
                given.write(directory, self.spec.files, self.ids.outside)
            late = self._late_subchannels(ipl)
            for busid in late:
                machine.device_gone(busid)
            machine.boot()
            machine.settle()
            self._require_disks()
            _new_boot_id(machine)
            self._write_kernel_files(machine, directory)
            self._name_qemu(directory)
            if self.spec.libvirt:
                libvirt.install(directory, self.ids.outside)
                binds += libvirt.hide_other_emulators(self._base)
            self._faces = Faces(machine, self.spec.name)
            self._server = self._listen(machine, self._faces, directory)
            node = NodeSpec(self.spec.name, directory, binds, mounts=self._mounts(machine), uevents=True)
            try:
                self._namespace = launch(node, self._faces.serve, self.ids)
            except BaseException:
                self._close()
                raise
            self._mount_table = MountTable(self._namespace.pid)
            self._machine = machine
            threading.Thread(target=self._watch, args=(self._namespace,), daemon=True).start()
            boot = self._boot_userspace(machine, directory, self._namespace, self._faces, ipl, late)
            if first:
                self._run_commands(self._namespace)
                done.touch()
            return boot

    def _require_disks(self) -> None:
        """A lab comes up with all its disks; one whose image goes bad later does not answer. Raises HostError."""
        if self._silent and not self._was_up:
            sch, error = next(iter(self._silent.items()))
            raise HostError(
                f"host {self.spec.name}: {len(self._silent)} of its disks cannot be used; the first, on subchannel "
                f"{sch}: {error}"
            )
        self._was_up = True

    def _late_subchannels(self, ipl: Ipl) -> list[str]:
        """None that the lab's own mounts, swap areas and volumes are on, and none that is away by a fault."""
        chance = ipl.chance("late")
        if chance is None:
            return []
        spec = self._machine_spec
        places = [entry.place for entry in self.spec.mounts] + list(spec.swaps)
        places += [place for volume in spec.volumes for place in volume.members]
        needed = {place.device for place in places}
        return [busid for busid in late_subchannels(spec, needed, chance) if not self._faults.removed(busid)]

    def _boot_userspace(
        self, machine: Machine, directory: str, namespace: Namespace, faces: Faces, ipl: Ipl, late: Sequence[str]
    ) -> Boot:
        self._journal = journal = Journal(self.spec.name, machine.dmesg)
        journal.listen(directory, self.ids.outside)
        files = NodeFiles(Path(directory))
        self._userspace = System(machine, files, namespace.run, journal, faces.refresh)
        show_udevd(Path(directory), self.ids.outside)
        services = [libvirt.unit()] if self.spec.libvirt else []
        self._userspace.boot(ipl.chance("order"), late, services)
        boot = Boot(ipl, tuple(journal.lines), dataclasses.replace(self._userspace.tally))
        self._userspace.follow(Monitors(namespace.uevents, self.ids.outside).tell)
        return boot

    def _run_commands(self, namespace: Namespace) -> None:
        """What the definition has the host do after its first boot. Raises HostError."""
        for argv in self.spec.commands:
            what = f"host {self.spec.name}: the command {shlex.join(argv)} of the definition"
            try:
                ended = namespace.run(["/usr/bin/env", *argv], ENVIRONMENT, COMMAND_LIMIT)  # which looks in PATH
            except OSError as error:
                raise HostError(f"{what}: {error.strerror}") from None
            if ended.status:
                raise HostError(f"{what} ended with status {ended.status}: {ended.output.strip()}")

    def _name_qemu(self, directory: str) -> None:
        """For its qemu-system-s390x: which release to be."""
        path = Path(directory + release.FILE)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{self.spec.qemu or release.Release().name}\n", encoding="ascii")

    def stop(self) -> None:
        with self._guard:
            namespace, self._namespace = self._namespace, None
            if self._server is not None:  # gives back what is held open through it
                self._server.close()
            if namespace is not None:
                namespace.stop()
            self._close()

    def reboot(self, ipl: Ipl = IN_ORDER) -> Boot:
        """Down and up again: the machine as its definition says, the file systems as they were left.

        Subchannels that were renumbered stay so until they are again.
        """
        with self._guard:
            self.stop()
            self._changed()
            self._renumber(ipl)
            boot = self.start(ipl)
            self._changed()
            return boot

    def _renumber(self, ipl: Ipl) -> None:
        chance = ipl.chance("numbers")
        if ipl.renumber and chance is not None:
            before, self._machine_spec = self._machine_spec, renumbered(self._machine_spec, chance)
            self._faults.move(moves(before, self._machine_spec))

    def _close(self) -> None:
        if self._userspace is not None:
            self._userspace.close()
            self._userspace = None
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._faces is not None:
            self._faces.close()
            self._faces = None
        if self._machine is not None:
            self._machine.shutdown()
            self._machine = None
        if self._mount_table is not None:
            self._mount_table.close()
            self._mount_table = None

    def _listen(self, machine: Machine, faces: Faces, directory: str) -> Server:
        reboot, off = self._soon(self._try_reboot), self._soon(self._power_off)
        operations = node_operations(machine, faces.refresh, reboot, off)
        operations |= host_operations(machine, self._machine_spec, self._guests, self._faults)
        operations |= count_operations(faces.stores)
        path = os.path.join(directory + root.RUN_DIR, "host.sock")
        return Server(path, operations, owner=self.ids.outside)

    @staticmethod
    def _soon(action: Callable[[], None]) -> Callable[[], None]:
        """In a thread of its own: who asks is in the node that ends."""
        return lambda: threading.Thread(target=action, daemon=True).start()

    def _power_off(self) -> None:
        self.stop()
        self._changed()

    def _try_reboot(self) -> None:
        try:
            self.reboot()
        except Exception:
            log.exception("host %s: rebooting failed; the host is down", self.spec.name)
            self.stop()
            self._changed()

    def _watch(self, namespace: Namespace) -> None:
        """Wait for the end of a node. One that ended by itself by reboot(2) starts again, another stays down."""
        pidfd = os.dup(namespace.pidfd)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.poll()
        os.close(pidfd)
        try:
            _pid, status = os.waitpid(namespace.pid, 0)
        except ChildProcessError:
            status = 0
        if self._namespace is not namespace:
            return
        # pid_namespaces(7): reboot(2) in a pid namespace ends its init by SIGHUP (restart) or SIGINT (halt, power off).
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGHUP:
            self._try_reboot()
            return
        log.error("host %s: its init has ended (status %d); the host is down", self.spec.name, status)
        self.stop()
        self._changed()

    # -- what the machine and its node need of each other -----------------------------------------------------------

    def _write_kernel_files(self, machine: Machine, directory: str) -> None:
        release = self._machine_spec.kernel
        tree = Path(root.modules_directory(directory))
        if not (tree / release).exists():
            machine.modules.write_tree(tree / release)
            config = Path(directory, "boot", f"config-{release}")
            config.write_text(machine.modules.config_text(), encoding="ascii")
            root.give(str(tree), self.ids.outside)
            root.give(str(config), self.ids.outside)

    def _mounts(self, machine: Machine) -> list[Mount]:
        mounts = []
        for entry in self.spec.mounts:
            source = machine.volumes.node(entry.place.device) or f"/dev/{_block_name(machine, entry.place)}"
            mounts.append(Mount(source, entry.target, "tmpfs", "mode=755", dict(entry.files)))
        return mounts

    def _mounts_of(self, name: str) -> int:
        """How many mounts of the node have a block device as their source, guests' namespaces not counted."""
        table = self._mount_table
        try:
            return table.count(f"/dev/{name}") if table is not None else 0
        except OSError:
            return 0


@contextmanager
def _objects_that_stay() -> Iterator[None]:
    """Have the garbage collector look neither while a machine is made nor, later, at what it is made of.

    Ten thousand devices are a million objects that all stay; going through them again and again took half of the time
    to start a host, and held up its readers. A machine that has ended is collected when the next one starts.
    """
    gc.unfreeze()
    gc.collect()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


def _new_boot_id(machine: Machine) -> None:
    """By it one sees that a machine was rebooted (Ansible's reboot module does)."""
    text = f"{uuid.uuid4()}\n"
    random = ensure(machine.proc, "sys/kernel/random")
    if "boot_id" not in random:
        random.add(Attribute("boot_id", 0o444, lambda: text, st_size=0))


def _make_disk(entry: DiskSpec, path: str) -> None:
    volser = f"0X{entry.device.rpartition('.')[2].upper()}"  # what dasdfmt names a disk by default
    disk.create(path, entry.cylinders, entry.layout, volser if entry.layout == "cdl" else "", sparse=entry.sparse)


def _block_name(machine: Machine, place: PlaceSpec) -> str:
    """The kernel's name of a disk or partition. Raises HostError where there is none."""
    try:
        return machine.block_name(place)
    except KeyError:
        raise HostError(
            f"device {place.device}: is to be mounted, but has no block device after boot (hidden by cio_ignore, or "
            "its driver's module is not among 'modules'?); take 'mounted' out of the definition, or bring the device "
            "online"
        ) from None
