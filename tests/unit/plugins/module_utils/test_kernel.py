# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each kernel version needs, and what is said of one that lacks it."""

from __future__ import annotations

import gzip

import pytest
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.engine._kernel_support import KernelError, converge_kernel
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.host._kernel import (
    OPTIONS,
    PERSISTENT_FILE,
    observe_kernel,
    parse_config,
)
from ansible_collections.zkvm.vfio_ccw.tests.unit.fake_kernel import FakeKernel

WIKI = {
    "CONFIG_S390_CCW_IOMMU": "y",
    "CONFIG_VFIO": "m",
    "CONFIG_VFIO_MDEV": "m",
    "CONFIG_VFIO_MDEV_DEVICE": "m",
    "CONFIG_VFIO_CCW": "m",
}
WIKI_MODULES = ["vfio", "mdev", "vfio_mdev", "vfio_iommu_type1", "vfio_ccw"]
NO_MDEV_DEVICE = {name: value for name, value in WIKI.items() if name != "CONFIG_VFIO_MDEV_DEVICE"}
NEW = {"CONFIG_VFIO": "m", "CONFIG_VFIO_MDEV": "m", "CONFIG_VFIO_CCW": "m"}
NO_VFIO_MDEV = [name for name in WIKI_MODULES if name != "vfio_mdev"]


def make(tmp_path, release, config, modules):
    kernel = FakeKernel(tmp_path)
    kernel.put("proc/sys/kernel/osrelease", release + "\n")
    lines = [f"# {name} is not set" if value == "n" else f"{name}={value}" for name, value in config.items()]
    kernel.put(f"boot/config-{release}", "\n".join(lines) + "\n")
    kernel.put(f"lib/modules/{release}/modules.dep", "".join(f"kernel/{m}.ko.zst: kernel/a.ko\n" for m in modules))
    return kernel


@pytest.mark.parametrize(
    "release, needed",
    [
        ("4.15.0-213-generic", set(WIKI)),
        ("5.4.0-150-generic", set(WIKI)),
        ("5.10.0-30-s390x", set(WIKI)),
        ("5.15.0-100-generic", set(NO_MDEV_DEVICE)),
        ("6.1.0-29-s390x", set(NO_MDEV_DEVICE)),
        ("6.8.0-31-generic", {"CONFIG_VFIO", "CONFIG_VFIO_CCW"}),
        ("6.12.107+deb13-s390x", {"CONFIG_VFIO", "CONFIG_VFIO_CCW"}),
    ],
)
def test_what_is_needed_depends_on_the_version(tmp_path, release, needed):
    kernel = make(tmp_path, release, dict.fromkeys(WIKI, "n"), [])
    assert set(observe_kernel(kernel.host()).missing_options) == needed


@pytest.mark.parametrize(
    "release, config, modules",
    [
        ("5.10.0-30-s390x", WIKI, WIKI_MODULES),
        ("6.1.0-29-s390x", NO_MDEV_DEVICE, NO_VFIO_MDEV),
        ("6.6.0", NEW, NO_VFIO_MDEV),
        ("6.12.107", NEW, NO_VFIO_MDEV),
    ],
)
def test_a_kernel_that_has_it_loads_its_modules_in_order(tmp_path, release, config, modules):
    kernel = make(tmp_path, release, config, reversed(modules))
    assert observe_kernel(kernel.host()).lack() == ""
    assert observe_kernel(kernel.host()).to_load == modules


@pytest.mark.parametrize("missing", [rule.name for rule in OPTIONS])
def test_a_missing_option_is_named(tmp_path, missing):
    kernel = make(tmp_path, "5.10.0", {**WIKI, missing: "n"}, [name for name in WIKI_MODULES if name != "vfio_ccw"])
    with pytest.raises(KernelError, match=rf"without {missing} \(read in /boot/config-5\.10\.0\)"):
        converge_kernel(kernel.host(), persistent=True, check_mode=False)
    assert kernel.commands == []


def test_a_missing_module_is_named(tmp_path):
    kernel = make(tmp_path, "5.10.0", WIKI, [name for name in WIKI_MODULES if name != "vfio_ccw"])
    with pytest.raises(KernelError, match="/lib/modules/5.10.0 lacks vfio_ccw;"):
        converge_kernel(kernel.host(), persistent=True, check_mode=False)


BACKPORT = {"CONFIG_VFIO": "m", "CONFIG_VFIO_CCW": "m"}
"""A vendor's 4.18 or 5.14 may have the vfio-ccw of a much newer kernel, without the options of its own number."""


@pytest.mark.parametrize("release", ["4.18.0-553.el8.s390x", "5.14.0-427.el9.s390x", "6.4.0-150600.21-default"])
@pytest.mark.parametrize("modules", [["vfio", "mdev", "vfio_iommu_type1", "vfio_ccw"], ["vfio", "mdev", "vfio_ccw"]])
def test_a_vendors_backport_is_judged_by_what_is_there(tmp_path, release, modules):
    kernel = make(tmp_path, release, {**dict.fromkeys(WIKI, "n"), **BACKPORT}, modules)
    support = observe_kernel(kernel.host())
    assert (support.lack(), support.to_load, support.kept) == ("", modules, modules)
    assert "CONFIG_VFIO_MDEV" in support.doubt()


def test_a_registered_driver_is_enough_whatever_the_configuration_says(tmp_path):
    kernel = make(tmp_path, "4.18.0-553.el8.s390x", dict.fromkeys(WIKI, "n"), [])
    kernel.load_vfio_ccw()
    result = converge_kernel(kernel.host(), persistent=True, check_mode=False)
    assert (result["changed"], kernel.commands) == (False, [])
    assert "if a mediated device gets no driver" in result["warnings_"][0]


def test_a_kernel_that_has_it_all_is_not_doubted(tmp_path):
    kernel = make(tmp_path, "6.1.0-29-s390x", NO_MDEV_DEVICE, NO_VFIO_MDEV)
    assert converge_kernel(kernel.host(), persistent=True, check_mode=True)["warnings_"] == []


def test_the_table_explains_a_module_that_is_not_there(tmp_path):
    kernel = make(tmp_path, "5.10.0", {**WIKI, "CONFIG_VFIO_MDEV_DEVICE": "n"}, ["vfio", "mdev"])
    with pytest.raises(KernelError, match=r"without CONFIG_VFIO_MDEV_DEVICE \(read in /boot/config-5\.10\.0\)"):
        converge_kernel(kernel.host(), persistent=True, check_mode=False)


@pytest.mark.parametrize("release, says", [("4.4.0", "older than 4.12"), ("next", "has no version")])
def test_a_kernel_that_is_too_old_or_unknown(tmp_path, release, says):
    with pytest.raises(KernelError, match=says):
        converge_kernel(make(tmp_path, release, WIKI, ["vfio"]).host(), persistent=True, check_mode=False)


def test_the_running_kernels_own_configuration_comes_first(tmp_path):
    kernel = make(tmp_path, "6.1.0", {**NO_MDEV_DEVICE, "CONFIG_VFIO_CCW": "n"}, NO_VFIO_MDEV)
    text = "".join(f"{name}={value}\n" for name, value in NO_MDEV_DEVICE.items())
    (kernel.root / "proc/config.gz").write_bytes(gzip.compress(text.encode()))
    support = observe_kernel(kernel.host())
    assert (support.config_source, support.lack()) == ("/proc/config.gz", "")


def test_without_any_configuration_the_module_tree_decides(tmp_path):
    kernel = make(tmp_path, "6.1.0", {}, NO_VFIO_MDEV)
    (kernel.root / "boot/config-6.1.0").unlink()
    assert observe_kernel(kernel.host()).lack() == ""
    kernel.put("lib/modules/6.1.0/modules.dep", "")
    assert "vfio_ccw" in observe_kernel(kernel.host()).lack()


def test_the_module_loads_keeps_and_then_is_done(tmp_path):
    kernel = FakeKernel(tmp_path)
    kernel.add_config(**NO_MDEV_DEVICE)
    kernel.add_module_tree(*NO_VFIO_MDEV)
    planned = converge_kernel(kernel.host(), persistent=True, check_mode=True)
    assert kernel.commands == [] and not (tmp_path / PERSISTENT_FILE.lstrip("/")).exists()
    done = converge_kernel(kernel.host(), persistent=True, check_mode=False)
    assert planned["actions"] == done["actions"] and done["changed"]
    assert kernel.commands == [["modprobe", name] for name in NO_VFIO_MDEV]
    kept = [line for line in kernel.get(PERSISTENT_FILE).splitlines() if not line.startswith("#")]
    assert kept == NO_VFIO_MDEV
    assert done["modules"] == dict.fromkeys(NO_VFIO_MDEV, "loaded")
    assert not converge_kernel(kernel.host(), persistent=True, check_mode=False)["changed"]


def test_what_is_not_to_be_kept_is_not(tmp_path):
    kernel = FakeKernel(tmp_path)
    kernel.add_config(**NO_MDEV_DEVICE)
    kernel.add_module_tree(*NO_VFIO_MDEV)
    converge_kernel(kernel.host(), persistent=False, check_mode=False)
    assert not (tmp_path / PERSISTENT_FILE.lstrip("/")).exists()


def test_a_built_in_driver_needs_no_loading(tmp_path):
    kernel = FakeKernel(tmp_path)
    kernel.add_config(**dict.fromkeys(NO_MDEV_DEVICE, "y"))
    kernel.add_module_tree()
    tree = "lib/modules/6.1.0-29-s390x/modules.builtin"
    kernel.put(tree, "".join(f"kernel/drivers/vfio/{name.replace('_', '-')}.ko\n" for name in NO_VFIO_MDEV))
    kernel.load_vfio_ccw()
    result = converge_kernel(kernel.host(), persistent=True, check_mode=False)
    assert (result["changed"], result["modules"]["vfio_ccw"], kernel.commands) == (False, "builtin", [])


def test_a_module_that_does_not_load_is_an_error_with_what_modprobe_said(tmp_path):
    kernel = FakeKernel(tmp_path)
    kernel.add_config(**NO_MDEV_DEVICE)
    kernel.add_module_tree(*NO_VFIO_MDEV)
    host = kernel.host()
    host._run_command = lambda argv, data: (1, "", "modprobe: ERROR: could not insert 'vfio': Operation not permitted")
    with pytest.raises(KernelError, match="could not insert 'vfio'"):
        converge_kernel(host, persistent=True, check_mode=False)


def test_a_driver_that_does_not_appear_is_an_error(tmp_path):
    kernel = FakeKernel(tmp_path)
    kernel.add_config(**NO_MDEV_DEVICE)
    kernel.add_module_tree(*NO_VFIO_MDEV)
    kernel.load_vfio_ccw = lambda: None
    with pytest.raises(KernelError, match="no s390x system"):
        converge_kernel(kernel.host(), persistent=True, check_mode=False)


def test_configuration_lines():
    assert parse_config('#\n# CONFIG_A is not set\nCONFIG_B=m\nCONFIG_C="x y"\nnoise\n') == {
        "CONFIG_A": "n",
        "CONFIG_B": "m",
        "CONFIG_C": '"x y"',
    }


def test_tools_that_persistent_devices_need(tmp_path):
    kernel = make(tmp_path, "6.1.0", NO_MDEV_DEVICE, NO_VFIO_MDEV)
    kernel.put_command("usr/bin/mdevctl")
    with pytest.raises(KernelError, match="driverctl is not installed.*Install the package driverctl .*Nothing was"):
        converge_kernel(kernel.host(), True, False, ["driverctl", "mdevctl"])
    assert kernel.commands == []
    kernel.put_command("usr/sbin/driverctl")
    done = converge_kernel(kernel.host(), True, True, ["driverctl", "mdevctl"])
    assert done["tools"] == {"driverctl": True, "mdevctl": True}
