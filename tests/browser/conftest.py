# SPDX-License-Identifier: GPL-3.0-or-later
"""A browser for all tests of this directory, and pages for it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(PROJECT / "build" / "collections"), str(Path(__file__).parent)]

from ansible_collections.zkvm.vfio_ccw.plugins.plugin_utils._report import report_html  # noqa: E402
from chromium import COMMAND, Browser  # noqa: E402


@pytest.fixture(scope="session", name="browser")
def _browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if shutil.which(COMMAND) is None:
        pytest.skip(f"there is no {COMMAND}; .ci/system-packages browser installs it")
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture(name="show")
def _show(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Browser]]:
    """show(hosts, plans) opens the report on them; what is then told of is of that page."""

    def show(hosts: dict[str, Any], plans: Any = None, scripts: bool = True) -> Browser:
        page = tmp_path / "report.html"
        page.write_text(report_html(hosts, plans, at="2026-11-25 19:30 UTC"), encoding="utf-8")
        browser.scripts(scripts)
        browser.open(page)
        return browser

    browser.resize(1280)
    browser.look()
    yield show
    browser.scripts(True)
