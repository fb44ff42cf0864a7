# SPDX-License-Identifier: GPL-3.0-or-later
"""examples/awx as AWX runs it: by ansible-runner, on the installed tarball, survey answers as extra variables.

ansible-core is that of build/cores/$CORE (requirements/cores.txt), by default the oldest that the collection takes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ansible_runner
import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
AWX = PROJECT / "examples" / "awx"
CORE = PROJECT / "build" / "cores" / os.environ.get("CORE", "2.16") / "bin"
DEVICE, GUEST, GUEST_DEVICE, OTHER_GUEST = "0.0.7e52", "linux01", "0.0.1234", "linux02"
SEED = PROJECT / "emulator" / "src" / "ccwemu" / "labs" / "seed.yml"
# As AWX checks a survey that is posted to it (awx/api/views/__init__.py, JobTemplateSurveySpec): types of a default
TYPES = {
    "text": str,
    "textarea": str,
    "password": str,
    "multiplechoice": str,
    "multiselect": str,
    "integer": int,
    "float": float,
}
PLAYBOOKS = sorted(path.stem for path in (PROJECT / "playbooks").glob("*.yml"))
SURVEYS = sorted((AWX / "surveys").glob("*.json"))


def survey(playbook: str) -> dict[str, Any]:
    return json.loads((AWX / "surveys" / f"{playbook}.json").read_text(encoding="utf-8"))


def answers(playbook: str, **given: str) -> dict[str, str]:
    """What AWX hands over: an answer to each question, the default where none is given; all of them strings here."""
    asked = {question["variable"]: str(question.get("default", "")) for question in survey(playbook)["spec"]}
    assert set(given) <= set(asked)
    return {**asked, **given}


@dataclass
class Job:
    """A job that has ended."""

    status: str
    said: str
    stats: dict[str, dict[str, int]]
    artifacts: dict[str, Any]


@dataclass
class Awx:
    """An AWX with the lab in its inventory, which gets a private directory for each job."""

    home: Path
    inventory: str
    environment: dict[str, str]

    def launch(self, playbook: str, *, check: bool = False, **given: str) -> Job:
        private = self.home / "runner"
        shutil.rmtree(private, ignore_errors=True)
        shutil.copytree(AWX, private / "project")
        hosts = private / "inventory" / "hosts"
        hosts.parent.mkdir()
        hosts.write_text(f"#!/usr/bin/env python3\nprint({self.inventory!r})\n", encoding="utf-8")
        hosts.chmod(0o700)
        run = ansible_runner.run(
            private_data_dir=str(private),
            playbook=f"{playbook}.yml",
            extravars=answers(playbook, **given),
            cmdline="--check --diff" if check else "",
            envvars=self.environment,
            quiet=True,
        )
        last = [event["event_data"] for event in run.events if event["event"] == "playbook_on_stats"]
        artifacts = last[0].get("artifact_data", {}) if last else {}
        return Job(run.status, run.stdout.read(), run.stats or {}, artifacts)


@pytest.fixture(scope="module", name="lab")
def _lab(controller) -> Iterator[str]:
    """The seed lab with a second guest."""
    definition = controller.home / "awx.yml"
    definition.write_text(
        SEED.read_text(encoding="utf-8") + f"  {OTHER_GUEST}: {{host: lpar1, kind: quick}}\n", "utf-8"
    )
    up = controller.ccwemu("up", "--name", "awx", str(definition))
    assert up.returncode == 0, up.stdout
    yield "awx"
    controller.ccwemu("down", "awx")


@pytest.fixture(scope="module", name="awx")
def _awx(controller, installed, lab) -> Awx:
    assert CORE.is_dir(), f"{CORE} is missing: make cores"
    environment = {
        **controller.environment,
        "PATH": f"{CORE}:{os.environ['PATH']}",
        "ANSIBLE_COLLECTIONS_PATH": str(installed),
        "ANSIBLE_INVENTORY_ENABLED": "zkvm.vfio_ccw.ccwemu,script",
        "ANSIBLE_INJECT_FACT_VARS": "False",  # ansible-core 2.24 will know nothing else
    }
    listed = subprocess.run(
        [str(CORE / "ansible-inventory"), "-i", controller.inventory(lab), "--list"],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    inventory = json.loads(listed.stdout)
    inventory["guests"]["vars"] = {"guest_accel": "tcg"}
    return Awx(controller.home, json.dumps(inventory), environment)


@pytest.mark.lab
def test_a_disk_goes_to_its_guest_and_back(awx, controller, lab):
    def node(name: str, *command: str) -> str:
        return controller.ccwemu("exec", "--lab", lab, name, "--", *command).stdout

    disk = {"passthrough_device": DEVICE, "passthrough_guest": GUEST, "passthrough_devno": f"fe.{GUEST_DEVICE[2:]}"}
    before = node("lpar1", "sh", "-c", "lscss -a; lsdasd -a")

    planned = awx.launch("provision", check=True, **disk)
    assert planned.status == "successful", planned.said
    assert planned.stats["changed"] and "vfio_ccw" in planned.said
    assert planned.artifacts["vfio_ccw_provision"]["check_mode"] is True
    assert node("lpar1", "sh", "-c", "lscss -a; lsdasd -a") == before

    tried = awx.launch("rehearse", **disk)
    assert tried.status == "successful", tried.said
    assert "zkvm.vfio_ccw.provision succeeds on the twins of lpar1" in tried.said
    assert tried.artifacts == {
        "vfio_ccw_rehearse": {
            "change": "zkvm.vfio_ccw.provision",
            "hosts": ["lpar1"],
            "passed": True,
            "refusals": {},
            "problems": [],
        }
    }
    assert node("lpar1", "sh", "-c", "lscss -a; lsdasd -a") == before

    done = awx.launch("provision", **disk)
    assert done.status == "successful", done.said
    assert GUEST_DEVICE in node(GUEST, "lsdasd")
    published = done.artifacts["vfio_ccw_provision"]
    assert [one["device"] for one in published["devices"]["lpar1"]] == [DEVICE]
    assert [one["device"] for one in published["guests"][GUEST]] == [GUEST_DEVICE]

    seen = awx.launch("doctor", doctor_device=DEVICE, doctor_guest=GUEST)
    assert seen.status == "successful", seen.said
    assert f"{GUEST_DEVICE} in {GUEST}" in seen.said
    assert seen.artifacts == {"vfio_ccw_doctor": {"verdicts": {"lpar1": "usable"}}}

    page = controller.home / "channels.html"
    report = awx.launch("report", report_dest=str(page))
    assert report.status == "successful", report.said
    assert GUEST in page.read_text(encoding="utf-8")
    published = report.artifacts["vfio_ccw_report"]
    assert (published["page"], published["picture"]) == (str(page), "")
    assert (published["hosts"], published["not_seen"], published["passed"]) == (1, [], 1)

    move = {"move_device": DEVICE, "move_from": GUEST, "move_to": OTHER_GUEST, "move_devno": f"fe.{GUEST_DEVICE[2:]}"}
    planned = awx.launch("move", check=True, **move)
    assert planned.status == "successful", planned.said
    assert planned.artifacts["vfio_ccw_move"]["check_mode"] is True
    assert GUEST_DEVICE in node(GUEST, "lsdasd")
    moved = awx.launch("move", **move)
    assert moved.status == "successful", moved.said
    assert GUEST_DEVICE in node(OTHER_GUEST, "lsdasd")
    published = moved.artifacts["vfio_ccw_move"]
    assert (published["device"], published["from"], published["to"]) == (DEVICE, GUEST, OTHER_GUEST)
    assert published["disk"]["device"] == GUEST_DEVICE

    back = awx.launch("release", passthrough_device=DEVICE)
    assert back.status == "successful", back.said
    assert [one["state"] for one in back.artifacts["vfio_ccw_release"]["devices"]["lpar1"]] == ["absent"]
    assert node("lpar1", "sh", "-c", "lscss -a; lsdasd -a") == before


@pytest.mark.lab
def test_a_wrong_answer_fails_before_any_change(awx):
    failed = awx.launch("provision", passthrough_device="7e52")
    assert failed.status == "failed"
    assert "7e52" in failed.said and "expected" in failed.said
    assert not failed.stats["changed"]


@pytest.mark.lab
def test_a_rehearsal_that_fails_says_what_is_refused(awx):
    failed = awx.launch("rehearse", passthrough_device="0.0.7e53")
    assert failed.status == "failed"
    published = failed.artifacts["vfio_ccw_rehearse"]
    assert published["passed"] is False
    assert [(one["device"], one["id"]) for one in published["refusals"]["lpar1"]] == [("0.0.7e53", "mounted")]
    assert published["problems"][0].startswith("lpar1: 0.0.7e53: the disk is in use on the host: mounted")


def test_each_playbook_has_a_wrapper_that_awx_finds_and_a_survey():
    for playbook in PLAYBOOKS:
        play = yaml.safe_load((AWX / f"{playbook}.yml").read_text(encoding="utf-8"))
        assert [part["ansible.builtin.import_playbook"] for part in play] == [f"zkvm.vfio_ccw.{playbook}"]
        assert survey(playbook)
    assert [path.stem for path in SURVEYS] == PLAYBOOKS
    templates = yaml.safe_load((AWX / "job_templates.yml").read_text(encoding="utf-8"))[0]["vars"]["templates"]
    assert sorted(template["playbook"] for template in templates) == PLAYBOOKS


@pytest.mark.parametrize("path", SURVEYS, ids=[path.stem for path in SURVEYS])
def test_awx_takes_the_survey(path):
    posted = survey(path.stem)
    assert isinstance(posted["name"], str) and isinstance(posted["description"], str) and posted["spec"]
    for question in posted["spec"]:
        assert isinstance(question["required"], bool)
        assert all(isinstance(question[key], str) for key in ("type", "question_name", "variable"))
        default = question.get("default", "")
        assert default == "" or isinstance(default, TYPES[question["type"]])
        assert all(isinstance(question[key], int) for key in ("min", "max") if key in question)
        if question["type"] in ("multiplechoice", "multiselect"):
            assert default in question["choices"]
    variables = [question["variable"] for question in posted["spec"]]
    assert len(variables) == len(set(variables))


def options() -> dict[str, dict[str, Any]]:
    """The options of all roles."""
    found: dict[str, dict[str, Any]] = {}
    for path in (PROJECT / "roles").glob("*/meta/argument_specs.yml"):
        found |= yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]["main"]["options"]
    return found


@pytest.mark.parametrize("path", SURVEYS, ids=[path.stem for path in SURVEYS])
def test_a_survey_asks_for_variables_that_there_are(path):
    known, play = options(), (PROJECT / "playbooks" / path.name).with_suffix(".yml").read_text(encoding="utf-8")
    for question in survey(path.stem)["spec"]:
        name = question["variable"]
        assert name in known or re.search(rf"^[^#]*\b{name}\b", play, re.MULTILINE), name
        if "choices" in question and "choices" in known.get(name, {}):
            assert set(question["choices"]) <= set(known[name]["choices"])


def test_ansible_builder_takes_the_execution_environment(tmp_path):
    made = subprocess.run(
        ["ansible-builder", "create", "--file", "execution-environment.yml", "--context", str(tmp_path)],
        cwd=AWX,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout
    containerfile = next(
        path for path in tmp_path.iterdir() if path.is_file()
    )  # or Dockerfile, by the builder's default
    assert "ansible-core>=2.16" in containerfile.read_text(encoding="utf-8")
    wanted = yaml.safe_load((tmp_path / "_build" / "requirements.yml").read_text(encoding="utf-8"))
    assert [one["name"] for one in wanted["collections"]] == ["https://github.com/zkvm/vfio_ccw.git"]


def test_ansible_builder_finds_what_the_collection_needs_on_the_controller(installed):
    found = subprocess.run(
        ["ansible-builder", "introspect", str(installed)], stdout=subprocess.PIPE, text=True, check=True
    )
    needed = yaml.safe_load(found.stdout)
    assert any("jmespath" in line for line in needed["python"])
    assert any("openssh-client" in line for line in needed["system"])
