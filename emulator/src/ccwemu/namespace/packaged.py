# SPDX-License-Identifier: GPL-2.0-or-later
"""What the machine's packages have wrong and a node has right, as its administrator would have made it."""

from __future__ import annotations

import os

_RULES = ("/usr/lib/udev/rules.d/60-mdevctl.rules", "/lib/udev/rules.d/60-mdevctl.rules")
_NAMED, _INSTALLED = "/usr/sbin/mdevctl", "/usr/bin/mdevctl"
_HEAD = f"# The package's own, but for the place of mdevctl: the package installs {_INSTALLED}.\n"


def corrected_rules() -> dict[str, str]:
    """Files for /etc/udev/rules.d, where they hide the packages' own: name → text.

    Debian 12's mdevctl 1.2.0-3 names /usr/sbin/mdevctl in its rule, which it does not have: nothing is started.
    """
    path = next(filter(os.path.exists, _RULES), None)
    if path is None or os.path.exists(_NAMED) or not os.path.exists(_INSTALLED):
        return {}
    with open(path, encoding="utf-8") as file:
        return {os.path.basename(path): _HEAD + file.read().replace(_NAMED, _INSTALLED)}
