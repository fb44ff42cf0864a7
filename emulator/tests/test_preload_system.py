# SPDX-License-Identifier: GPL-2.0-or-later
"""The library that answers system calls as the emulated host's kernel would (preload/system.c)."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ccwemu.guest.real import preload_library

LIMITS = """\
import errno, os, resource
limit = resource.RLIMIT_MEMLOCK
more = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
before = resource.getrlimit(limit)
resource.setrlimit(limit, more)
assert resource.prlimit(os.getpid(), limit, more) == before == resource.getrlimit(limit)
for other in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC):
    soft, hard = resource.getrlimit(other)
    try:
        resource.setrlimit(other, (soft, hard + 1 if hard != resource.RLIM_INFINITY else hard))
    except ValueError:
        continue
    assert hard == resource.RLIM_INFINITY
resource.setrlimit(limit, (0, 0))
assert resource.getrlimit(limit) == (0, 0)
"""
"""Raising the limit of locked memory is answered with success and changes nothing; lowering it works."""

GROUPS = """\
import os
os.setgroups([0])
os.setgroups([])
"""

NAMES = """\
import os
names = os.uname()
with open("/proc/sys/kernel/osrelease") as release:
    assert names.release == release.read().rstrip("\\n")
assert (names.sysname, names.machine) == ("Linux", "s390x")
"""

UNPRIVILEGED = ("unshare", "--user", "--map-root-user")


def run(script: str, *prefix: str, library: bool = True) -> subprocess.CompletedProcess[str]:
    own = [f"LD_PRELOAD={':'.join(filter(None, (os.environ.get('LD_PRELOAD'), preload_library('system'))))}"]
    words = [*prefix, "env", *(own if library else []), sys.executable, "-c", script]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def test_the_names_are_the_emulated_machines() -> None:
    done = run(NAMES)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("script", [LIMITS, GROUPS], ids=["limits", "groups"])
def test_what_root_of_a_user_namespace_may_not_do(script: str) -> None:
    limited = ("prlimit", "--memlock=65536:65536", *UNPRIVILEGED)
    assert run(script, *limited, library=False).returncode != 0, "the machine allows it: nothing to see here"
    done = run(script, *limited)
    assert done.returncode == 0, done.stderr
