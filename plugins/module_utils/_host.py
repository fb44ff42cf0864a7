# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one door to the system that a module runs on: files below a root, and commands.

The root can be set, so that a unit test gives a directory tree of its own. Paths are always absolute, as on the host.
Nothing here knows what a file means.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
import tempfile
import time
from typing import Callable, Iterator, List, Tuple

from ._helper import Blocked, Helper, Lost, Work

RunCommand = Callable[[List[str], str], Tuple[int, str, str]]
Ended = Callable[[], Tuple[int, str, str]]
"""Waits for a command that was started: return code, standard output, standard error."""
StartCommand = Callable[[List[str]], Ended]
"""(arguments, standard input) → (return code, standard output, standard error)."""

COMMAND_PLACES = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""Where an administrator's path leads."""

TEMPORARY = ".vfio_ccw-"
"""What the name of a file begins with that is to replace another one."""

ATTRIBUTES = "/sys/"
CHUNK = 65536

REMOVE_TIMEOUT = 10.0
"""Seconds that a write which may block in the kernel is waited for."""
READ_TIMEOUT = 10.0


class HostError(Exception):
    """A system access that failed.

    ``operation`` is a verb ("write"), ``path`` the file, ``value`` what was written (or None), ``errno`` the number
    (0 when there is none), ``name`` its name ("EBUSY").
    """

    def __init__(self, operation: str, path: str, number: int, value: str | None = None, text: str = "") -> None:
        self.operation = operation
        self.path = path
        self.value = value
        self.errno = number
        self.name = errno.errorcode.get(number, str(number))
        what = f"{operation} {value!r} to {path}" if value is not None else f"{operation} {path}"
        super().__init__(f"{what}: {text or f'{os.strerror(number)} ({self.name})'}")


class StillBlocked(HostError):
    """The kernel did not finish a write in time: it holds the caller until the device is free."""


def _write(path: str, value: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(handle, (value + "\n").encode())
    finally:
        os.close(handle)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_all(handle: int, attribute: bool) -> bytes:
    """Until the end. A text attribute, at most a page, comes by one read (fs/sysfs/file.c): a second finds nothing."""
    content = os.read(handle, CHUNK)
    while content and not attribute:
        more = os.read(handle, CHUNK)
        if not more:
            break
        content += more
    return content


class Lock:
    """A lock that is held, or (without a descriptor) need not be. Its file says who holds it and how far they are."""

    def __init__(self, who: str, descriptor: int = -1) -> None:
        self._who = f"process {os.getpid()} ({who}, since {time.strftime('%H:%M:%S', time.gmtime())} UTC)"
        self._descriptor = descriptor
        self.waited_for = ""
        """Who had it before, if it was waited for."""

    @property
    def held(self) -> bool:
        return self._descriptor >= 0

    def holder(self) -> str:
        text = os.pread(self._descriptor, 500, 0).decode("utf-8", "replace")
        return text.strip() or "somebody"

    def say(self, text: str) -> None:
        """Tell those who look how far it is."""
        if self._descriptor >= 0:
            line = f"{self._who}{': ' if text else ''}{text}\n".encode()
            os.pwrite(self._descriptor, line, 0)
            os.ftruncate(self._descriptor, len(line))


class Host:
    """A host's files and commands."""

    def __init__(
        self, root: str = "/", run_command: RunCommand | None = None, start_command: StartCommand | None = None
    ) -> None:
        self._root = root.rstrip("/")
        self._run_command = run_command
        self._start_command = start_command
        self._locks: list[int] = []
        self._helpers: dict[Work, Helper] = {}

    def _real(self, path: str) -> str:
        return self._root + path if self._root else path

    # --- looking

    def exists(self, path: str) -> bool:
        return os.path.exists(self._real(path))

    def is_link(self, path: str) -> bool:
        return os.path.islink(self._real(path))

    def writable(self, path: str) -> bool:
        """Whether this process may write the file (True also where only writing would tell)."""
        return os.access(self._real(path), os.W_OK)

    def has_command(self, name: str) -> bool:
        """Whether a command is installed, and can be run, where an administrator's path leads."""
        return any(os.access(self._real(f"{place}/{name}"), os.X_OK) for place in COMMAND_PLACES)

    def is_root(self) -> bool:
        return os.geteuid() == 0

    def read(self, path: str) -> str:
        """The whole text. Raises HostError."""
        return self.read_bytes(path).decode("utf-8", "surrogateescape")

    def read_bytes(self, path: str) -> bytes:
        try:
            handle = os.open(self._real(path), os.O_RDONLY | os.O_CLOEXEC)
            try:
                return _read_all(handle, path.startswith(ATTRIBUTES))
            finally:
                os.close(handle)
        except OSError as exc:
            raise HostError("read", path, exc.errno or 0) from exc

    def read_at(self, path: str, offset: int, size: int) -> bytes:
        """Part of a file or block device, shorter at its end. Raises HostError."""
        try:
            with open(self._real(path), "rb", buffering=0) as handle:
                handle.seek(offset)
                return handle.read(size)
        except OSError as exc:
            raise HostError("read", path, exc.errno or 0) from exc

    def get(self, path: str, default: str = "") -> str:
        """The text without surrounding blanks, or the default when it cannot be read (as some of an offline DASD)."""
        try:
            return self.read(path).strip()
        except HostError:
            return default

    def names(self, path: str) -> list[str]:
        """What a directory holds, sorted; nothing when there is no such directory."""
        try:
            return sorted(os.listdir(self._real(path)))
        except OSError:
            return []

    def link(self, path: str) -> str:
        """Where a symbolic link points, as stored; "" when there is none."""
        try:
            return os.readlink(self._real(path))
        except OSError:
            return ""

    def link_name(self, path: str) -> str:
        """The last component of where a link points ("" when there is none): a driver's name, a group's number."""
        return os.path.basename(self.link(path))

    def resolve(self, path: str) -> str:
        """The path with all links followed, as seen below the root."""
        real = os.path.realpath(self._real(path))
        root = os.path.realpath(self._root) if self._root else ""
        return real[len(root) :] if root and real.startswith(root + "/") else real

    def device_number(self, path: str) -> str:
        """``major:minor`` of a block device node behind the path (links followed), "" when it is none."""
        try:
            status = os.stat(self._real(path))
        except OSError:
            return ""
        if not stat.S_ISBLK(status.st_mode):
            return ""
        return f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"

    def try_open(self, path: str) -> int:
        """Open a file for reading and close it again: 0, or the errno."""
        try:
            os.close(os.open(self._real(path), os.O_RDONLY | os.O_CLOEXEC))
        except OSError as exc:
            return exc.errno or errno.EIO
        return 0

    # --- changing

    def write(self, path: str, value: str) -> None:
        """Write to a kernel attribute: one write, no creation. Raises HostError with the kernel's errno."""
        try:
            _write(self._real(path), value)
        except OSError as exc:
            raise HostError("write", path, exc.errno or 0, value) from exc

    def write_bounded(self, path: str, value: str, timeout: float = REMOVE_TIMEOUT) -> None:
        """Like write, for an attribute whose store may block. Raises StillBlocked when it does."""
        self._bounded(self._write_line, f"{self._real(path)}\0{value}", ("write", path, value), timeout)

    def ask_bounded(self, work: Work, path: str, timeout: float) -> str:
        """What ``work`` makes of a file whose reading may block. Raises HostError; StillBlocked when it does."""
        return self._bounded(work, self._real(path), ("read", path, None), timeout)

    def _bounded(self, work: Work, request: str, what: tuple[str, str, str | None], timeout: float) -> str:
        """Have a child of its own do the work."""
        operation, path, value = what
        if work not in self._helpers:
            others = [pipe for helper in self._helpers.values() for pipe in helper.descriptors]
            self._helpers[work] = Helper(work, self._locks + others)
        try:
            return self._helpers[work].do(request, timeout)
        except Lost as exc:
            self._helpers.pop(work).close()
            if isinstance(exc, Blocked):
                text = f"not finished after {timeout:g} s"
                raise StillBlocked(operation, path, errno.EBUSY, value, text) from None
            gone = f"the process that was to {operation} is gone"
            raise HostError(operation, path, errno.EIO, value, gone) from None
        except OSError as exc:
            raise HostError(operation, path, exc.errno or 0, value) from None

    @staticmethod
    def _write_line(line: str) -> str:
        path, value = line.split("\0")
        _write(path, value)
        return ""

    @contextlib.contextmanager
    def locked(self, path: str, timeout: float, who: str) -> Iterator[Lock]:
        """Be the only process that holds this lock file. Raises HostError, naming the holder, when it is not free.

        It ends with the process. The file says who has it, for those who wait: it is overwritten, never removed.
        """
        real = self._real(path)
        try:
            os.makedirs(os.path.dirname(real), mode=0o755, exist_ok=True)
            descriptor = os.open(real, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise HostError("open", path, exc.errno or 0) from exc
        self._locks.append(descriptor)
        try:
            lock = Lock(who, descriptor)
            if not _try_lock(descriptor):
                lock.waited_for = lock.holder()
                if not self.wait_for(lambda: _try_lock(descriptor), timeout):
                    text = f"waited {timeout:g} s for {lock.holder()}; let it finish, then run this again"
                    raise HostError("lock", path, errno.EAGAIN, text=text)
            lock.say("")
            yield lock
        finally:
            self._locks.remove(descriptor)
            os.close(descriptor)

    def save(self, path: str, text: str, mode: int = 0o644) -> None:
        """Replace an ordinary file atomically, making its directory. Raises HostError."""
        real = self._real(path)
        try:
            os.makedirs(os.path.dirname(real), mode=0o755, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=os.path.dirname(real), prefix=TEMPORARY)
            try:
                with os.fdopen(handle, "wb") as target:
                    target.write(text.encode("utf-8", "surrogateescape"))
                    target.flush()
                    os.fsync(target.fileno())
                os.chmod(temporary, mode)
                os.rename(temporary, real)
            except OSError:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
                raise
        except OSError as exc:
            raise HostError("save", path, exc.errno or 0) from exc

    def make_directory(self, path: str) -> None:
        """Make a directory, and those above it, unless it is there. Raises HostError."""
        try:
            os.makedirs(self._real(path), mode=0o755, exist_ok=True)
        except OSError as exc:
            raise HostError("make directory", path, exc.errno or 0) from exc

    def sweep(self, directory: str) -> None:
        """Remove what a save left behind whose process was killed. Only where nobody else saves. Raises HostError."""
        for name in self.names(directory):
            if name.startswith(TEMPORARY):
                self.unlink(f"{directory}/{name}")

    def mode(self, path: str) -> int:
        """The permission bits, 0 when there is no such file."""
        try:
            return stat.S_IMODE(os.stat(self._real(path)).st_mode)
        except OSError:
            return 0

    def size(self, path: str) -> int:
        """In bytes, 0 when there is no such file."""
        try:
            return os.stat(self._real(path)).st_size
        except OSError:
            return 0

    def unlink(self, path: str) -> None:
        try:
            os.unlink(self._real(path))
        except FileNotFoundError:
            return
        except OSError as exc:
            raise HostError("remove", path, exc.errno or 0) from exc

    def kill(self, pid: int, number: int) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        except OSError as exc:
            raise HostError(f"send signal {number} to", f"/proc/{pid}", exc.errno or 0) from exc

    def connect(self, path: str, timeout: float) -> socket.socket:
        """A connection to a unix socket. Raises HostError."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(timeout)
        try:
            connection.connect(self._real(path))
        except OSError as exc:
            connection.close()
            raise HostError("connect to", path, exc.errno or 0) from exc
        return connection

    def run(self, argv: list[str], data: str = "") -> tuple[int, str, str]:
        """Run a command: return code, standard output, standard error. ``data``: what it reads on standard input."""
        if self._run_command is None:
            raise HostError("run", argv[0], errno.ENOEXEC, text="no way to run commands was given")
        return self._run_command(argv, data)

    def start(self, argv: list[str]) -> Ended:
        """Start a command that others may run beside; where that is not possible, it has ended already."""
        if self._start_command is not None:
            return self._start_command(argv)
        result = self.run(argv)
        return lambda: result

    def wait_for(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Poll a condition for which the kernel offers nothing to wait on. False when it did not come true in time."""
        end = time.monotonic() + timeout
        pause = 0.005
        while not condition():
            if time.monotonic() >= end:
                return False
            time.sleep(pause)
            pause = min(pause * 2, 0.25)
        return True
