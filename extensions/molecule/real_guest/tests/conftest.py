# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a test fails: what the guests' consoles showed last."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

LINES = 30


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    if report.failed:
        host = item._request.getfixturevalue("lpar1")
        consoles = host.run(f"tail -n {LINES} /var/log/vfio_ccw/*.console").stdout
        report.sections.append((f"the guests' consoles, last {LINES} lines", consoles))
    return report
