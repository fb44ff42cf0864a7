# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refusals of what would not last over a restart of the host, or would come in the way of it."""

from __future__ import annotations

from ..host._model import MDEV_ONLY, SUBCHANNEL_ONLY, AtBoot
from ._case import OWN_RULES, Case
from ._row import Row, say

UPDATE = "then update the initial RAM disk and run zipl"


def _sets_online(case: Case) -> list[AtBoot]:
    ends = case.removable + case.editable
    return [one for one in case.at_boot if one.kind in ("rule", "parameter") and one not in ends]


def _hides(case: Case) -> list[AtBoot]:
    return [one for one in case.at_boot if one.kind == "hidden"]


def _named(found: list[AtBoot]) -> str:
    return ", ".join(f"{one.source} ({one.text})" if one.kind != "rule" else one.source for one in found)


def _how_to_end(case: Case) -> str:
    ways = []
    if any(one.kind == "rule" for one in _sets_online(case)):
        ways.append(f"run 'chzdev -d -p {case.request.device}', or remove_rules: true for a rule of this device alone")
    parameters = [one for one in _sets_online(case) if one.kind == "parameter"]
    if any(not one.kept for one in parameters):
        ways.append(f"remove_parameters: true takes it out of the file, {UPDATE}")
    kept = dict.fromkeys(f"{one.source}: {one.kept}" for one in parameters if one.kept)
    if kept:
        ways.append(f"take it out of the kernel's parameters by hand ({'; '.join(kept)}), {UPDATE}")
    text = "; ".join(ways)
    return text[:1].upper() + text[1:]


def _other_kept(case: Case) -> str:
    kept = case.subchannel.kept_mdevs if case.subchannel else ()
    return next((uuid for uuid in kept if uuid != case.request.uuid), "")


def _driver_lasts(case: Case) -> bool:
    """Whether the subchannel's driver is to last: a mediated device alone relies on what is there."""
    return case.request.persistent and case.request.scope != MDEV_ONLY


def _stale(case: Case) -> bool:
    """Whether mdevctl's rule starts nothing, and is not to be corrected."""
    rule = case.state.stale_rule
    return rule is not None and not (case.request.correct_rule and rule.corrected)


def _stale_text(case: Case) -> str:
    rule = case.state.stale_rule
    if rule is None or not rule.program:
        return f"{rule.path if rule else ''} hides mdevctl's udev rule: no mediated device is started at boot"
    return (
        f"{rule.path} starts mediated devices at boot by {rule.program}, which is not there: none is started (Debian "
        "12's mdevctl has it in /usr/bin)"
    )


def _stale_cure(case: Case) -> str:
    rule = case.state.stale_rule
    if rule is None or not rule.program:
        return f"Remove {rule.path if rule else 'it'}"
    if not rule.corrected:
        return "Install mdevctl's package anew, or correct the rule"
    return (
        f"correct_rule: true writes the rule corrected to {OWN_RULES}udev/rules.d; or make a link: ln -s "
        f"$(command -v mdevctl) {rule.program}"
    )


ROWS: tuple[Row, ...] = (
    Row(
        "no-tools",
        "persistent is asked for and driverctl or mdevctl is not installed",
        lambda case: case.request.persistent and bool(case.missing_tools),
        lambda case: f"it is to last over a restart, but the host lacks {' and '.join(case.missing_tools)}",
        say("Install the package of that name, or leave persistent out and run this again after a restart"),
    ),
    Row(
        "stale-rule",
        "persistent is asked for and mdevctl's udev rule starts nothing: its program is not there (Debian 12), or it "
        "is hidden by another file",
        lambda case: case.request.persistent and case.request.scope != SUBCHANNEL_ONLY and _stale(case),
        _stale_text,
        _stale_cure,
        forcible=True,
    ),
    Row(
        "no-override",
        "persistent is asked for and the kernel has no driver_override for subchannels (before 5.3)",
        lambda case: _driver_lasts(case) and case.subchannel is not None and not case.subchannel.has_override,
        say(
            "it is to last over a restart, but this kernel has no driver_override for subchannels (5.3 and newer have)"
        ),
        say("Leave persistent out and run this again after a restart"),
    ),
    Row(
        "online-at-boot",
        "persistent is asked for and the host would set it online at boot: a udev rule (chzdev), dasd.conf, dasd=, "
        "rd.dasd=",
        lambda case: _driver_lasts(case) and bool(_sets_online(case)),
        lambda case: f"the host sets it online at boot: {_named(_sets_online(case))}",
        _how_to_end,
        forcible=True,
    ),
    Row(
        "hidden-at-boot",
        "persistent is asked for and cio_ignore= of the next boot hides the device",
        lambda case: _driver_lasts(case) and bool(_hides(case)),
        lambda case: f"the kernel would not look at it after the next boot: {_named(_hides(case))}",
        lambda case: f"Put !{case.request.device} at the end of cio_ignore=, {UPDATE}",
        forcible=True,
    ),
    Row(
        "other-uuid-at-boot",
        "mdevctl is to create another mediated device whenever the subchannel is bound to vfio_ccw",
        lambda case: case.request.scope != SUBCHANNEL_ONLY and not case.done and bool(_other_kept(case)),
        lambda case: (
            f"/etc/mdevctl.d/{case.place.busid}/{_other_kept(case)} lets mdevctl create mediated device "
            f"{_other_kept(case)} as soon as vfio_ccw has the subchannel (wanted: {case.request.uuid}), and a "
            "subchannel carries one only"
        ),
        lambda case: (
            f"Name uuid {_other_kept(case)}, or end it: mdevctl undefine -u {_other_kept(case)} -p {case.place.busid}"
        ),
    ),
)
