# SPDX-License-Identifier: GPL-3.0-or-later
"""A headless Chromium, driven by the DevTools protocol over the pipe that it has for that: no port, no further program.

https://chromedevtools.github.io/devtools-protocol/ names the methods and events. Over --remote-debugging-pipe a message
is JSON ended by a NUL byte, to the browser on its descriptor 3 and from it on 4.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

COMMAND = "chromium-headless-shell"
CHUNK = 1 << 20

Message = dict[str, Any]


class BrowserError(Exception):
    """The browser refused something, or has ended."""


class Browser:
    """One browser with one page. ``events``: what the browser told since the page was opened."""

    def __init__(self, profile: Path) -> None:
        """``profile``: an empty directory of its own."""
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        options = [f"--user-data-dir={profile}", "--remote-debugging-pipe", "--disable-gpu"]
        if os.getuid() == 0:
            options.append("--no-sandbox")  # it does not start as root otherwise
        # the shell gives the descriptors the numbers that the browser knows them by
        argv = ["bash", "-c", f'exec "$@" 3<&{to_browser} 4>&{from_browser}', "browser", COMMAND, *options]
        self._log = (profile / "log").open("wb")
        self._process = subprocess.Popen(argv, pass_fds=(to_browser, from_browser), stderr=self._log)
        os.close(to_browser)
        os.close(from_browser)
        self._read = b""
        self._number = 0
        self._session = ""
        self.events: list[Message] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._log.close()
        for descriptor in (self._in, self._out):
            os.close(descriptor)

    # --- the protocol

    def call(self, method: str, **parameters: Any) -> Message:
        """The result of a method. Raises BrowserError."""
        self._number += 1
        message: Message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        rest = json.dumps(message).encode() + b"\0"
        while rest:
            rest = rest[os.write(self._out, rest) :]
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error'].get('message')}")
                result: Message = answer["result"]
                return result
            self.events.append(answer)

    def _next(self) -> Message:
        while b"\0" not in self._read:
            chunk = os.read(self._in, CHUNK)
            if not chunk:
                raise BrowserError(f"the browser has ended: {Path(self._log.name).read_text(errors='replace')[-2000:]}")
            self._read += chunk
        message, _nul, self._read = self._read.partition(b"\0")
        parsed: Message = json.loads(message)
        return parsed

    # --- a page

    def open(self, page: Path) -> None:
        """Until all of it is there."""
        self.events.clear()
        self.call("Page.navigate", url=page.as_uri())
        while not self.told("Page.loadEventFired"):
            self.events.append(self._next())

    def told(self, method: str) -> list[Message]:
        """What the events of a kind say."""
        return [event["params"] for event in self.events if event.get("method") == method]

    def run(self, script: str) -> Any:
        """The value of an expression of JavaScript in the page; a promise is waited for. Raises BrowserError."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise BrowserError(f"{script[:200]}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def resize(self, width: int, height: int = 800) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def look(self, scheme: str = "light", medium: str = "") -> None:
        """``scheme``: light or dark; ``medium``: print, or "" for the screen."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=medium, features=features)

    def scripts(self, allowed: bool) -> None:
        self.call("Emulation.setScriptExecutionDisabled", value=not allowed)
