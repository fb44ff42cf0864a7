# SPDX-License-Identifier: GPL-2.0-or-later
"""A second interpreter of channel programs and of the 3390: slow, obvious, and written from the architecture.

It shares nothing with the C core. Data move byte by byte, a check is an exception, the disk is a dictionary of
tracks. What the C core does is compared with it, program by program (test_reference_programs.py), and the table of the
architecture (test_architecture_table.py) holds for both.
"""
