# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module passthrough cannot do from the host: choose devices on the controller, and say how far it is.

A long list stays one run of the module, so that it is checked, locked and undone as a whole. The run is started as
Ansible starts an asynchronous task, and what it writes into its lock file is shown while it works.
"""

from __future__ import annotations

import time
import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import BadName
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.host._journal import LOCK_FILE
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.host._ranges import is_range, parse_range
from ansible_collections.zkvm.vfio_ccw.plugins.plugin_utils._select import SelectError, expand

display = Display()

MODULE = "zkvm.vfio_ccw.passthrough"
INFO = "zkvm.vfio_ccw.css_info"
WATCHED_FROM = 100
"""Devices from which on a run is watched."""
TIME_LIMIT = 24 * 3600
"""Seconds after which Ansible ends the run; it is there so that there is one."""
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 5.0
"""Seconds between two looks at a run; the longer, the longer nothing is seen of it."""
TICKS = 25
TICK = 0.2
"""How often in a look it is seen on the host whether there is something new, and the seconds in between."""
SILENT_POLLS = 12
"""How often a run may be asked for, whose process is gone, before it is given up."""
GONE = "(that process is gone)"


class ActionModule(ActionBase):
    """Runs the module with its selections replaced by devices."""

    _supports_check_mode = True
    _supports_async = True
    _supports_diff = True

    def run(self, tmp: None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        arguments = dict(self._task.args)
        try:
            css = self._css_info(task_vars) if _selections(arguments.get("devices")) else {}
            if css.get("failed"):
                return css
            arguments["devices"] = _expanded(arguments.get("devices"), css)
        except SelectError as exc:
            return {
                "failed": True,
                "changed": False,
                "error_id": "bad-selection",
                "msg": f"Nothing was changed. {exc}.",
            }
        alone = self._task.async_val or self._task.check_mode or _count(arguments["devices"]) < WATCHED_FROM
        if alone:
            result = self._execute_module(
                module_name=MODULE, module_args=arguments, task_vars=task_vars, wrap_async=self._task.async_val
            )
        else:
            result = self._run_watched(arguments, task_vars)
        return t.cast("dict[str, t.Any]", result)

    def _css_info(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        return t.cast("dict[str, t.Any]", self._execute_module(module_name=INFO, module_args={}, task_vars=task_vars))

    def _run_watched(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        said = self._progress()  # what an earlier run left there
        self._task.async_val = TIME_LIMIT
        try:
            started = self._execute_module(
                module_name=MODULE, module_args=arguments, task_vars=task_vars, wrap_async=True
            )
        finally:
            self._task.async_val = 0
        if not started.get("ansible_job_id"):
            return t.cast("dict[str, t.Any]", started)
        job, seen, silent = started["ansible_job_id"], False, 0
        while True:
            time.sleep(min(FIRST_PAUSE * 1.5**silent, LONGEST_PAUSE))
            told = self._progress(wait=seen)
            silent = silent + 1 if told.endswith(GONE) else 0
            if told not in ("", said) and not silent:
                display.display(f"{task_vars.get('inventory_hostname', '')}: {told}")
                said, seen = told, True
                continue  # it goes on, and asking Ansible about the job costs more than a look
            result = self._job(job, "status", task_vars)
            if result.get("finished"):
                break
            if silent == SILENT_POLLS:
                return {"failed": True, "msg": f"The run on the host ended without an answer: {told}. Run it again."}
        if not seen and told not in ("", said):  # it was over before the first look
            display.display(f"{task_vars.get('inventory_hostname', '')}: {told.removesuffix(GONE).rstrip()}")
        self._job(job, "cleanup", task_vars)
        return {name: value for name, value in result.items() if name not in OF_THE_JOB}

    def _progress(self, wait: bool = False) -> str:
        """What the run that has the lock says of itself, with GONE when there is no such process any more.

        ``wait``: until it says something else, or has ended; 5 seconds at most, on the host, so that its end is seen
        at once.
        """
        holder = rf"$(sed -n 's/^process \([0-9]*\).*/\1/p' {LOCK_FILE})"
        same = f'test -d /proc/{holder} && test "$(cat {LOCK_FILE})" = "$before"'
        until = f"while test $n -lt {TICKS} && {same}; do sleep {TICK}; n=$((n+1)); done"
        show = f"cat {LOCK_FILE} 2>/dev/null && {{ test -d /proc/{holder} || echo '{GONE}'; }} || true"
        command = f'n=0; before="$(cat {LOCK_FILE})"; {until}; {show}' if wait else show
        return " ".join(str(self._low_level_execute_command(command).get("stdout", "")).split())

    def _job(self, job: str, mode: str, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        task = self._task.copy()
        task.args = {"jid": job, "mode": mode}
        handler = self._shared_loader_obj.action_loader.get(
            "ansible.legacy.async_status",
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        return t.cast("dict[str, t.Any]", handler.run(task_vars=task_vars))


OF_THE_JOB = (
    "ansible_job_id",
    "finished",
    "results_file",
    "started",
    "stderr",
    "stderr_lines",
    "stdout",
    "stdout_lines",
)


def _selections(devices: t.Any) -> list[dict[str, t.Any]]:
    items = devices if isinstance(devices, list) else []
    return [item for item in items if isinstance(item, dict) and item.get("select") and not item.get("device")]


def _expanded(devices: t.Any, css: dict[str, t.Any]) -> t.Any:
    """With each selection replaced by its devices; what is no list of devices is left to the module to refuse."""
    if not isinstance(devices, list):
        return devices
    chosen = _selections(devices)
    found: list[t.Any] = []
    for item in devices:
        if any(item is one for one in chosen):
            found += expand(item, css)
        elif isinstance(item, dict) and item.get("device"):
            found.append({name: value for name, value in item.items() if name != "select" or value})
        else:
            found.append(item)
    return found


def _count(devices: t.Any) -> int:
    """At most how many devices are asked for."""
    return sum(_size(item) for item in devices) if isinstance(devices, list) else 0


def _size(item: t.Any) -> int:
    name = str(item.get("device") or "") if isinstance(item, dict) else ""
    if not is_range(name):
        return 1
    try:
        first, last = parse_range(name)
    except BadName:
        return 1
    return last.number - first.number + 1
