# SPDX-License-Identifier: GPL-2.0-or-later
"""Namespaces and root file systems of emulated nodes."""
