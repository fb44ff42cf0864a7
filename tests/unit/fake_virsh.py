# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""virsh at its edge: what the real one (libvirt 9.0.0) prints, for domains that are kept here.

What libvirt makes of a definition is not modelled: the tests in tests/integration/test_libvirt.py ask a real one.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

VERSION = """\
Compiled against library: libvirt 9.0.0
Using library: libvirt 9.0.0
Using API: QEMU 9.0.0
Running hypervisor: QEMU 7.2.22
Running against daemon: 9.0.0
"""
DOMINFO = """\
Id:             {id}
Name:           {name}
UUID:           ee30f4df-1c6b-4ed1-8e1f-fa840b68b44e
OS Type:        hvm
State:          {state}
CPU(s):         1
Max memory:     524288 KiB
Used memory:    524288 KiB
Persistent:     {persistent}
Autostart:      {autostart}
Managed save:   no
Security model: none
Security DOI:   0
"""
NODEDEV_INFO = """\
Name:           {}
Parent:         {}
Active:         {}
Persistent:     {}
Autostart:      {}
"""
NO_NODE = """\
error: Could not find matching device '{0}'
error: Node device not found: no node device with matching name '{0}'
"""
CAPABILITIES = """\
<domainCapabilities>
  <path>/usr/bin/qemu-system-s390x</path>
  <domain>qemu</domain>
  <machine>s390-ccw-virtio-7.2</machine>
  <arch>s390x</arch>
</domainCapabilities>
"""
DUMPXML = """\
<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>linux01</name>
  <uuid>ee30f4df-1c6b-4ed1-8e1f-fa840b68b44e</uuid>
  <memory unit='KiB'>524288</memory>
  <currentMemory unit='KiB'>524288</currentMemory>
  <vcpu placement='static'>1</vcpu>
  <os>
    <type arch='s390x' machine='s390-ccw-virtio-7.2'>hvm</type>
  </os>
  <cpu mode='custom' match='exact' check='none'>
    <model fallback='forbid'>qemu</model>
  </cpu>
  <clock offset='utc'/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-s390x</emulator>
    <controller type='pci' index='0' model='pci-root'/>
    <console type='pty'>
      <log file='/var/log/libvirt/qemu/linux01.console' append='on'/>
      <target type='sclp' port='0'/>
    </console>
    <audio id='1' type='none'/>
    <hostdev mode='subsystem' type='mdev' managed='no' model='vfio-ccw'>
      <source>
        <address uuid='6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920'/>
      </source>
      <boot order='1'/>
      <address type='ccw' cssid='0xfe' ssid='0x0' devno='0x1234'/>
    </hostdev>
    <memballoon model='virtio'>
      <address type='ccw' cssid='0xfe' ssid='0x0' devno='0x0000'/>
    </memballoon>
    <panic model='s390'/>
  </devices>
  <qemu:commandline>
    <qemu:arg value='-fw_cfg'/>
    <qemu:arg value='name=opt/x,string=&lt;a &amp; b&gt;'/>
    <qemu:env name='LD_PRELOAD' value='/x'/>
  </qemu:commandline>
</domain>
"""
"""What libvirt 9.0.0 made of a guest; ``dumpxml --inactive`` prints the same."""


class FakeVirsh:
    """The command. ``defined``, ``running``: name to XML; ``heard``: the commands that change something."""

    def __init__(self, kernel):
        self.kernel = kernel
        self.defined: dict[str, str] = {}
        self.running: dict[str, str] = {}
        self.autostart: set[str] = set()
        self.heard: list[list[str]] = []
        self.gone: set[str] = set()
        """Node devices that are listed and gone when they are asked for."""
        self.nodes: dict[str, tuple[str, bool, bool, bool]] = {}
        self.version = VERSION
        self.answers: dict[str, tuple[int, str, str]] = {}
        """Command to an answer that takes the place of what it does."""
        self.obeys = True
        self.fails = 0
        """Which of the commands that change something fails."""
        kernel.run = self._run(kernel.run)

    def _run(self, others):
        def run(argv, data=""):
            if argv[0] == "virsh":
                assert argv[1:3] == ["--quiet", "--connect"]
                return self.command(argv[4:], data)
            if argv[-1] == "--version":
                return 0, "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)\n", ""
            return others(argv, data)

        return run

    def command(self, argv, data):
        verb, options = argv[0], argv[1:]
        name = options[options.index("--domain") + 1] if "--domain" in options else ""
        if verb in self.answers:
            return self.answers[verb]
        if verb == "version":
            return 0, self.version, ""
        if verb == "domcapabilities":
            return 0, CAPABILITIES, ""
        if verb.startswith("nodedev-"):
            return self.node_command(verb, argv, data)
        if verb == "define":
            name = ET.fromstring(data).findtext("name")
        elif name not in {**self.defined, **self.running}:
            return 1, "", f"error: failed to get domain '{name}'\n\n"
        if verb in ("dominfo", "dumpxml"):
            return 0, getattr(self, f"_{verb}")(name, options), ""
        self.heard.append(argv)
        if len(self.heard) == self.fails:
            return 1, "", f"error: Failed to {verb}\nerror: no such luck\n"
        getattr(self, f"_{verb.replace('-device', '')}")(name, options, data)
        return 0, "", ""

    def node_command(self, verb, argv, data):
        """Node devices: ``nodes`` is name to (parent, active, persistent, autostart)."""
        if verb == "nodedev-list":
            assert argv[1:] == ["--cap", "mdev", "--all"]
            return 0, "".join(f"{name}\n" for name in sorted(self.nodes)), ""
        name = argv[argv.index("--device") + 1] if "--device" in argv else ""
        if verb == "nodedev-info" and name in self.gone:
            return 1, "", NO_NODE.format(name)
        if verb == "nodedev-info":
            words = [self.nodes[name][0], *("yes" if one else "no" for one in self.nodes[name][1:])]
            return 0, NODEDEV_INFO.format(name, *words), ""
        self.heard.append(argv)
        if verb == "nodedev-define":
            device = ET.fromstring(data)
            parent = device.findtext("parent")
            name = f"mdev_{device.findtext('capability/uuid').replace('-', '_')}{parent[3:]}"
        parent, active, persistent, autostart = self.nodes.get(name) or (parent, False, False, False)
        if self.obeys:
            self.nodes[name] = {
                "nodedev-define": (parent, active, True, autostart),
                "nodedev-start": (parent, True, persistent, autostart),
                "nodedev-destroy": (parent, False, persistent, autostart),
                "nodedev-undefine": (parent, active, False, False),
                "nodedev-autostart": (parent, active, persistent, "--disable" not in argv),
            }[verb]
        if not any(self.nodes[name][1:3]):
            del self.nodes[name]
        return 0, "", ""

    def _dominfo(self, name, _options):
        active = name in self.running
        return DOMINFO.format(
            id="1" if active else "-",
            name=name,
            state="running" if active else "shut off",
            persistent="yes" if name in self.defined else "no",
            autostart="enable" if name in self.autostart else "disable",
        )

    def _dumpxml(self, name, options):
        return self.running[name] if name in self.running and "--inactive" not in options else self.defined[name]

    def _define(self, name, _options, data):
        self.defined[name] = data

    def _undefine(self, name, _options, _data):
        del self.defined[name]

    def _start(self, name, _options, _data):
        if self.obeys:
            self.running[name] = self.defined[name]

    def _destroy(self, name, _options, _data):
        if self.obeys:
            del self.running[name]

    _shutdown = _destroy

    def _change(self, name, options, change):
        where = self.running if "--live" in options else self.defined
        domain = ET.fromstring(where[name])
        if self.obeys:
            change(domain.find("devices"))
        where[name] = ET.tostring(domain, encoding="unicode")

    def _attach(self, name, options, data):
        self._change(name, options, lambda devices: devices.append(ET.fromstring(data)))

    def _detach(self, name, options, data):
        uuid = ET.fromstring(data).find("source/address").get("uuid")

        def take(devices):
            for one in devices.findall("hostdev"):
                if one.find("source/address").get("uuid") == uuid:
                    devices.remove(one)

        self._change(name, options, take)

    def _autostart(self, name, options, _data):
        (self.autostart.discard if "--disable" in options else self.autostart.add)(name)
