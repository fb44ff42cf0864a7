# SPDX-License-Identifier: GPL-2.0-or-later
"""Main storage before and after a run: low core, the guest's code, the job table, the programs with their data.

Hercules loads it and runs guest.S; driver.c reads it and does what guest.S does, with this project's core.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

from .jobs import FIRST_SLOT, JOB_SIZE, Job
from .programs import SLOT_SIZE

DEVICE_NUMBER = 0x0A80
JOB_TABLE, CODE, ERROR = 0x3000, 0x1000, 0x2F00
HERE = Path(__file__).parent
ERRORS = {1: "no subchannel", 2: "MODIFY SUBCHANNEL", 3: "START SUBCHANNEL", 4: "TEST SUBCHANNEL", 5: "status"}


def size(jobs: list[Job]) -> int:
    return FIRST_SLOT + len(jobs) * SLOT_SIZE


def guest_code(work: Path) -> tuple[bytes, int]:
    """The assembled guest and the address of its I/O interruption handler; guest.hex where there is no assembler."""
    if shutil.which("s390x-linux-gnu-as") is None:
        lines = (HERE / "guest.hex").read_text(encoding="ascii").splitlines()
        return bytes.fromhex("".join(lines[2:])), int(lines[1], 16)

    def tool(name: str, *arguments: str) -> str:
        done = subprocess.run(
            [f"s390x-linux-gnu-{name}", *arguments], check=True, cwd=work, text=True, stdout=subprocess.PIPE
        )
        return done.stdout

    tool("as", "-m31", "-march=g5", "-o", "guest.o", str(HERE / "guest.S"))
    tool("ld", "-m", "elf_s390", f"-Ttext={CODE:#x}", "-e", "_start", "-o", "guest.elf", "guest.o")
    tool("objcopy", "-O", "binary", "-j", ".text", "guest.elf", "guest.text")
    symbols = {line.split()[2]: int(line.split()[0], 16) for line in tool("nm", "guest.elf").splitlines()}
    return (work / "guest.text").read_bytes(), symbols["io_int"]


def build(jobs: list[Job], nop_residual: int, work: Path) -> bytes:
    """Storage with everything in it."""
    code, interruption = guest_code(work)
    storage = bytearray(size(jobs))

    def words(at: int, *values: int) -> None:
        storage[at : at + 4 * len(values)] = struct.pack(f">{len(values)}I", *values)

    def psw(at: int, mask: int, address: int) -> None:
        words(at, mask, 0x80000000 | address)

    psw(0x00, 0x00080000, CODE)
    for number, at in enumerate((0x58, 0x60, 0x68, 0x70), 1):
        psw(at, 0x000A0000, 0xE0 + number)
    psw(0x78, 0x00080000, interruption)
    storage[CODE : CODE + len(code)] = code
    words(0x2100, 0xFF000000, 0x00010000, DEVICE_NUMBER << 16)
    psw(0x2110, 0x020A0000, CODE)
    words(0x211C, 0x0000FFFF, 0xFFFF0000, 0xEE000000)
    psw(0x2128, 0x000A0000, 0xD04E)
    psw(0x2130, 0x000A0000, 0xBAD0)
    if JOB_TABLE + JOB_SIZE * (len(jobs) + 1) > 0x10000:
        raise RuntimeError(f"{len(jobs)} jobs: more than the table holds")
    for job in jobs:
        at = JOB_TABLE + JOB_SIZE * job.index
        storage[at : at + JOB_SIZE] = job.entry(nop_residual)
        storage[job.program.base : job.program.base + SLOT_SIZE] = job.program.storage
    return bytes(storage)


def harvest(jobs: list[Job], storage: bytes) -> None:
    """Take each job's times out of the storage. Raises RuntimeError with any error that the engine met."""
    if len(storage) < size(jobs):
        raise RuntimeError(f"{len(storage)} bytes of storage came back, {size(jobs)} were expected")
    code, entry, left = struct.unpack(">III", storage[ERROR : ERROR + 12])
    if code:
        job = jobs[(entry - JOB_TABLE) // JOB_SIZE].workload if entry else "none"
        irb = storage[ERROR + 12 : ERROR + 12 + 32].hex(" ", 4)
        raise GuestError(code, f"{ERRORS.get(code, code)}: job {job}, {left} programs left, IRB {irb}")
    for job in jobs:
        at = JOB_TABLE + JOB_SIZE * job.index
        job.take(storage[at : at + JOB_SIZE])


class GuestError(RuntimeError):
    """A condition code or status that was not expected. ``code`` as in ERRORS."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
