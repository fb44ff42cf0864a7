# SPDX-License-Identifier: GPL-2.0-or-later
"""What a host's own configuration brings about: udev's rules, systemd's units, modules-load.d."""
