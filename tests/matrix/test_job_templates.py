# SPDX-License-Identifier: GPL-3.0-or-later
"""examples/awx/job_templates.yml with the real modules of awx.awx.

They speak with a store that knows as much of AWX's REST API as they ask for: objects with a name in lists, their
associations, and a survey for each job template.

awx.awx comes with the package ansible, in an environment of its own (make matrix ONLY=awx): it has 500 MB.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

PROJECT = Path(__file__).resolve().parents[2]
AWX = PROJECT / "examples" / "awx"
ANSIBLE = PROJECT / "build" / "venvs" / "awx" / "bin"
PLAYBOOKS = {path.stem for path in (PROJECT / "playbooks").glob("*.yml")}
GIVEN = {"organizations": ["Default"], "inventories": ["zhosts"], "credentials": ["zhosts-root"]}


class Store:
    """What an AWX has, by the kind of object (the last part of its address)."""

    def __init__(self) -> None:
        self.objects: dict[str, list[dict[str, Any]]] = {}
        self.surveys: dict[int, Any] = {}
        self.links: dict[str, list[int]] = {}
        self.writes: list[str] = []
        for kind, names in GIVEN.items():
            for name in names:
                self.add(kind, {"name": name})

    def add(self, kind: str, fields: dict[str, Any]) -> dict[str, Any]:
        number = sum(map(len, self.objects.values())) + 1
        here = f"/api/v2/{kind}/{number}/"
        related = {name: f"{here}{name}/" for name in ("survey_spec", "credentials")}
        made = {
            "type": kind,
            "status": "successful",
            "scm_revision": "1",
            "summary_fields": {},
            **fields,
            "id": number,
            "url": here,
            "related": related,
        }
        self.objects.setdefault(kind, []).append(made)
        return made

    def get(self, path: str, query: dict[str, list[str]]) -> Any:
        if path == "/api/":
            return {"current_version": "/api/v2/"}
        kind, number, part = re.fullmatch(r"/api/v2/(\w+)/(?:(\d+)/)?(?:(\w+)/)?", path).groups()
        if part == "survey_spec":
            return self.surveys.get(int(number), {})
        found = self.objects.get(kind, [])
        if part:
            linked = self.links.get(path, [])
            found = [one for many in self.objects.values() for one in many if one["id"] in linked]
        elif number:
            return next(one for one in found if one["id"] == int(number))
        names = query.get("name", []) + query.get("or__name", [])
        found = [one for one in found if not names or one["name"] in names]
        return {"count": len(found), "results": found, "next": None}

    def post(self, path: str, body: Any) -> tuple[int, Any]:
        self.writes.append(path)
        kind, number, part = re.fullmatch(r"/api/v2/(\w+)/(?:(\d+)/)?(?:(\w+)/)?", path).groups()
        if part == "survey_spec":
            self.surveys[int(number)] = body
            return 200, {}
        if part:
            self.links.setdefault(path, []).append(body["id"])
            return 204, None
        return 201, self.add(kind, body)


@pytest.fixture(name="store")
def _store() -> Iterator[tuple[Store, str]]:
    store = Store()

    class Handler(BaseHTTPRequestHandler):
        def answer(self, status: int, body: Any) -> None:
            text = b"" if body is None else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            self.answer(200, store.get(address.path, parse_qs(address.query)))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.answer(*store.post(urlsplit(self.path).path, body))

        def log_message(self, *_args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield store, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def run(address: str, *options: str) -> str:
    variables = {"awx_inventory": "zhosts", "awx_credential": "zhosts-root", "awx_image": "zkvm-vfio-ccw:latest"}
    done = subprocess.run(
        [
            str(ANSIBLE / "ansible-playbook"),
            "-e",
            json.dumps({**variables, "awx_project_url": "https://git.example.com/p"}),
        ]
        + [*options, "job_templates.yml"],
        cwd=AWX,
        env={**os.environ, "CONTROLLER_HOST": address, "CONTROLLER_OAUTH_TOKEN": "token", "ANSIBLE_NOCOLOR": "1"}
        | {"ANSIBLE_COLLECTIONS_PATH": "/nowhere"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_job_templates_are_made_once(store):
    awx, address = store
    run(address, "--syntax-check")
    run(address)
    templates = {template["playbook"]: template for template in awx.objects["job_templates"]}
    assert set(templates) == {f"{playbook}.yml" for playbook in PLAYBOOKS}
    for playbook in PLAYBOOKS:
        template = templates[f"{playbook}.yml"]
        posted = json.loads((AWX / "surveys" / f"{playbook}.json").read_text(encoding="utf-8"))
        assert awx.surveys[template["id"]] == posted
        assert template["survey_enabled"] and template["become_enabled"]
        assert awx.links[f"{template['url']}credentials/"] == [awx.objects["credentials"][0]["id"]]
    awx.writes.clear()
    assert "changed=0" in run(address)
    assert not awx.writes


def test_a_check_makes_nothing(store):
    awx, address = store
    run(address)
    awx.writes.clear()
    assert "changed=0" in run(address, "--check")
    assert not awx.writes
