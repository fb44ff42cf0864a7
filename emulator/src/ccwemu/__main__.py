# SPDX-License-Identifier: GPL-2.0-or-later
"""``python -m ccwemu``."""

import sys

from ccwemu.cli import main

if __name__ == "__main__":
    sys.exit(main())
