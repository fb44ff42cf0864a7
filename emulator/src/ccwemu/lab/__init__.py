# SPDX-License-Identifier: GPL-2.0-or-later
"""Labs: what users define, start and end."""
