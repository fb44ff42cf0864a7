# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is like where something is refused, and what is asked of it: a table."""

from __future__ import annotations

import json

from ansible_collections.zkvm.vfio_ccw.tests.unit import disk_labels
from ansible_collections.zkvm.vfio_ccw.tests.unit.fake_kernel import DASD, converge

UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"
OTHER_UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb921"
DISK = {"device": "0.0.7e52"}
MOUNTS = "22 1 0:20 / / rw - overlay overlay rw\n"


def pass_to(kernel, guest="linux01", uuid=UUID):
    converge(kernel.host(), [{**DISK, "uuid": uuid, "guest": guest}])


def passed_and_in_use(kernel):
    pass_to(kernel)
    kernel.busy.add("/dev/vfio/0")


def mount(kernel, line):
    kernel.put("proc/self/mountinfo", MOUNTS + line + "\n")


def mounted_elsewhere(kernel):
    """In the mount namespace of another process only, as a container's volume is."""
    kernel.put("proc/900/comm", "crun\n")
    (kernel.root / "proc/900/ns").mkdir()
    (kernel.root / "proc/900/ns/mnt").symlink_to("mnt:[4026532900]")
    kernel.put("proc/900/mountinfo", "99 1 94:1 / /volume rw - ext4 /dev/dasda1 rw\n")


def by_path(kernel):
    kernel.link("dev/disk/by-path/ccw-0.0.7e52-part1", "dev/dasda1")
    mount(kernel, "70 22 0:60 / /mnt rw - tmpfs /dev/disk/by-path/ccw-0.0.7e52-part1 rw")


def holder(kernel, name, kind="", title=""):
    """A volume on the partition, noted at both ends as the kernel does."""
    (kernel.root / f"sys/block/dasda/dasda1/holders/{name}").mkdir()
    (kernel.root / f"sys/block/{name}/slaves/dasda1").mkdir(parents=True)
    if kind:
        kernel.put(f"sys/block/{name}/dm/uuid", f"{kind}-abc\n")
        kernel.put(f"sys/block/{name}/dm/name", f"{title}\n")


def without_driver(kernel):
    kernel._rmtree(kernel.root / "sys/bus/css/drivers/vfio_ccw")
    kernel.put("proc/modules", "")


def kernel_without_option(kernel):
    kernel_without_module(kernel)
    kernel.add_config(CONFIG_S390_CCW_IOMMU="y", CONFIG_VFIO="m", CONFIG_VFIO_MDEV="m", CONFIG_VFIO_CCW="n")


def kernel_without_module(kernel):
    without_driver(kernel)
    kernel.add_module_tree("vfio", "mdev", "vfio_iommu_type1")


def no_permission(kernel):
    host = kernel.host()
    host.permitted = False
    return host


def taken_uuid(kernel):
    converge(kernel.host(), [{"device": "0.0.7e54", "uuid": UUID}])


def foreign_mdev(kernel):
    """Made by hand: not in the journal."""
    pass_to(kernel, uuid=OTHER_UUID)
    kernel.put("var/lib/vfio_ccw/journal.json", json.dumps({"format": 1, "devices": {}}))


def half_removed(kernel):
    pass_to(kernel)
    kernel._remove(UUID)
    kernel.put("sys/devices/css0/0.0.16ca/mdev_supported_types/vfio_ccw-io/available_instances", "0\n")


def kept_mdev(kernel):
    kernel.put(f"etc/mdevctl.d/0.0.16ca/{OTHER_UUID}", '{"mdev_type": "vfio_ccw-io", "start": "auto"}')


def foreign_driver(kernel):
    link = kernel.root / "sys/devices/css0/0.0.16ca/driver"
    link.unlink()
    (kernel.root / "sys/bus/css/drivers/io_subchannel/0.0.16ca").unlink()
    kernel.link("sys/devices/css0/0.0.16ca/driver", "sys/bus/css/drivers/chsc_subchannel")
    kernel.link("sys/bus/css/drivers/chsc_subchannel/0.0.16ca", "sys/devices/css0/0.0.16ca")


def attribute(name, value):
    return lambda kernel: kernel.put(f"sys/devices/css0/0.0.16ca/0.0.7e52/{name}", value + "\n")


def without_mdevctl(kernel):
    (kernel.root / "usr/bin/mdevctl").unlink()


def mdevctl_not_to_be_run(kernel):
    (kernel.root / "usr/bin/mdevctl").chmod(0o644)


def without_override(kernel):
    (kernel.root / "sys/devices/css0/0.0.16ca/driver_override").unlink()


def zdev(kernel):
    kernel.put("etc/udev/rules.d/41-dasd-eckd-0.0.7e52.rules", "")


def ignored(kernel):
    kernel.put("proc/cio_ignore", "0.0.8fff-0.0.9001\n0.0.a123\n")


def add(kernel, busid="0.0.0300", **device):
    """A device that is no disk, online on the host."""
    kernel.add_subchannel("0.0.3000", busid, **{"cutype": "3490/10", "driver": "tape_34xx", "online": "1", **device})


def ctc(kernel):
    add(kernel, "0.0.f500", cutype="3088/08", driver="ctcm", online="0")
    kernel.link("sys/devices/css0/0.0.3000/0.0.f500/group_device", "sys/devices/ctcm/0.0.f500")


def with_child(kind, name):
    def prepare(kernel):
        add(kernel)
        kernel.put(f"sys/devices/css0/0.0.3000/0.0.0300/{kind}/{name}/uevent", "")

    return prepare


def with_open_tape(kernel):
    with_child("tape390", "ntibm0")(kernel)
    kernel.put("dev/ntibm0", "")
    kernel.open_by(77, "tar", "/dev/ntibm0")


def firmware(**active):
    """Every boot and dump setting of the kernel names the disk; only the active types mean it."""

    def prepare(kernel):
        for setting, kind in active.items():
            kernel.put(f"sys/firmware/{setting}/{setting}_type", f"{kind}\n")
            for ccw in ("ccw", "eckd"):
                if ccw == kind or kind not in ("ccw", "eckd"):
                    kernel.put(f"sys/firmware/{setting}/{ccw}/device", "0.0.7e52\n")
                else:
                    kernel.put(f"sys/firmware/{setting}/{ccw}/device", "0.0.ffff\n")

    return prepare


def no_channels(kernel):
    kernel._rmtree(kernel.root / "sys/bus/css/devices")


def replaced_mdev(kernel):
    """Somebody removed the one that was made here and made another."""
    pass_to(kernel)
    kernel._remove(UUID)
    kernel._create("0.0.16ca", OTHER_UUID)


def overridden(kernel):
    kernel.put("sys/devices/css0/0.0.16ca/driver_override", "vfio_ccw\n")


def kept_by_others(kernel):
    kernel.put("etc/driverctl.d/css-0.0.16ca", "vfio_ccw\n")


def moved(kernel):
    """The host was started again, and what was to last was done to the disk that has the subchannel now."""
    foreign = {"device": "0.0.7e54", "uuid": UUID}
    converge(kernel.host(), [foreign])
    entry = json.loads(kernel.get("var/lib/vfio_ccw/journal.json"))["devices"]["0.0.7e54"]
    kernel.put("var/lib/vfio_ccw/journal.json", json.dumps({"format": 1, "devices": {"0.0.7e52": entry}}))


def aliases(kernel):
    """Two PAV aliases of the disk, a HyperPAV alias, which is nobody's, and one of another disk."""
    attribute("uid", "IBM.750000000DXP71.1234.52")(kernel)
    for number, unit in enumerate(("52", "52", "xx", "53")):
        kernel.add_subchannel(f"0.0.310{number}", f"0.0.810{number}", **DASD, online="1", alias="1")
        kernel.put(f"sys/devices/css0/0.0.310{number}/0.0.810{number}/uid", f"IBM.750000000DXP71.1234.{unit}\n")


def volumes(kernel):
    """A RAID array on the disk, a logical volume on that."""
    holder(kernel, "md0")
    (kernel.root / "sys/block/md0/holders/dm-0").mkdir(parents=True)
    (kernel.root / "sys/block/dm-0/slaves/md0").mkdir(parents=True)
    kernel.put("sys/block/md0/dev", "9:0\n")
    kernel.put("sys/block/dm-0/dev", "252:0\n")
    kernel.put("sys/block/dm-0/dm/uuid", "LVM-abc\n")
    kernel.put("sys/block/dm-0/dm/name", "vg0-root\n")


def root_on_volumes(kernel):
    volumes(kernel)
    mount(kernel, "70 22 252:0 / / rw - ext4 /dev/mapper/vg0-root rw")


def data_on_volumes(kernel):
    volumes(kernel)
    mount(kernel, "70 22 252:0 / /srv rw - ext4 /dev/mapper/vg0-root rw")


def old_rule(kernel):
    """For several devices in one file."""
    line = 'ACTION=="add", KERNEL=="0.0.7e52|0.0.7e53", ATTR{online}="1"\n'
    kernel.put("etc/udev/rules.d/60-disks.rules", "# online\n" + line)


def cmdline(text):
    return lambda kernel: kernel.put("proc/cmdline", f"root=/dev/vda1 {text}\n")


def rule_of_mdevctl(program, place="usr/lib"):
    return lambda kernel: kernel.put(
        f"{place}/udev/rules.d/60-mdevctl.rules", f'ACTION=="change", RUN+="{program} start-parent-mdevs %k"\n'
    )


def hidden_rule(kernel):
    rule_of_mdevctl("/usr/bin/mdevctl")(kernel)
    kernel.put("etc/udev/rules.d/60-mdevctl.rules", "")


def file(path, text, **others):
    """A file, and names of disks in others."""

    def prepare(kernel):
        kernel.put(path, text)
        for other, content in others.items():
            kernel.put(f"etc/{other}", content)

    return prepare


def zipl(kernel):
    """The running kernel's parameters do not count where the next boot's are known."""
    cmdline("cio_ignore=all")(kernel)
    kernel.put("etc/zipl.conf", '[linux]\n\timage = /boot/image\n\tparameters = "root=/dev/vda1 rd.dasd=0.0.7e52"\n')


def boot_entry(kernel):
    kernel.put("boot/loader/entries/a.conf", "title A\noptions root=/dev/vda1 rd.dasd=0.0.7e52\n")


def on_disk(label):
    """A label on the disk's partition."""
    return lambda kernel: disk_labels.write(kernel.root / "dev/dasda1", label)


def fstab(spec, target="/srv", kind="ext4", label=None):
    def prepare(kernel):
        if label is not None:
            on_disk(label)(kernel)
        kernel.put("etc/fstab", f"# <file system> <mount point>\n{spec} {target} {kind} defaults 0 2\n")

    return prepare


def fstab_by_link(kernel):
    """By a link of udev's in /dev/disk."""
    kernel.link("dev/disk/by-partuuid/94d0", "dev/dasda1")
    fstab("PARTUUID=94d0")(kernel)


def crypttab(kernel):
    on_disk(disk_labels.luks())(kernel)
    kernel.put("etc/crypttab", f"secret UUID={disk_labels.FILE_SYSTEM} none luks\n")


def unit(name, what):
    return lambda kernel: kernel.put(f"etc/systemd/system/{name}", f"[Unit]\n[Mount]\nWhat={what}\nWhere=/srv\n")


BY_PATH = "/dev/disk/by-path/ccw-0.0.7e54-part1"

# id, what the host is like, what is asked for, what the message has to say
CASES = [
    ("no-channels", no_channels, DISK, "/sys/bus/css"),
    ("no-permission", no_permission, DISK, "become"),
    ("no-permission", no_permission, {**DISK, "state": "absent"}, "become"),
    ("ignored", ignored, {"device": "0.0.9000"}, "cio_ignore -r 0.0.9000"),
    ("not-io-subchannel", None, {"device": "0.0.2000"}, "chsc"),
    ("not-found", None, {"device": "0.0.ffff"}, "lscss"),
    ("not-found", None, {"device": "0.0.16ca"}, "its device is 0.0.7e52"),
    ("not-found", None, {"device": "0.0.ffff", "state": "absent"}, "lscss"),
    ("no-vfio-ccw", kernel_without_option, DISK, "CONFIG_VFIO_CCW"),
    ("no-vfio-ccw", kernel_without_module, DISK, "lacks vfio_ccw"),
    ("virtio", None, {"device": "0.0.0001"}, "3832/02"),
    ("qdio", None, {"device": "0.0.a000"}, "1731/01"),
    ("mounted", None, {"device": "0.0.7e53"}, "mounted at /srv/data"),
    ("mounted", mounted_elsewhere, DISK, "in the namespace of process 900"),
    ("mounted", by_path, DISK, "mounted at /mnt"),
    ("mounted", lambda k: mount(k, r"70 22 94:1 / /my\040data rw - ext4 /dev/root rw"), DISK, "mounted at /my data"),
    ("mounted", lambda k: mount(k, "70 22 94:0 / /mnt rw - ext4 /dev/dasda rw"), DISK, "mounted at /mnt"),
    ("root-device", lambda k: mount(k, "70 22 94:1 / / rw - ext4 /dev/dasda1 rw"), DISK, "mounted at /"),
    ("root-device", root_on_volumes, DISK, "logical volume vg0-root (dm-0) lies on md0, mounted at /"),
    ("holder", data_on_volumes, DISK, "RAID array md0 has dasda1 as a member, logical volume vg0-root (dm-0) lies on"),
    ("swap", lambda k: k.put("proc/swaps", "Filename\tType\n/dev/dasda1 partition 1 0 -2\n"), DISK, "swapoff"),
    ("holder", lambda k: holder(k, "dm-0", "LVM", "vg0-root"), DISK, "logical volume vg0-root"),
    ("holder", lambda k: holder(k, "dm-1", "CRYPT", "secret"), DISK, "encrypted volume secret"),
    ("holder", lambda k: holder(k, "md0"), DISK, "RAID array md0"),
    ("holder", lambda k: k.put("sys/block/loop0/loop/backing_file", "/dev/dasda1\n"), DISK, "loop device loop0"),
    ("holder", lambda k: k.put("sys/fs/btrfs/b5ed/devices/dasda1/size", "1\n"), DISK, "btrfs"),
    ("volume-member", on_disk(disk_labels.lvm()), DISK, "dasda1 belongs to volume group vg0"),
    ("volume-member", on_disk(disk_labels.array("1.2")), DISK, "RAID array lpar1:data"),
    ("volume-member", on_disk(disk_labels.btrfs(2)), DISK, f"btrfs file system {disk_labels.BTRFS} of 2 disks"),
    ("in-fstab", fstab("/dev/dasda1"), DISK, "/etc/fstab names it (/dev/dasda1) for /srv"),
    ("in-fstab", fstab(f"UUID={disk_labels.FILE_SYSTEM}", label=disk_labels.ext4()), DISK, "UUID=0b9e0f6e"),
    ("in-fstab", fstab('LABEL="data"', label=disk_labels.xfs()), DISK, "LABEL=data"),
    ("in-fstab", fstab_by_link, DISK, "PARTUUID=94d0"),
    ("in-fstab", fstab(BY_PATH), {"device": "0.0.7e54"}, BY_PATH),
    ("in-fstab", unit("srv.mount", "/dev/dasda1"), DISK, "/etc/systemd/system/srv.mount"),
    ("swap-in-fstab", fstab("/dev/dasda1", "none", "swap"), DISK, "for swap"),
    ("swap-in-fstab", fstab("LABEL=swap1", "none", "swap", disk_labels.swap()), DISK, "LABEL=swap1"),
    ("swap-in-fstab", unit("dev-dasda1.swap", "/dev/dasda1"), DISK, "dev-dasda1.swap"),
    ("in-crypttab", crypttab, DISK, "the encrypted volume secret"),
    ("opened", lambda k: k.open_by(77, "fdasd", "/dev/dasda"), DISK, "process 77 (fdasd)"),
    ("grouped", ctc, {"device": "0.0.f500"}, "ccwgroup 0.0.f500"),
    ("serves", with_child("net", "eth0"), {"device": "0.0.0300"}, "network interface eth0"),
    ("serves", with_child("tty", "ttyS7"), {"device": "0.0.0300"}, "terminal ttyS7"),
    ("opened", with_open_tape, {"device": "0.0.0300"}, "process 77 (tar)"),
    ("online-no-disk", lambda k: add(k, cutype="3215/00"), {"device": "0.0.0300"}, "control unit 3215/00"),
    ("online-no-disk", lambda k: add(k, cutype="3270/00"), {"device": "0.0.0300"}, "3270/00"),
    ("online-no-disk", lambda k: add(k, cutype="3088/08"), {"device": "0.0.0300"}, "chccwdev -d 0.0.0300"),
    ("online-no-disk", lambda k: add(k, cutype="3490/10"), {"device": "0.0.0300"}, "3490/10"),
    ("base-with-aliases", aliases, DISK, "chccwdev -d 0.0.8100,0.0.8101"),
    ("alias", aliases, {"device": "0.0.8100"}, "of the disk IBM.750000000DXP71.1234.52"),
    ("alias", aliases, {"device": "0.0.8102"}, "every disk of the subsystem IBM.750000000DXP71.1234"),
    ("reserved", attribute("availability", "boxed"), DISK, "boxed"),
    ("reserved", attribute("last_known_reservation_state", "lost"), DISK, "'reset'"),
    ("reserved-here", attribute("last_known_reservation_state", "reserved"), DISK, "tunedasd -L /dev/dasda"),
    ("shared", attribute("host_access_count", "3"), DISK, "2 other systems have it online"),
    ("shared", attribute("host_access_count", "2"), DISK, "1 other system has it online"),
    ("unavailable", attribute("availability", "no path"), DISK, "no path"),
    ("boot-device", lambda k: k.put("sys/firmware/ipl/device", "0.0.7e52\n"), DISK, "IPL"),
    ("dump-device", lambda k: k.put("sys/firmware/dump/ccw/device", "0.0.7e52\n"), DISK, "dump"),
    ("boot-device", firmware(reipl="ccw", dump="none"), DISK, "re-IPL"),
    ("boot-device", firmware(reipl="eckd", dump="none"), DISK, "re-IPL"),
    ("dump-device", firmware(reipl="fcp", dump="ccw"), DISK, "dump"),
    ("dump-device", firmware(reipl="fcp", dump="eckd"), DISK, "dump"),
    ("no-tools", without_mdevctl, {**DISK, "persistent": True}, "lacks mdevctl"),
    ("no-tools", mdevctl_not_to_be_run, {**DISK, "persistent": True}, "lacks mdevctl"),
    ("stale-rule", rule_of_mdevctl("/usr/sbin/mdevctl"), {**DISK, "persistent": True}, "correct_rule: true"),
    ("stale-rule", rule_of_mdevctl("/opt/mdevctl", "etc"), {**DISK, "persistent": True}, "by /opt/mdevctl, which"),
    ("stale-rule", hidden_rule, {**DISK, "persistent": True}, "/etc/udev/rules.d/60-mdevctl.rules hides"),
    ("no-override", without_override, {**DISK, "persistent": True}, "5.3"),
    ("online-at-boot", zdev, {**DISK, "persistent": True}, "chzdev -d -p 0.0.7e52"),
    ("online-at-boot", old_rule, {**DISK, "persistent": True}, "/etc/udev/rules.d/60-disks.rules"),
    ("online-at-boot", old_rule, {**DISK, "persistent": True, "remove_rules": True}, "60-disks.rules"),
    ("online-at-boot", cmdline("dasd=7e00-7eff(ro)"), {**DISK, "persistent": True}, "/proc/cmdline (dasd="),
    ("online-at-boot", cmdline("rd.dasd=0.0.7e52,ro"), {**DISK, "persistent": True}, "rd.dasd=0.0.7e52,ro"),
    ("online-at-boot", cmdline("dasd=autodetect"), {**DISK, "persistent": True}, "dasd=autodetect"),
    ("online-at-boot", zipl, {**DISK, "persistent": True}, "/etc/zipl.conf (rd.dasd=0.0.7e52)"),
    ("online-at-boot", boot_entry, {**DISK, "persistent": True}, "/boot/loader/entries/a.conf (rd.dasd=0.0.7e52)"),
    (
        "online-at-boot",
        file("etc/kernel/cmdline", "rd.dasd=7e52\n"),
        {**DISK, "persistent": True},
        "/etc/kernel/cmdline",
    ),
    ("online-at-boot", file("etc/dasd.conf", "0.0.7e52 readonly=1\n"), {**DISK, "persistent": True}, "/etc/dasd.conf"),
    (
        "online-at-boot",
        file("etc/default/grub", 'GRUB_CMDLINE_LINUX_DEFAULT="quiet dasd=7e52"\n'),
        {**DISK, "persistent": True, "remove_parameters": True},
        "/etc/default/grub: edit GRUB_CMDLINE_LINUX there and run grub2-mkconfig",
    ),
    (
        "online-at-boot",
        cmdline("rd.dasd=7e52"),
        {**DISK, "persistent": True, "remove_parameters": True},
        "/proc/cmdline: it is not known where",
    ),
    (
        "online-at-boot",
        file("etc/kernel/cmdline", "dasd=autodetect\n"),
        {**DISK, "persistent": True, "remove_parameters": True},
        "'autodetect' names no device",
    ),
    (
        "online-at-boot",
        file("etc/kernel/cmdline", "dasd=7e52,7e53\n", fstab="/dev/dasdb1 /srv ext4 defaults 0 0\n"),
        {**DISK, "persistent": True, "remove_parameters": True},
        "/etc/fstab uses a name such as /dev/dasda1",
    ),
    ("hidden-at-boot", cmdline("cio_ignore=all,!0.0.0001"), {**DISK, "persistent": True}, "!0.0.7e52"),
    ("foreign-driver", foreign_driver, {**DISK, "state": "absent"}, "chsc_subchannel"),
    ("driver-override", lambda k: k.put("sys/devices/css0/0.0.16ca/driver_override", "none\n"), DISK, "unset-override"),
    ("other-guest", pass_to, {**DISK, "uuid": UUID, "guest": "linux02"}, "passed to guest linux01"),
    ("other-guest", pass_to, {**DISK, "guest": "linux02", "state": "absent"}, "passed to guest linux01"),
    ("other-uuid", pass_to, {**DISK, "uuid": OTHER_UUID}, UUID),
    ("other-uuid", replaced_mdev, {**DISK, "state": "absent"}, "not made here"),
    ("not-ours", foreign_mdev, {**DISK, "state": "absent"}, OTHER_UUID),
    ("not-ours", foreign_mdev, {**DISK, "uuid": OTHER_UUID}, "adopt: true"),
    ("foreign-override", overridden, DISK, "driver_override of subchannel 0.0.16ca"),
    ("foreign-override", kept_by_others, DISK, "/etc/driverctl.d/css-0.0.16ca"),
    ("wrong-device", moved, DISK, "device: 0.0.7e54, state: absent, adopt: true"),
    ("wrong-device", moved, {**DISK, "state": "absent"}, "subchannel 0.0.16cc"),
    ("other-uuid", pass_to, {**DISK, "uuid": OTHER_UUID, "state": "absent"}, UUID),
    ("other-uuid-at-boot", kept_mdev, {**DISK, "uuid": UUID}, f"mdevctl undefine -u {OTHER_UUID} -p 0.0.16ca"),
    ("not-passed", None, {**DISK, "scope": "mdev"}, "module zkvm.vfio_ccw.subchannel"),
    ("carries-mdev", pass_to, {**DISK, "scope": "subchannel", "state": "absent"}, UUID),
    ("no-such-subchannel", None, {"subchannel": "0.0.ffff"}, "lscss"),
    ("in-use", half_removed, {**DISK, "state": "absent"}, "was removed from subchannel 0.0.16ca"),
    ("in-use", half_removed, {**DISK, "uuid": OTHER_UUID}, "Stop that guest"),
    ("in-use", passed_and_in_use, {**DISK, "state": "absent"}, "/dev/vfio/0 is busy"),
    ("uuid-taken", taken_uuid, {**DISK, "uuid": UUID}, "0.0.16cc"),
    ("malformed", None, {"device": "7e52"}, "'7e52'"),
    ("malformed", None, {"device": ""}, "0.S.DDDD"),
    ("malformed", None, {"device": "0.0.8000-0.0.7000"}, "first to last"),
    ("malformed", None, {"device": "0.0.8000-80ff"}, "80ff"),
    ("empty-range", None, {"device": "0.0.8000-0.0.80ff"}, "no device in this range"),
    ("uuid-for-many", None, {"device": "0.0.7e52-0.0.7e54", "uuid": UUID}, "one by one"),
    ("bad-devno", None, {"device": "0.0.7e52-0.0.7e54", "devno": "fe.0.ffff"}, "begin lower"),
    ("bad-uuid", None, {**DISK, "uuid": "nonsense"}, "'nonsense'"),
    ("bad-devno", None, {**DISK, "devno": "1234"}, "'1234'"),
    ("invisible-devno", None, {**DISK, "devno": "0.0.1234"}, "fe"),
    ("bad-guest", None, {**DISK, "guest": "../etc/x"}, "'../etc/x'"),
    ("bad-guest", None, {**DISK, "guest": "linux01\n"}, r"'linux01\n'"),
]

LISTS = [
    ("duplicate-device", [DISK, {"device": "0.0.7E52"}]),
    ("duplicate-uuid", [{**DISK, "uuid": UUID}, {"device": "0.0.7e54", "uuid": UUID.upper()}]),
    (
        "duplicate-devno",
        [{**DISK, "guest": "a", "devno": "fe.0.1234"}, {"device": "0.0.7e54", "guest": "a", "devno": "FE.0.1234"}],
    ),
]
