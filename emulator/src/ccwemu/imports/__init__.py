# SPDX-License-Identifier: GPL-2.0-or-later
"""From the description of a real host to the definition of a lab that has one like it (``ccwemu import``)."""
