# SPDX-License-Identifier: GPL-2.0-or-later
"""What makes a machine visible: /sys, /proc and /dev of a node, served through FUSE."""
