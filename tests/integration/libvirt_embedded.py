# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's own libvirt without a daemon: its QEMU driver inside of virsh (qemu:///embed), with a root of its own.

Nothing of the machine's libvirt is touched. What it makes of a definition, and the command line that it would give
QEMU, are the real ones. It has no node devices: those need a daemon.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._host import Host
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._virsh import Virsh

NEEDED = {"virsh": "libvirt-clients", "virt-xml-validate": "libvirt-clients", "xmllint": "libxml2-utils",
          "libvirtd": "libvirt-daemon", "qemu-system-s390x": "qemu-system-misc"}  # fmt: skip
NOBODY = 65534

# The QEMU driver of root wants a user that only a daemon's package makes, so virsh runs as an ordinary user. It would
# ask every QEMU in PATH what it can do. Standard input is handed on by a pipe of that user's, which he may open.
WRAPPER = """\
#!/bin/sh
export HOME={home} XDG_RUNTIME_DIR={home}/run LC_ALL=C
run="{user} env PATH={home}/emulators"
case "$*" in
  *" /dev/stdin") exec {user} sh -c 'cat | PATH={home}/emulators /usr/bin/virsh "$@"' virsh "$@" ;;
  *) exec $run /usr/bin/virsh "$@" ;;
esac
"""


def missing() -> str:
    """The Debian packages that would have to be installed, "" for none."""
    path = os.environ.get("PATH", "") + ":/usr/sbin"
    return " ".join(sorted({package for name, package in NEEDED.items() if not shutil.which(name, path=path)}))


@dataclass(frozen=True)
class Embedded:
    home: Path

    @property
    def uri(self) -> str:
        return f"qemu:///embed?root={self.home}/root"

    @property
    def path(self) -> str:
        """For PATH: the virsh that runs as it should comes first."""
        return f"{self.home}/bin:{os.environ['PATH']}"

    @property
    def host(self) -> Host:
        """The machine itself, virsh aside."""

        def run(argv: list[str], data: str) -> tuple[int, str, str]:
            done = subprocess.run(
                argv, input=data, env={**os.environ, "PATH": self.path}, capture_output=True, text=True, check=False
            )
            return done.returncode, done.stdout, done.stderr

        return Host(run_command=run)

    @property
    def virsh(self) -> Virsh:
        return Virsh(self.host, self.uri)

    def valid(self, xml: str) -> str:
        """What virt-xml-validate says against it, "" for nothing."""
        document = self.home / "document.xml"
        document.write_text(xml, encoding="utf-8")
        done = subprocess.run(
            ["virt-xml-validate", str(document)], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        return "" if done.returncode == 0 else done.stdout + done.stderr


@contextmanager
def embedded() -> Iterator[Embedded]:
    home = Path(tempfile.mkdtemp(prefix="libvirt-"))
    user = f"setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups" if os.getuid() == 0 else ""
    try:
        for name in ("bin", "emulators", "run", "root"):
            (home / name).mkdir()
        (home / "emulators/qemu-system-s390x").symlink_to("/usr/bin/qemu-system-s390x")
        for name in ("sh", "cat"):
            (home / "emulators" / name).symlink_to(f"/bin/{name}")
        (home / "bin/virsh").write_text(WRAPPER.format(home=home, user=user), encoding="utf-8")
        (home / "bin/virsh").chmod(0o755)
        if user:
            subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", str(home)], check=True)
        yield Embedded(home)
    finally:
        shutil.rmtree(home, ignore_errors=True)
