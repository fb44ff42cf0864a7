# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a DASD to where it holds a file system: low-level format, one partition, mkfs. Only with consent.

Nothing is done to a disk that is as wanted already, and each step is read back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .._busid import BusId
from .._host import Host, HostError
from .._sysfs import CCW_DEVICES
from ..host._blocks import Blocks
from ..host._buses import observe_ccw
from ._ccw import CcwError
from ._dasd import Content, as_result, observe_content, read_content

BLOCK_SIZE = 4096
PARTITION_TIMEOUT = 30.0
"""Seconds until the kernel shows a partition that was made."""
PACKAGES = {
    "dasdfmt": "s390-tools (on Fedora and its relatives s390utils-core)",
    "fdasd": "s390-tools (on Fedora and its relatives s390utils-core)",
    "mkfs.ext4": "e2fsprogs",
    "mkfs.xfs": "xfsprogs",
    "mkfs.btrfs": "btrfs-progs",
}
MKFS = {
    "ext4": ("mkfs.ext4", "-q", "-F"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
    "btrfs": ("mkfs.btrfs", "-q", "-f"),
}
"""With consent what is there may be overwritten, without a question."""
LABEL_LIMITS = {"ext4": 16, "xfs": 12, "btrfs": 255}
"""Bytes of a label: mke2fs(8), mkfs.xfs(8), mkfs.btrfs(8)."""
FORMAT, PARTITION, FILESYSTEM = "format", "partition", "file-system"


@dataclass(frozen=True)
class FormatRequest:
    """``filesystem`` "" for none. ``destroy``: what is on the disk may be lost."""

    device: BusId
    filesystem: str = ""
    label: str = ""
    destroy: bool = False


def plan_format(content: Content, request: FormatRequest) -> list[str]:
    """The kinds of steps that are needed, in order."""
    partitions = content.disk.partitions
    steps = []
    if not content.formatted or content.layout != "CDL" or content.on(content.disk.path) is not None:
        steps = [FORMAT, PARTITION]
    elif not partitions:
        steps = [PARTITION]
    there = content.on(partitions[0].path) if partitions and not steps else None
    if request.filesystem and (there is None or there.type != request.filesystem):
        steps.append(FILESYSTEM)
    return steps


def converge_format(host: Host, request: FormatRequest, check_mode: bool) -> dict[str, Any]:
    """The module's result. Raises CcwError, HostError."""
    _check_label(request)
    content = observe_content(host, request.device)
    steps = plan_format(content, request)
    actions = [_action(content, request, step) for step in steps]
    if steps:
        _unused(content)
        _consent(content, request, actions)
        _writable(host, content)
        _need_commands(host, request, steps)
    before = f"{request.device}: {content}\n"
    done: list[dict[str, str]] = []
    if not check_mode:
        for step, action in zip(steps, actions):
            content = _do(host, content, request, step, done)
            done.append(action)
    after = f"{request.device}: {content}\n" if not check_mode else _after(request, before, actions)
    return {
        "changed": bool(steps),
        "actions": actions,
        "diff": {"before": before, "after": after},
        **as_result(host, content),
    }


def _check_label(request: FormatRequest) -> None:
    """What mkfs would cut off or refuse is said before the disk is formatted. Raises CcwError."""
    limit = LABEL_LIMITS.get(request.filesystem)
    if limit is None:
        return
    if len(request.label.encode()) > limit or any(ord(sign) < 32 for sign in request.label):
        raise CcwError(
            "malformed",
            f"{request.device}: label {request.label!r}: expected at most {limit} bytes for {request.filesystem}, "
            "without control characters. Nothing was changed.",
        )


def _unused(content: Content) -> None:
    if content.uses:
        uses = "; ".join(content.uses)
        raise CcwError(
            "in-use",
            f"{content.device}: the disk is in use: {uses}. End that use first. Nothing was changed.",
        )


def _writable(host: Host, content: Content) -> None:
    if host.get(f"/sys/block/{content.disk.name}/ro") == "1":
        raise CcwError(
            "read-only",
            f"{content.device} ({content.disk.path}): the disk is read-only. See its attribute readonly "
            f"({CCW_DEVICES}/{content.device}/readonly), and whether the host has it read-only. Nothing was changed.",
        )


def _after(request: FormatRequest, before: str, actions: list[dict[str, str]]) -> str:
    if not actions:
        return before
    return f"{request.device}: formatted (CDL), one partition, {request.filesystem or 'no file system'}\n"


def _consent(content: Content, request: FormatRequest, actions: list[dict[str, str]]) -> None:
    if request.destroy:
        return
    would = ", ".join(action["description"] for action in actions)
    raise CcwError(
        "no-consent",
        f"{request.device} ({content.disk.path}): left as it is, since nothing says that its data may be destroyed: "
        f"{content}. What was asked for would {would}. destroy_data: true for this device consents (role "
        f"guest_device: {request.device} in guest_device_destroy_data). Nothing was changed.",
    )


def _need_commands(host: Host, request: FormatRequest, steps: list[str]) -> None:
    for step in steps:
        command = _command(request, step, "")[0]
        if not host.has_command(command):
            raise CcwError(
                "missing-program",
                f"{request.device}: {command} is not installed, which is needed. Install the package "
                f"{PACKAGES[command]}. Nothing was changed.",
            )


def _command(request: FormatRequest, step: str, path: str) -> list[str]:
    if step == FORMAT:
        return ["dasdfmt", "-b", str(BLOCK_SIZE), "-d", "cdl", "-y", path]
    if step == PARTITION:
        return ["fdasd", "-a", path]
    label = ["-L", request.label] if request.label else []
    return [*MKFS[request.filesystem], *label, path]


def _action(content: Content, request: FormatRequest, step: str) -> dict[str, str]:
    disk = content.disk.path
    texts = {
        FORMAT: f"format {disk} with blocks of {BLOCK_SIZE} bytes (all of its data is lost)",
        PARTITION: f"make one partition of all of {disk}",
        FILESYSTEM: f"make the file system {request.filesystem} on the first partition of {disk}",
    }
    value = request.filesystem if step == FILESYSTEM else ""
    return {"device": str(request.device), "step": step, "description": texts[step], "path": disk, "value": value}


def _do(host: Host, content: Content, request: FormatRequest, step: str, done: list[dict[str, str]]) -> Content:
    """One step, and what is on the disk then. Raises CcwError."""
    device, disk = request.device, content.disk
    path = disk.partitions[0].path if step == FILESYSTEM else disk.path
    argv = _command(request, step, path)
    before = f"done before: {', '.join(one['step'] for one in done)}" if done else "nothing was done before it"
    _settle(host)
    _still_it(host, content, f"{argv[0]} was not run; {before}", done)
    code, out, err = host.run(argv)
    said = " ".join((err or out).split())[-500:]
    _settle(host)
    if code == 0 and step == PARTITION:
        host.wait_for(lambda: bool(Blocks(host).disk(disk.name).partitions), PARTITION_TIMEOUT)
    try:
        now = read_content(host, device, Blocks(host).disk(disk.name))
        seen, good = f"Now {now}", code == 0 and _as_wanted(now, request, step)
    except (CcwError, HostError) as exc:
        seen, good = f"What is on it now cannot be read: {exc}", False
    if not good:
        raise CcwError(
            "format-failed",
            f"{device}: '{' '.join(argv)}' ended with {code}{f' and said: {said}' if said else ''}. {seen}; "
            f"{before}. When what kept it is mended, run this again: it goes on from there.",
            done,
        )
    return now


def _still_it(host: Host, content: Content, told: str, done: list[dict[str, str]]) -> None:
    """Names such as /dev/dasda go to another disk when this one goes away in between. Raises CcwError."""
    now = observe_ccw(host, content.device, Blocks(host), None)
    if [one.name for one in now.block] == [content.disk.name] and now.availability == "good":
        return
    where = ", ".join(one.path for one in now.block) or "offline or gone"
    raise CcwError(
        "gone",
        f"{content.device}: it was {content.disk.path} a moment ago and is {where} now (availability: "
        f"{now.availability}), so {told}. See dmesg, set it online again (zkvm.vfio_ccw.ccw_device), and run this "
        "again.",
        done,
    )


def _as_wanted(now: Content, request: FormatRequest, step: str) -> bool:
    if step == FORMAT:
        return now.formatted and now.layout == "CDL" and now.block_size == BLOCK_SIZE
    if step == PARTITION:
        return len(now.disk.partitions) == 1
    there = now.on(now.disk.partitions[0].path) if now.disk.partitions else None
    return there is not None and there.type == request.filesystem and there.label == (request.label or there.label)


def _settle(host: Host) -> None:
    """udev looks at a disk that changed, and whoever changes it next wants it for itself."""
    try:
        host.run(["udevadm", "settle", "--timeout=60"])
    except HostError:
        return  # a system without udev has nobody to wait for
