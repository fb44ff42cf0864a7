# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the pages that are made from tables in the code: ``make docs``. With ``--check`` say which is out of date."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "build" / "collections"))

from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import GuestDevno  # noqa: E402
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._releases import NotPossible  # noqa: E402
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt import _versions as libvirt_versions  # noqa: E402
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu import _migration as migration  # noqa: E402
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu import _translate as translate  # noqa: E402
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu import _versions as versions  # noqa: E402
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._qemu import (  # noqa: E402
    Guest,
    PassedDevice,
    device_option,
    machine_option,
)
from ansible_collections.zkvm.vfio_ccw.plugins.plugin_utils import _report as report  # noqa: E402
from ansible_collections.zkvm.vfio_ccw.plugins.plugin_utils import _report_findings as findings  # noqa: E402
from ansible_collections.zkvm.vfio_ccw.tests.unit import report_hosts  # noqa: E402
from refusal_page import refusals  # noqa: E402

QEMU_HEAD = """\
<!-- Made by docs/generate.py from plugins/module_utils/qemu/_versions.py and qemu/_migration.py. Do not edit. -->
# QEMU, by version

`zkvm.vfio_ccw.qemu_guest` asks the QEMU that is there for its version (or takes `qemu_version`) and writes the command
line for it. What that QEMU cannot do is refused before anything is started, with the version that would do.

| id | what | since | gone in |
|---|---|---|---|
"""
QEMU_CSS = """
## Where the devices are

The guest's Linux sees one of QEMU's channel subsystems, as its css 0: `fe`, where `fe.0.1234` is its `0.0.1234`.
With `s390-squash-mcss=on` it is css `0`, and all devices, the virtual ones too, are moved there.

| QEMU | passed-through device | virtual device | what is generated for `devno: fe.0.1234` |
|---|---|---|---|
| 2.10, 2.11 | may not be in css `fe`; `s390-squash-mcss=on` has the guest see it | must be in css `fe` | {old} |
| 2.12 and newer | anywhere | anywhere | {new} |

A configuration for 2.12 or newer that still carries `s390-squash-mcss` is reported, one for {gone} or newer is refused:
{replacement}. The two ways exclude each other on a command line: `zkvm.vfio_ccw.migration_check` translates
one into the other (`translated`), or says why that cannot be.

## Saving and restoring, migrating

`zkvm.vfio_ccw.migration_check` predicts the outcome. The rules, in the order in which they are met:

| rule | |
|---|---|
"""
QEMU_FLEET = """
## Fleets with QEMU before and after 2.12

`zkvm.vfio_ccw.qemu_guest` and the role `guest` write the command line for the QEMU that a host has: after an upgrade or
a downgrade the next run translates the start script, and refuses what that QEMU cannot do. What was written by hand,
and `extra_args`, `zkvm.vfio_ccw.migration_check` translates (`translated.command`) or says why that cannot be
(`untranslatable`). The guest's Linux sees every device by the bus id that it had, the machine type keeps its version;
what is no channel device and no machine option stays as it is. One that was started with `s390-squash-mcss=on` is to be
started anew: its saved state has its devices in css 0, where no QEMU without that option looks for them (rule `css`).

| from | to | command line | becomes, or why not |
|---|---|---|---|
"""
QEMU_CASES = """
With a passed-through device no guest can be migrated. {detach}.

The cases of QEMU's wiki page: a guest with a passed-through device, which is taken away from it before it is saved, and
a new guest that is started without it. "auto": no device has a `devno`, so QEMU counts; the number that the
passed-through device had is then given to another one in the new guest. In T3 and T7 they are in css 00, as
all devices of a guest that squashes.

| case | QEMU | squash | bus ids | passed-through device | outcome | QEMU says |
|---|---|---|---|---|---|---|
"""


def qemu() -> str:
    """The page on QEMU's versions."""
    features = [f"| `{one.id}` | {one.what} | {one.since} | {one.gone or ''} |" for one in versions.FEATURES]
    device = PassedDevice("UUID", GuestDevno.parse("fe.0.1234"))
    old, new = (
        f"`-M {machine_option(Guest('linux01', (device,), qemu=release))} -device {device_option(device, release)}`"
        for release in (versions.QemuVersion(2, 10), versions.FREE)
    )
    css = QEMU_CSS.format(old=old, new=new, gone=versions.SQUASH_GONE, replacement=versions.REPLACEMENT)
    rules = [f"| `{rule}` | {text} |" for rule, text in migration.RULES.items()]
    cases = QEMU_CASES.format(detach=migration.DETACH)
    fleet = QEMU_FLEET + "\n".join(map(_example, translate.EXAMPLES))
    parts = [
        QEMU_HEAD + "\n".join(features),
        css.rstrip("\n") + "\n" + "\n".join(rules),
        fleet,
        cases + "\n".join(map(_case, migration.CASES)),
    ]
    return "\n".join(parts) + "\n"


LIBVIRT = """\
<!-- Made by docs/generate.py from plugins/module_utils/libvirt/_versions.py. Do not edit. -->
# libvirt

A guest that libvirt runs is defined by `zkvm.vfio_ccw.libvirt_guest`. Where others define it (virt-install, virsh,
another collection), `zkvm.vfio_ccw.libvirt_hostdev` gives it devices and takes them away.

## By version

What the libvirt that is there cannot do is refused before anything is changed, with the version that would do.

| id | what | since |
|---|---|---|
{features}

libvirt puts every device into channel subsystem `fe`, so QEMU must be 2.12 or newer ([QEMU by version](qemu.md)).
Each newer libvirt asks for a newer QEMU itself.

libvirt before 10.10 takes a `loadparm` for a passed-through device, keeps it in the definition, and leaves it out of
QEMU's command line. `libvirt_guest` therefore tells it to QEMU as the machine's there, and for the first boot device
only.

## Mediated devices in libvirt

`passthrough` makes mediated devices, and with `persistent: true` has mdevctl start them with the host; libvirt shows
those, too. Who leaves them to libvirt uses `zkvm.vfio_ccw.libvirt_nodedev`, which defines, starts and ends them as node
devices (`nodedev-define`, `nodedev-start`, `nodedev-autostart`) for subchannels that `passthrough` or driverctl has
bound to vfio_ccw. Both ways end in the same state.

## How it is spoken to

By `virsh`, with argument vectors and XML on its standard input. `virsh` is on every host with libvirt; the Python
binding (python3-libvirt) often is not, and would have to be there for just the Python that Ansible uses on the
host. `uri` is handed to `virsh --connect`. It must name a libvirt of the host itself: mediated devices and QEMU are
looked at there.

XML is written and read by Python's ElementTree. A text with a document type is refused, and so is more than virsh
itself would read.

## Live and in the definition

`libvirt_hostdev` changes the running guest (`live`) and the definition that its next start uses (`config`), by default
each where there is one. The running guest is changed first, device by device; then the definition, as a whole. When
something fails, the running guest gets back what it had. A device that the running guest has at another number is not
moved.

A boot order is a device's (`bootindex`) or the domain's (`<boot dev=...>` in `<os>`), not both. libvirt writes
`<boot dev='hd'/>` where nothing is said; that one gives way to a device's.

`libvirt_guest` gives a running guest the devices that it has not yet, too (`live`), and never takes one from it. What
cannot be done so (a device at another number, or with a place in the boot order) waits for the guest's next start, and
`restart_required` says that it is due.

## With the playbooks

`guest_hypervisor: libvirt` for a guest, and `provision`, `release` and `move` go by its domain:

- `provision` defines the domain or adds to the one that is there, and starts it; one that runs gets its disks while it
  runs. What libvirt is known not to do is said before anything is changed.
- `release` and `move` set the disks offline in the guest and detach them, and the guest runs on. The domain stays
  defined, with all that libvirt and its administrator put into it; `guest_state: absent` of the role `guest` undefines
  one.
- With `guest_live: false` a running guest is left alone: `provision` says that it has to be restarted, which
  `guest_restart_ok` does, and `release` shuts it down, as without libvirt.

## With other collections

Nothing here needs another collection. Whoever defines domains by `community.libvirt` takes the XML from here:

```yaml
- name: Make the definition, and change nothing
  zkvm.vfio_ccw.libvirt_guest:
    name: linux01
    state: present
    devices:
      - uuid: 6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920
        devno: fe.0.1234
  check_mode: true
  register: guest

- name: Define it
  community.libvirt.virt:
    command: define
    xml: "{{{{ guest.xml }}}}"
    autostart: true
```

A domain that another collection defines gets its devices by `libvirt_hostdev`; `hostdevs[].xml` of what it returns is
the XML of one device, `xml` the whole definition.

## What stays as it is

libvirt fills in a definition: addresses, controllers, the machine type's version, a CPU model. An administrator
adds disks and networks. `libvirt_guest` changes only what its options say: name, memory, CPUs, accelerator, machine
type (one without a version leaves the one that is there), emulator where it is given, boot order. Its own, as a
whole, are the passed-through channel devices and `qemu:commandline`. A new guest has a console with a log in
`/var/log/libvirt/qemu/NAME.console`.

Networks and disks of a guest are best added by libvirt's own elements. In `extra_args` a `-nic` is refused: QEMU
gives its card the device number `fe.0.0000` before libvirt's memory balloon asks for it, and does not start.
"""


def libvirt() -> str:
    """The page on libvirt."""
    features = [f"| `{one.id}` | {one.what} | {one.since} |" for one in libvirt_versions.FEATURES]
    return LIBVIRT.format(features="\n".join(features))


def _example(one: translate.Example) -> str:
    command = f"`{one.words}`"
    try:
        outcome = f"`{' '.join(translate.translate_command(['qemu', *one.words.split()], one.old, one.new)[1:])}`"
    except NotPossible as exc:
        outcome = f"not possible: {exc}"
    return f"| {one.old} | {one.new} | {command} | {outcome} |"


def _case(case: migration.Case) -> str:
    cells = (
        case.id,
        case.qemu,
        "on" if case.squash else "off",
        "explicit" if case.explicit else "auto",
        f"`{case.passed}`" if case.passed else "",
        f"fails: `{case.rule}`" if case.rule else "succeeds",
        f"`{case.text}`" if case.text else "",
    )
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


# --- the report: what it finds, and its picture of a made-up host

FINDINGS = re.compile(r"(?<=<!-- findings -->\n).*?(?=<!-- end of findings -->)", re.DOTALL)


def report_page() -> str:
    """The page on the report with a section for each finding."""
    sections = [f"\n### `{id_}`\n\n{level.capitalize()}: {text}.\n" for id_, (level, text) in findings.TABLE.items()]
    text = (HERE / "report.md").read_text(encoding="utf-8")
    return FINDINGS.sub(lambda _found: "".join(sections)[1:] + "\n", text)


def report_picture() -> str:
    return report.report_svg({"lpar1": report_hosts.lpar1()}, "Channel devices of lpar1")


# --- roles: the table of variables in each README

VARIABLES = re.compile(r"(?<=<!-- variables -->\n).*?(?=<!-- end of variables -->)", re.DOTALL)
MARKUP = re.compile(r"\b[A-Z]+\(([^)]+)\)")
"""Ansible's own, as in ``C(text)`` and ``O(name)``."""


SURVEY = ("", "true", "false", "yes", "no")
"""Choices for surveys, which know no booleans and give "" for what is left out."""


def role_readme(role: Path) -> str:
    """A role's README with the table of its variables anew."""
    specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]
    defaults = yaml.safe_load((role / "defaults/main.yml").read_text(encoding="utf-8"))
    rows = _variables(specs["main"]["options"], defaults)
    table = "| variable | default | meaning |\n|---|---|---|\n" + "".join(rows)
    return VARIABLES.sub(lambda _found: table, (role / "README.md").read_text(encoding="utf-8"))


def _variables(options: dict[str, Any], defaults: dict[str, Any], within: str = "") -> list[str]:
    rows = []
    for name, option in options.items():
        default = f"`{yaml_value(defaults[name])}`" if name in defaults else ""
        default = "" if "{{" in default else default  # what it follows from, says the meaning
        rows.append(f"| `{within}{name}` | {default} | {_meaning(option)} |\n")
        rows += _variables(option.get("options", {}), {}, f"{within}{name}[].")
    return rows


def _meaning(option: dict[str, Any]) -> str:
    said = option["description"]
    text = MARKUP.sub(r"`\1`", " ".join(said) if isinstance(said, list) else said)
    values = [f"`{yaml_value(one)}`" for one in option.get("choices", []) if one not in SURVEY]
    told = values == ["`true`", "`false`"] or all(value in text for value in values)
    return " ".join(text.split()) + ("" if told else f" One of {', '.join(values)}.")


def yaml_value(value: Any) -> str:
    """A value as one writes it in YAML."""
    if isinstance(value, str) and value:
        return value
    return yaml.safe_dump(value, default_flow_style=True).splitlines()[0].replace("''", '""')


def main(argv: list[str]) -> int:
    pages = {HERE / "libvirt.md": libvirt(), HERE / "qemu.md": qemu(), HERE / "refusals.md": refusals()}
    pages |= {HERE / "report.md": report_page(), HERE / "images/report.svg": report_picture()}
    pages |= {role / "README.md": role_readme(role) for role in sorted((HERE.parent / "roles").iterdir())}
    stale = [path for path, text in pages.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if "--check" in argv:
            print(f"{path.relative_to(HERE.parent)} is out of date; run: make docs", file=sys.stderr)
        else:
            path.write_text(pages[path], encoding="utf-8")
            print(f"{path.relative_to(HERE.parent)} written")
    return 1 if stale and "--check" in argv else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
