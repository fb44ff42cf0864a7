# SPDX-License-Identifier: GPL-2.0-or-later
"""The channel core against Hercules, and against what memory allows."""
