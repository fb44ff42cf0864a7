# SPDX-License-Identifier: GPL-2.0-or-later
"""What runs inside a node: makes its namespaces and mounts, then stays as its process 1.

Two steps, so that what is mounted first is out of reach of the node's root (Linux locks mounts that come from a more
privileged mount namespace: they can be neither unmounted nor made writable):

1. mount namespace (an ordinary user needs a user namespace for it): the read-only binds
2. user, mount, pid, network, uts and ipc namespaces of the node: /proc, /sys, /dev and the node's own mounts

It talks to who started it over a socket: one JSON object per message, descriptors with SCM_RIGHTS.
Source of the rules: Linux fs/namespace.c (locked mounts, mount_too_revealing), fs/fuse/inode.c, user_namespaces(7).
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
import sys
from typing import Any, NoReturn

from ccwemu.namespace import unshare as sys_

NODE_NAMESPACES = sys_.CLONE_NEWNS | sys_.CLONE_NEWPID | sys_.CLONE_NEWNET | sys_.CLONE_NEWUTS | sys_.CLONE_NEWIPC
PROC_DIR = "run/ccwemu/proc"
"""Where the real procfs of the node lies, relative to its root."""

SYS_DIR = "run/ccwemu/sys"
"""Where a sysfs lies that nothing covers."""

_OLD, _NEW, _ON_DISK = "/old", "/new", "/on-disk"
_QUIET = sys_.MS_NOSUID | sys_.MS_NODEV | sys_.MS_NOEXEC
_REAL_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "fuse")


class Link:
    """The init's end of the socket."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def tell(self, message: dict[str, Any], *descriptors: int) -> None:
        socket.send_fds(self.connection, [json.dumps(message).encode()], list(descriptors))

    def ask(self, message: dict[str, Any], *descriptors: int) -> dict[str, Any]:
        """Tell, and wait for the answer. Ends the process where the other side is gone."""
        self.tell(message, *descriptors)
        return self.hear()

    def hear(self) -> dict[str, Any]:
        data = self.connection.recv(1 << 20)
        if not data:
            os._exit(1)
        answer: dict[str, Any] = json.loads(data)
        return answer


def main() -> NoReturn:
    """``init.main`` with the number of the socket's descriptor as the last argument."""
    link = Link(socket.socket(fileno=int(sys.argv[-1])))
    step = "start"
    try:
        spec = link.hear()
        step = "the read-only part of the root file system"
        user_namespace = _first_step(link, spec)
        step = "the node's namespaces"
        _enter_node(link, user_namespace)
        child = os.fork()
        if child:
            link.tell({"pid": child})
            os._exit(0)
        step = "the node's mounts"
        _second_step(link, spec)
        step = "the node's start"
        link.tell({"ready": True})
    except OSError as error:
        link.tell({"error": step, "errno": error.errno, "message": error.strerror, "what": error.filename})
        os._exit(1)
    _reap_until_told(link)


# -- step 1 -----------------------------------------------------------------------------------------------------------


def _first_step(link: Link, spec: dict[str, Any]) -> int | None:
    """Own mount namespace and the binds. Returns the node's user namespace where it had to exist before."""
    user_namespace = _user_namespace_of_range(link) if spec["id_count"] > 1 else None
    try:
        sys_.unshare(sys_.CLONE_NEWNS)
    except PermissionError:
        own = sys_.IdMap(os.geteuid(), 1)
        gid = os.getegid()
        sys_.unshare(sys_.CLONE_NEWUSER | sys_.CLONE_NEWNS)
        _map_self(own.outside, gid, "/proc")
    sys_.mount("none", "/", None, sys_.MS_REC | sys_.MS_PRIVATE)
    sys_.mount("ccwemu", "/tmp", "tmpfs", _QUIET, "size=1m,mode=755")
    for directory in ("/tmp" + _OLD, "/tmp" + _NEW, "/tmp" + _ON_DISK):
        os.mkdir(directory)
    sys_.pivot_root("/tmp", "/tmp" + _OLD)
    os.chdir("/")
    sys_.bind(_OLD + spec["root"], _NEW, read_only=False)
    shown_as = user_namespace if spec["shifted"] else None
    for entry in spec["binds"]:
        target, read_only = _NEW + entry["target"], entry.get("read_only", True)
        if "links" in entry:
            _make_links(target, entry, spec["owner"])
        else:
            sys_.bind(
                _OLD + entry["source"], target, read_only=read_only, user_namespace=shown_as if read_only else None
            )
    return user_namespace


def _make_links(target: str, entry: dict[str, Any], owner: int) -> None:
    """In memory: hundreds of links take a second on a busy disk."""
    options = f"size=4m,mode=755,uid={owner},gid={owner}"
    sys_.mount("ccwemu", target, "tmpfs", sys_.MS_NOSUID | sys_.MS_NODEV, options)
    for name in entry["directories"]:
        os.mkdir(os.path.join(target, name))
        os.chown(os.path.join(target, name), owner, owner)
    for name, text in entry["links"].items():
        path = os.path.join(target, name)
        os.symlink(text, path)
        os.lchown(path, owner, owner)
    flags = sys_.MS_REMOUNT | sys_.MS_BIND | sys_.MS_RDONLY | sys_.MS_NOSUID | sys_.MS_NODEV
    sys_.mount("ccwemu", target, None, flags)


def _map_self(uid: int, gid: int, proc: str) -> None:
    """Map one id. Python's library may be out of reach here: nothing may be imported, not even a codec."""
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1\n"), ("gid_map", f"0 {gid} 1\n")):
        sys_.write_file(f"{proc}/self/{name}", text)


def _user_namespace_of_range(link: Link) -> int:
    """A user namespace with a range of ids: only who has the ids outside may write its maps."""
    made, tell_made = os.pipe()
    helper = os.fork()
    if helper == 0:
        try:
            sys_.unshare(sys_.CLONE_NEWUSER)
            os.write(tell_made, b"+")
        except OSError as error:
            os.write(tell_made, str(error.errno).encode())
        signal.pause()
    os.close(tell_made)
    answer = os.read(made, 16)
    os.close(made)
    try:
        if answer != b"+":
            number = int(answer or errno.EIO)
            raise OSError(number, os.strerror(number), "unshare user namespace")
        reply = link.ask({"map": helper})
        if "errno" in reply:
            raise OSError(reply["errno"], os.strerror(reply["errno"]), "uid_map")
        return os.open(f"/proc/{helper}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.kill(helper, signal.SIGKILL)
        os.waitpid(helper, 0)


# -- step 2 -----------------------------------------------------------------------------------------------------------


def _enter_node(link: Link, user_namespace: int | None) -> None:
    if user_namespace is None:
        uid, gid = os.geteuid(), os.getegid()
        sys_.unshare(sys_.CLONE_NEWUSER | NODE_NAMESPACES)
        _map_self(uid, gid, _OLD + "/proc")
    else:
        sys_.setns(user_namespace, sys_.CLONE_NEWUSER)
        sys_.unshare(NODE_NAMESPACES)
        os.close(user_namespace)


def _second_step(link: Link, spec: dict[str, Any]) -> None:
    if spec["id_count"] > 1:
        os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    os.setsid()
    os.umask(0o022)
    mounts = [entry for entry in spec["mounts"] if entry["target"] != "/"]
    os.chdir(_mount_root(next((entry for entry in spec["mounts"] if entry["target"] == "/"), None)))
    sys_.mount("proc", PROC_DIR, "proc", _QUIET)
    _mount_sysfs()
    for face in spec["faces"]:
        _mount_face(link, face)
    if "dev" in spec["faces"]:
        _fill_dev()
    sys_.pivot_root(".", ".")
    sys_.umount(".", sys_.MNT_DETACH)
    os.chdir("/")
    socket.sethostname(spec["hostname"])
    sys_.loopback_up()
    if spec["uevents"]:
        _hand_out_uevents(link)
    for entry in mounts:
        _mount_extra(entry)
    sys_.set_process_name("init")
    sys_.set_dumpable()


def _mount_root(entry: dict[str, Any] | None) -> str:
    """Where the root file system is: the lab's directory or, of a node that has its root on a disk (``entry``), a
    file system with that disk as its source, on which all that the directory holds is bound.
    """
    if entry is None:
        # A copy of a locked mount may be moved; what is mounted in it stays locked.
        sys_.mount(_NEW, _NEW, None, sys_.MS_BIND | sys_.MS_REC)
        return _NEW
    sys_.mount(entry["source"], _ON_DISK, entry["fstype"], sys_.MS_NOSUID, entry.get("options"))
    for name in os.listdir(_NEW):
        source, target = os.path.join(_NEW, name), os.path.join(_ON_DISK, name)
        if os.path.islink(source):
            os.symlink(os.readlink(source), target)
        elif os.path.isdir(source):
            os.mkdir(target)
            sys_.mount(source, target, None, sys_.MS_BIND | sys_.MS_REC)
    _write_files(_ON_DISK, entry)
    return _ON_DISK


def _mount_sysfs() -> None:
    """A sysfs line must be in /proc/mounts: chccwdev looks for it, in the first one. The face lies over it.

    A second one stays uncovered at a hidden place: without it a guest inside could mount none (mount_too_revealing).
    """
    try:
        sys_.mount("sysfs", "sys", "sysfs", _QUIET | sys_.MS_RDONLY)
        sys_.mount("sysfs", SYS_DIR, "sysfs", _QUIET | sys_.MS_RDONLY)
    except PermissionError:  # where part of the machine's own /sys is covered, as in a container
        sys_.mount(_OLD + "/sys", "sys", None, sys_.MS_BIND | sys_.MS_REC)


def _mount_face(link: Link, face: str) -> None:
    fuse = os.open(_OLD + "/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={fuse},rootmode=40755,user_id=0,group_id=0,default_permissions,allow_other"
    sys_.mount("ccwemu", face, "fuse", sys_.MS_NOSUID | sys_.MS_NODEV, options)
    descriptors = [fuse]
    if face == "proc":
        descriptors.append(os.open(PROC_DIR, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    link.ask({"face": face}, *descriptors)
    for descriptor in descriptors:
        os.close(descriptor)


def _fill_dev() -> None:
    """Real nodes, which a user namespace cannot make, bound from the machine's /dev over the face's files."""
    for name in _REAL_DEVICES:
        if os.path.exists(f"{_OLD}/dev/{name}"):
            sys_.mount(f"{_OLD}/dev/{name}", f"dev/{name}", None, sys_.MS_BIND)
    sys_.mount("devpts", "dev/pts", "devpts", sys_.MS_NOSUID | sys_.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620")
    sys_.mount("tmpfs", "dev/shm", "tmpfs", sys_.MS_NOSUID | sys_.MS_NODEV, "mode=1777")


def _hand_out_uevents(link: Link) -> None:
    """A socket of this network namespace by which its processes are told of uevents."""
    kobject_uevent = 15  # linux/netlink.h
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, kobject_uevent) as uevents:
        link.tell({"uevents": True}, uevents.fileno())


def _mount_extra(entry: dict[str, Any]) -> None:
    os.makedirs(entry["target"], exist_ok=True)
    sys_.mount(entry["source"], entry["target"], entry["fstype"], sys_.MS_NOSUID, entry.get("options"))
    _write_files(entry["target"], entry)


def _write_files(directory: str, entry: dict[str, Any]) -> None:
    for name, text in entry.get("files", {}).items():
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            file.write(text)


# -- process 1 --------------------------------------------------------------------------------------------------------


def _reap_until_told(link: Link) -> NoReturn:
    """Wait for orphans for ever and start what the other side asks for; end, and with it everything in the node, when
    that goes.
    """
    programs: dict[int, int] = {}
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    poll = select.poll()
    poll.register(link.connection, select.POLLIN)
    poll.register(woken, select.POLLIN)
    while True:
        for descriptor, _event in poll.poll():
            if descriptor == woken:
                os.read(woken, 4096)
            else:
                _serve(link, programs)
        _reap(link, programs)


def _serve(link: Link, programs: dict[int, int]) -> None:
    """A request of the other side. ``programs``: the pids of those that it had started, with the number of each."""
    data, descriptors, _flags, _address = socket.recv_fds(link.connection, 1 << 20, 1)
    if not data:
        os._exit(0)
    message = json.loads(data)
    if "run" in message:
        try:
            programs[_start(message, descriptors[0])] = message["run"]
        except OSError as error:
            link.tell({"ended": message["run"], "errno": error.errno})
    for pid, number in list(programs.items()):
        if message.get("kill") == number:
            os.killpg(pid, signal.SIGKILL)
    for descriptor in descriptors:
        os.close(descriptor)


def _start(message: dict[str, Any], output: int) -> int:
    """A program of its own process group, its standard output and error on a descriptor. Returns its pid."""
    argv = message["argv"]
    files = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, output, 1),
        (os.POSIX_SPAWN_DUP2, output, 2),
    ]
    defaults = [signal.SIGPIPE, signal.SIGXFSZ]  # which Python ignores
    return os.posix_spawn(argv[0], argv, message["env"], file_actions=files, setpgroup=0, setsigdef=defaults)


def _reap(link: Link, programs: dict[int, int]) -> None:
    try:
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            number = programs.pop(ended[0], None)
            if number is not None:
                link.tell({"ended": number, "status": os.waitstatus_to_exitcode(ended[1])})
    except (ChildProcessError, BrokenPipeError):
        pass
