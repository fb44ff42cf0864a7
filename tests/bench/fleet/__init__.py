# SPDX-License-Identifier: GPL-2.0-or-later
"""Many emulated hosts in one inventory, each with a guest."""
