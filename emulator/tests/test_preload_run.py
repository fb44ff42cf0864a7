# SPDX-License-Identifier: GPL-2.0-or-later
"""The preloaded library on a running emulated host: what others on the host see of what it holds.

Starts an emulated host; needs /dev/fuse and user namespaces, and the emulator installed.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lab_rig import Lab, give, running_lab, take

from ccwemu.guest.real import preload_library

pytestmark = pytest.mark.lab

LAB = """\
lab: preload-run
hosts:
  lpar1:
    devices:
      - {virtio: 0.0.0000, subchannel: 0.0.0000, kind: net}
      - {dasd: 0.0.7e52, subchannel: 0.0.16ca, chpids: [41, 42], cylinders: 10}
"""
UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"
SCH = "0.0.16ca"

LOOKS = '''
import errno, fcntl, os, struct, subprocess

def others():
    """The errno with which another program, without the library, meets the group."""
    script = "import os\\ntry: os.open('/dev/vfio/0', os.O_RDONLY); print(0)\\nexcept OSError as e: print(e.errno)"
    environment = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}
    found = int(subprocess.run(["python3", "-c", script], env=environment, capture_output=True).stdout)
    return errno.errorcode.get(found, "opened")

print("before", others())
container = os.open("/dev/vfio/vfio", os.O_RDWR)
group = os.open("/dev/vfio/0", os.O_RDWR)
print("group", others())
fcntl.ioctl(group, 0x3B68, struct.pack("i", container))
fcntl.ioctl(container, 0x3B66, 3)
device = fcntl.ioctl(group, 0x3B6A, bytearray(b"UUID".ljust(64, b"\\0")))
print("device", others())
os.close(group)
print("device-alone", others())
os.close(device)
print("after", others())
'''.replace("UUID", UUID)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with running_lab(tmp_path_factory.mktemp("preload"), LAB) as made:
        yield made


def test_the_group_is_busy_while_it_is_open(lab: Lab) -> None:
    """From its own opening to the last close of it and of its devices, as on a real kernel (vfio_main.c)."""
    lab.output("lpar1", give(SCH, UUID))
    done = lab.command("exec", "lpar1", "--", "env", f"LD_PRELOAD={preload_library()}", "python3", "-c", LOOKS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [
        "before", "opened", "group", "EBUSY", "device", "EBUSY", "device-alone", "EBUSY", "after", "opened",
    ]  # fmt: skip
    lab.output("lpar1", take(SCH, UUID))
