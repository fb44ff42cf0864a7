# SPDX-License-Identifier: GPL-2.0-or-later
"""The emulated /sys against libfuse's passthrough examples over a plain copy of the same tree."""
