# SPDX-License-Identifier: GPL-2.0-or-later
"""Guest images: kernel and root file system of a stock Debian s390x guest, made from Debian's packages."""
