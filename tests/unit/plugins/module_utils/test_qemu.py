# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import shlex
import signal
import socket
import threading
from pathlib import Path

import pytest
import yaml
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import GuestDevno
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._guest import (
    GuestError,
    Shutdown,
    choose_accel,
    converge_guest,
    observe_guest,
    parse_guest,
)
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._qemu import (
    Guest,
    PassedDevice,
    command_line,
    start_script,
)
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.refusals._table import Refused
from ansible_collections.zkvm.vfio_ccw.tests.unit.fake_kernel import converge

COLLECTION = Path(__file__).resolve().parents[4]
UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"
OTHER = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb921"
DEVICE = PassedDevice(UUID, GuestDevno.parse("fe.0.1234"))
GUEST = Guest("linux01", (DEVICE,))
SCRIPT = "/etc/vfio_ccw/guests/linux01.sh"


def params(**more):
    values = {"name": "linux01", "devices": [{"uuid": UUID, "devno": "fe.0.1234"}], "memory": 1024, "cpus": 1}
    return {**values, "binary": "qemu-system-s390x", "extra_args": [], **more}


def words(script):
    """The argument vector that a shell would make of the script's last command."""
    return shlex.split(script[script.index("exec ") + len("exec ") :].replace("\\\n", ""))


def test_the_command_line_has_what_the_wiki_page_says():
    argv = command_line(GUEST)
    assert argv[argv.index("-M") + 1] == "s390-ccw-virtio"
    assert argv[argv.index("-device") + 1] == f"vfio-ccw,devno=fe.0.1234,sysfsdev=/sys/bus/mdev/devices/{UUID}"
    assert argv[argv.index("-name") + 1] == "linux01"


def test_it_can_run_as_a_daemon():
    argv = command_line(GUEST)
    assert argv[-1] == "-daemonize"
    assert "-nographic" not in argv  # QEMU refuses both together
    assert argv[argv.index("-serial") + 1].startswith("file:/")
    assert argv[argv.index("-pidfile") + 1].startswith("/run/")


@pytest.mark.parametrize(
    "extra",
    [
        (),
        ("-drive", "file=/var/lib/my guests/a.qcow2,if=virtio"),
        ("-append", "root=/dev/vda1 quiet 'x' \"y\" $HOME `id` \\ ; rm -rf /"),
        ("-fw_cfg", "name=opt/x,string=line one\nline two"),
        ("",),
        ("-", "--", "-a b"),
    ],
)
def test_a_shell_makes_of_the_script_exactly_that_argument_vector(extra):
    guest = Guest("linux01", (DEVICE, PassedDevice(OTHER, GuestDevno.parse("fe.1.abcd"), 1)), extra=extra)
    assert words(start_script(guest)) == command_line(guest)


def test_a_boot_device_has_its_index():
    guest = Guest("linux01", (PassedDevice(UUID, GuestDevno.parse("fe.0.1234"), 1),))
    assert any(word.endswith(f"{UUID},bootindex=1") for word in command_line(guest))


@pytest.mark.parametrize(
    "change, says",
    [
        ({"name": "../x"}, "name '../x'"),
        ({"name": "-x"}, "name '-x'"),
        ({"name": "linux01\n"}, r"name 'linux01\n'"),  # its second line would be run by the start script's shell
        ({"devices": [{"uuid": UUID, "devno": "1234"}]}, "'1234': expected a guest device number"),
        ({"devices": [{"uuid": UUID, "devno": "0.0.1234"}]}, "channel subsystem fe only"),
        ({"devices": [{"uuid": "x", "devno": "fe.0.1234"}]}, "'x': expected a UUID"),
        (
            {"devices": [{"uuid": UUID, "devno": "fe.0.1234"}, {"uuid": OTHER, "devno": "FE.0.1234"}]},
            f"devno fe.0.1234 is given to {UUID} and {OTHER}",
        ),
        ({"devices": [{"uuid": UUID, "devno": "fe.0.1"}, {"uuid": UUID, "devno": "fe.0.2"}]}, "'fe.0.1'"),
        ({"devices": [{"uuid": UUID, "devno": "fe.0.0001"}, {"uuid": UUID, "devno": "fe.0.0002"}]}, "listed twice"),
        ({"memory": 0}, "memory 0"),
        ({"cpus": -1}, "cpus -1"),
    ],
)
def test_impossible_guests_are_refused_before_anything_is_started(change, says):
    with pytest.raises(GuestError) as error:
        parse_guest(params(**change), "kvm")
    assert says in str(error.value)


@pytest.fixture(name="ready")
def _ready(kernel):
    """The host with the mediated device made."""
    converge(kernel.host(), [{"device": "0.0.7e52", "uuid": UUID, "guest": "linux01"}])
    kernel.commands.clear()
    return kernel


def go(kernel, state, guest=GUEST, check_mode=False, how="terminate"):
    return converge_guest(kernel.host(), guest, state, Shutdown(how, 1.0), check_mode)


def test_a_guest_is_started_by_its_script_and_stopped(ready):
    planned = go(ready, "started", check_mode=True)
    assert ready.commands == [] and not (ready.root / SCRIPT.lstrip("/")).exists()
    result = go(ready, "started")
    assert planned["actions"] == result["actions"]
    assert ready.commands == [[SCRIPT]]
    assert (ready.root / SCRIPT.lstrip("/")).stat().st_mode & 0o777 == 0o700
    assert (result["running"], result["was_running"], result["command"]) == (True, False, command_line(GUEST))
    again = go(ready, "started")
    assert (again["changed"], again["running"], again["restart_required"]) == (False, True, False)
    assert go(ready, "stopped")["changed"]
    assert ready.killed == [(4711, signal.SIGTERM)]
    assert not go(ready, "stopped")["changed"]
    assert go(ready, "absent")["changed"]
    assert not (ready.root / SCRIPT.lstrip("/")).exists()
    assert not go(ready, "absent")["changed"]


def test_a_guest_that_runs_with_an_older_command_line_is_left_alone_and_said(ready):
    go(ready, "started")
    bigger = Guest("linux01", (DEVICE,), memory=2048)
    result = go(ready, "started", bigger)
    assert (result["changed"], result["restart_required"], len(result["warnings_"])) == (True, True, 1)
    assert ready.killed == []


def test_another_process_with_the_same_number_is_not_the_guest(ready):
    ready.start_process(4711, ["sleep", "1000"])
    ready.put("run/vfio_ccw/linux01.pid", "4711\n")
    assert not go(ready, "stopped")["changed"]
    assert ready.killed == []


@pytest.mark.parametrize("text", ["", "nonsense", "-1", "0", "4711 4712"])
def test_a_damaged_pid_file_is_no_process(ready, text):
    ready.put("run/vfio_ccw/linux01.pid", text)
    assert not go(ready, "absent")["changed"]


def test_a_qemu_that_ignores_sigterm_is_an_error(ready):
    go(ready, "started")
    ready.obeys_signals = False
    with pytest.raises(GuestError, match="still runs 1 s after SIGTERM"):
        go(ready, "stopped")


class Monitor(threading.Thread):
    """QEMU's side of a monitor: a greeting, an event in between, and one answer to each command."""

    def __init__(self, kernel, answer):
        super().__init__(daemon=True)
        self.kernel, self.answer, self.heard = kernel, answer, []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(kernel.root / "run/vfio_ccw/linux01.qmp"))
        self.socket.listen()
        self.start()

    def run(self):
        connection, _address = self.socket.accept()
        with connection, connection.makefile("rwb") as stream:
            stream.write(b'{"QMP": {}}\n')
            stream.flush()
            for line in stream:
                self.heard.append(json.loads(line)["execute"])
                last = self.heard[-1] == "system_powerdown"
                if last:
                    self.kernel.end_process(4711)
                stream.write(b'{"event": "POWERDOWN"}\n' + (self.answer if last else b'{"return": {}}') + b"\n")
                stream.flush()


def test_a_guest_is_told_to_shut_down(ready):
    go(ready, "started")
    monitor = Monitor(ready, b'{"return": {}}')
    assert go(ready, "stopped", how="powerdown")["changed"]
    assert monitor.heard == ["qmp_capabilities", "system_powerdown"]
    assert ready.killed == []


def test_a_guest_that_cannot_be_told_to_shut_down_is_not_killed(ready):
    go(ready, "started")
    with pytest.raises(GuestError, match="monitor cannot be reached"):
        go(ready, "stopped", how="powerdown")
    Monitor(ready, b'{"error": {"class": "GenericError", "desc": "no such luck"}}')
    with pytest.raises(GuestError, match="no such luck"):
        go(ready, "stopped", how="powerdown")
    assert ready.killed == []


def test_a_guest_that_does_not_shut_down_in_time_runs_on_and_it_is_said_what_to_do(ready):
    go(ready, "started")
    ready.end_process = lambda pid: None
    Monitor(ready, b'{"return": {}}')
    with pytest.raises(GuestError) as error:
        go(ready, "absent", how="powerdown")
    for said in ("still runs 1 s after being told to shut down", "timeout", "shutdown: terminate", "linux01.console"):
        assert said in str(error.value)
    assert ready.killed == []
    assert (ready.root / SCRIPT.lstrip("/")).exists()


def test_a_guests_plug_is_pulled_by_request_only():
    from ansible_collections.zkvm.vfio_ccw.plugins.modules import qemu_guest

    assert Shutdown().how == "powerdown"
    assert yaml.safe_load(qemu_guest.DOCUMENTATION)["options"]["shutdown"]["default"] == "powerdown"
    role = COLLECTION / "roles/guest"
    assert yaml.safe_load((role / "defaults/main.yml").read_text())["guest_shutdown"] == "powerdown"
    specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    assert specs["guest_shutdown"]["default"] == "powerdown"
    for playbook in (COLLECTION / "playbooks").glob("*.yml"):
        assert "terminate" not in json.dumps(yaml.safe_load(playbook.read_text()))


def missing(kernel):
    converge(kernel.host(), [{"device": "0.0.7e52", "state": "absent"}])


@pytest.mark.parametrize(
    "prepare, says",
    [
        (missing, "does not exist [no-mdev]. Make it with module zkvm.vfio_ccw.passthrough"),
        (lambda k: k.busy.add("/dev/vfio/0"), "in use by another guest"),
    ],
)
def test_a_guest_without_its_devices_is_not_started(ready, prepare, says):
    prepare(ready)
    with pytest.raises(Refused) as error:
        go(ready, "started")
    assert says in str(error.value)
    assert [SCRIPT] not in ready.commands


def test_what_qemu_says_when_it_fails_is_passed_on(ready):
    ready._start_guest = lambda script: (1, "", "qemu-system-s390x: -device vfio-ccw: boom")
    with pytest.raises(GuestError, match="-device vfio-ccw: boom"):
        go(ready, "started")


def test_a_script_that_reports_success_without_a_qemu_is_an_error(ready):
    """The BIOS of a guest that has nothing to start from says so on the console, and QEMU ends."""
    ready._start_guest = lambda script: (0, "", "")
    ready.put(GUEST.console, "LOADPARM=[        ]\n\ndasd-ipl: IPL1 data invalid.\n")
    with pytest.raises(GuestError, match="no QEMU with /run/vfio_ccw/linux01.pid runs") as error:
        go(ready, "started")
    assert f"{GUEST.console}: LOADPARM=[        ] / dasd-ipl: IPL1 data invalid." in str(error.value)


def test_the_accelerator(kernel):
    assert choose_accel(kernel.host(), "kvm") == ("kvm", [])
    accel, warnings = choose_accel(kernel.host(), "auto")
    assert accel == "tcg"
    assert len(warnings) == 1 and "accel: tcg, guest_accel: tcg for the role guest" in warnings[0]
    kernel.put("dev/kvm", "")
    assert choose_accel(kernel.host(), "auto") == ("kvm", [])


def test_how_a_guest_is(kernel):
    seen = observe_guest(kernel.host(), "linux01", 2)
    assert (seen["running"], seen["status"], seen["console_lines"], seen["script"]) == (False, "", [], "")
    kernel.start_process(4711, command_line(GUEST))
    kernel.put(GUEST.console, "x" * 200_000 + "\none\r\n\n  two\nKernel panic\n")
    seen = observe_guest(kernel.host(), "linux01", 2)
    assert (seen["running"], seen["pid"], seen["console_lines"]) == (True, 4711, ["two", "Kernel panic"])
    with pytest.raises(GuestError, match="expected letters"):
        observe_guest(kernel.host(), "../etc", 2)
