# SPDX-License-Identifier: GPL-2.0-or-later
"""The collection's engine against what an administrator would do otherwise, on one emulated host."""
