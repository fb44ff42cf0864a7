# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A device is taken out of what sets it online at boot, and put back: the texts, and the files of a host."""

from __future__ import annotations

import pytest
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import BusId
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.engine._apply import StepFailed
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.host._at_boot import CONF, ENTRY, WHOLE, ZIPL
from ansible_collections.zkvm.vfio_ccw.tests.unit.fake_kernel import DASD, converge

DEVICE = BusId.parse("0.0.7e52")

# format, a text, the same without 0.0.7e52
TEXTS = [
    (WHOLE, "root=/dev/vda1 rd.dasd=0.0.7e52 quiet\n", "root=/dev/vda1 quiet\n"),
    (WHOLE, "rd.dasd=0.0.7e52 quiet\n", "quiet\n"),
    (WHOLE, "rd.dasd=0.0.7e52\n", "\n"),
    (WHOLE, "dasd=7e52", ""),
    (WHOLE, "rd.dasd=0.0.7e52,ro a", "a"),
    (WHOLE, "a rd.dasd=0.0.7e52,0.0.7e53,ro", "a rd.dasd=0.0.7e53,ro"),
    (
        WHOLE,
        "a dasd=7e00-7eff(ro,failfast),nopav b",
        "a dasd=0.0.7e00-0.0.7e51(ro,failfast),0.0.7e53-0.0.7eff(ro,failfast),nopav b",
    ),
    (WHOLE, "a dasd=0x7e51-7e52", "a dasd=0.0.7e51"),
    (WHOLE, "a dasd=7e52-7e53,0.1.7e52", "a dasd=0.0.7e53,0.1.7e52"),
    (WHOLE, "a dasd_mod.dasd=7e52 rd.dasd=0.0.7e52\tb", "a\tb"),
    (WHOLE, "a xdasd=7e52 dasd=7e53 rd.zfcp=0.0.7e52,1,2", None),
    (ENTRY, "title dasd=7e52\noptions a dasd=7e52 b\ninitrd x\n", "title dasd=7e52\noptions a b\ninitrd x\n"),
    (ENTRY, "options dasd=7e52\n", "options\n"),
    (ZIPL, '[a]\n  parameters = "a rd.dasd=0.0.7e52"\n  target=/boot\n', '[a]\n  parameters = "a"\n  target=/boot\n'),
    (
        ZIPL,
        '[a]\nparameters="dasd=7e52 b"\n[b]\nparameters=dasd=7e52,7e53\n',
        '[a]\nparameters="b"\n[b]\nparameters=dasd=7e53\n',
    ),
    (ZIPL, "#parameters=dasd=7e52\n", None),
    (CONF, "# 0.0.7e52\n0.0.7e51\n0.0.7E52 readonly=1\n0.0.7e53\n", "# 0.0.7e52\n0.0.7e51\n0.0.7e53\n"),
]


@pytest.mark.parametrize("form, text, without", TEXTS)
def test_a_device_is_taken_out_and_put_back_to_the_letter(form, text, without):
    if without is None:
        assert not form.names(text, DEVICE)
        assert form.without(text, {DEVICE}) == text
        return
    assert form.names(text, DEVICE)
    assert form.without(text, {DEVICE}) == without
    assert not form.names(form.without(text, {DEVICE}), DEVICE)
    assert form.restored(text, form.without(text, {DEVICE}), DEVICE) == text


@pytest.mark.parametrize("form, text", [(form, text) for form, text, without in TEXTS if without is not None])
def test_the_order_in_which_devices_go_and_come_back_does_not_matter(form, text):
    other = BusId.parse("0.0.7e53")
    both = form.without(text, {DEVICE, other})
    assert form.without(form.without(text, {DEVICE}), {other}) == both
    assert form.without(form.without(text, {other}), {DEVICE}) == both
    one_back = form.restored(text, both, DEVICE)
    assert one_back == form.without(text, {other})
    if form.names(text, other):
        assert form.restored(text, one_back, other) == text


@pytest.mark.parametrize(
    "form, original, current, restored",
    [
        (WHOLE, "a dasd=7e52(ro),7e53", "b dasd=7e53", "b dasd=7e53,0.0.7e52(ro)"),
        (WHOLE, "a rd.dasd=0.0.7e52", "b\n", "b rd.dasd=0.0.7e52\n"),
        (ZIPL, 'parameters="dasd=7e52"\n', 'parameters="b"\n', 'parameters="b dasd=0.0.7e52"\n'),
        (CONF, "0.0.7e52 readonly=1\n", "0.0.0001", "0.0.0001\n0.0.7e52 readonly=1\n"),
    ],
)
def test_what_somebody_else_changed_meanwhile_stays(form, original, current, restored):
    assert form.restored(original, current, DEVICE) == restored


# --- on a host

ENTRY_FILE, CMDLINE, CONF_FILE = "boot/loader/entries/a.conf", "etc/kernel/cmdline", "etc/dasd.conf"
TEXT = "title A\noptions root=/dev/vda1 rd.dasd=0.0.7e52-0.0.7e54,ro\n"
FILES = {ENTRY_FILE: TEXT, CMDLINE: "root=/dev/vda1 rd.dasd=0.0.7e52\n", CONF_FILE: "0.0.7e52\n0.0.7e53\n"}
WANTED = {"device": "0.0.7e52", "persistent": True, "remove_parameters": True}
SECOND = {"device": "0.0.7e54", "persistent": True, "remove_parameters": True}


def back(*items):
    return [{"device": item["device"], "state": "absent"} for item in items]


@pytest.fixture(name="booted")
def _booted(kernel):
    for path, text in FILES.items():
        kernel.put(path, text)
    (kernel.root / CMDLINE).chmod(0o600)
    return kernel


def texts(kernel):
    return {path: kernel.get(path) for path in FILES}


def test_it_is_taken_out_when_asked_to_and_put_back(booted):
    outcome = converge(booted.host(), [WANTED])
    assert texts(booted) == {
        ENTRY_FILE: "title A\noptions root=/dev/vda1 rd.dasd=0.0.7e53-0.0.7e54,ro\n",
        CMDLINE: "root=/dev/vda1\n",
        CONF_FILE: "0.0.7e53\n",
    }
    assert (booted.root / CMDLINE).stat().st_mode & 0o777 == 0o600
    told = outcome.warnings[-1]
    assert (
        told.startswith("/boot/loader/entries/a.conf, /etc/dasd.conf, /etc/kernel/cmdline changed: ") and "zipl" in told
    )
    before, after = outcome.texts()
    assert "  0.0.7e52\n" in before and "  0.0.7e52\n" not in after
    assert "options root=/dev/vda1 rd.dasd=0.0.7e53-0.0.7e54,ro" in after
    assert not converge(booted.host(), [WANTED]).changed
    converge(booted.host(), back(WANTED))
    assert texts(booted) == FILES


def test_devices_share_files(booted):
    converge(booted.host(), [WANTED])
    converge(booted.host(), [SECOND])
    assert "rd.dasd=0.0.7e53,ro" in booted.get(ENTRY_FILE)
    converge(booted.host(), back(WANTED))
    assert "rd.dasd=0.0.7e52-0.0.7e53,ro" in booted.get(ENTRY_FILE)
    converge(booted.host(), back(SECOND))
    assert texts(booted) == FILES
    converge(booted.host(), [WANTED, SECOND])
    converge(booted.host(), back(WANTED, SECOND))
    assert texts(booted) == FILES


def test_they_are_as_before_when_a_step_fails(booted):
    booted.mdevctl_fails = True
    with pytest.raises(StepFailed):
        converge(booted.host(), [WANTED, SECOND])
    assert texts(booted) == FILES


def test_a_kernel_that_was_removed_meanwhile_needs_nothing_back(booted):
    converge(booted.host(), [WANTED])
    (booted.root / ENTRY_FILE).unlink()
    converge(booted.host(), back(WANTED))
    assert not (booted.root / ENTRY_FILE).exists()
    assert booted.get(CMDLINE) == FILES[CMDLINE]


def test_a_link_stays_a_link(kernel):
    kernel.put("etc/zipl/main.conf", "[a]\nparameters=rd.dasd=0.0.7e52\n")
    kernel.link("etc/zipl.conf", "etc/zipl/main.conf")
    converge(kernel.host(), [WANTED])
    assert (kernel.root / "etc/zipl.conf").is_symlink()
    assert kernel.get("etc/zipl/main.conf") == "[a]\nparameters=\n"


def test_check_mode_changes_nothing(booted):
    assert converge(booted.host(), [WANTED], check_mode=True).changed
    assert texts(booted) == FILES


# --- mdevctl's rule

RULE, OWN = "usr/lib/udev/rules.d/60-mdevctl.rules", "etc/udev/rules.d/60-mdevctl.rules"
RULE_TEXT = 'ACTION=="change", RUN+="{} start-parent-mdevs %k"\n'


def test_a_stale_rule_is_corrected_when_asked_to(kernel):
    kernel.put(RULE, RULE_TEXT.format("/usr/sbin/mdevctl"))
    kernel.add_subchannel("0.0.3000", "0.0.8000", **DASD)
    wanted = [{"device": "0.0.7e52", "persistent": True}, {"device": "0.0.8000", "persistent": True}]
    outcome = converge(kernel.host(), wanted, correct_rule=True)
    assert kernel.get(OWN) == RULE_TEXT.format("/usr/bin/mdevctl")
    assert [step.kind for step in outcome.done].count("correct-rule") == 1
    assert "/usr/bin/mdevctl start-parent-mdevs" in outcome.texts()[1]
    assert not converge(kernel.host(), wanted, correct_rule=True).changed
    converge(kernel.host(), [{"device": "0.0.7e52", "state": "absent"}])
    assert (kernel.root / OWN).exists()


@pytest.mark.parametrize("program", ["/usr/bin/mdevctl", "/opt/none start-nothing"])
def test_a_rule_that_works_or_is_not_known_is_left_alone(kernel, program):
    kernel.put(RULE, RULE_TEXT.format(program))
    outcome = converge(kernel.host(), [{"device": "0.0.7e52", "persistent": True}], correct_rule=True)
    assert "correct-rule" not in [step.kind for step in outcome.done]


def test_a_device_that_is_not_to_last_needs_no_rule(kernel):
    kernel.put(RULE, RULE_TEXT.format("/usr/sbin/mdevctl"))
    assert converge(kernel.host(), [{"device": "0.0.7e52"}], check_mode=True).changed
