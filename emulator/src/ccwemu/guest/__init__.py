# SPDX-License-Identifier: GPL-2.0-or-later
"""The quick guest: a QEMU in which a model of Linux runs instead of an emulated processor."""
