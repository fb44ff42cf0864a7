# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules share: the host they run on, and how every error ends a module."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ._busid import BadName
from ._errors import error_id
from ._host import Ended, Host, HostError
from .disk._ccw import CcwError
from .disk._zdev import ZdevError
from .engine._apply import StepFailed
from .engine._engine import NotAsWanted
from .engine._kernel_support import KernelError, report
from .engine._report import steps_as_actions
from .host._journal import JournalError
from .info._doctor import DoctorError
from .info._export import ExportError
from .libvirt._virsh import LibvirtError
from .qemu._guest import GuestError
from .refusals._table import Refused

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

ENVIRONMENT = {"LC_ALL": "C"}
"""Of every command: their messages are read."""
ERRORS = (ExportError, HostError, JournalError, BadName, DoctorError, GuestError, LibvirtError, ZdevError)
"""Those of which a module returns nothing but text and identifier."""


def host_of(module: AnsibleModule) -> Host:
    """The host that a module runs on."""

    def found(argv: list[str]) -> list[str]:
        command = argv[0] if os.path.isabs(argv[0]) else module.get_bin_path(argv[0])
        if command is None or not os.access(command, os.X_OK):
            raise HostError("run", argv[0], errno.ENOENT)
        return [command] + argv[1:]

    def run_command(argv: list[str], data: str) -> tuple[int, str, str]:
        command = found(argv)
        code, out, err = module.run_command(command, data=data or None, binary_data=True, environ_update=ENVIRONMENT)
        return code, out, err

    def start_command(argv: list[str]) -> Ended:
        # run_command waits for what it runs, and may not be called from a second thread
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            found(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **ENVIRONMENT},
            text=True,
        )
        return lambda: _end_of(process)

    return Host(run_command=run_command, start_command=start_command)


def _end_of(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate()
    return process.returncode, out, err


def run(module: AnsibleModule, work: Callable[[Host], dict[str, Any]]) -> None:
    """Do a module's work and end it with the result, or with the error that came up."""
    try:
        result = work(host_of(module))
    except Refused as exc:
        refusals = [
            {"id": one.id, "device": one.device, "found": one.found, "next_step": one.next_step} for one in exc.refusals
        ]
        module.fail_json(msg=str(exc), error_id=error_id(exc), refusals=refusals, actions=[])
    except StepFailed as exc:
        module.fail_json(
            msg=str(exc),
            error_id=error_id(exc),
            step=exc.step.kind,
            actions=steps_as_actions(exc.done),
            undone=steps_as_actions(exc.undone),
            changed=bool(exc.done or exc.stuck),
        )
    except NotAsWanted as exc:
        done = steps_as_actions(exc.done)
        module.fail_json(msg=str(exc), error_id=error_id(exc), actions=done, changed=bool(exc.done))
    except KernelError as exc:
        module.fail_json(msg=str(exc), error_id=error_id(exc), **(report(exc.support) if exc.support else {}))
    except CcwError as exc:
        done_all_the_same = {"actions": exc.done, "changed": True} if exc.done else {}
        module.fail_json(msg=str(exc), error_id=error_id(exc), **done_all_the_same)
    except ERRORS as exc:
        module.fail_json(msg=str(exc), error_id=error_id(exc))
    for warning in result.pop("warnings_", []):
        module.warn(warning)
    module.exit_json(**result)
