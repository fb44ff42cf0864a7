# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation's site, built by ``make docs``: the pages of this folder, and antsibull-docs' of the collection."""

from __future__ import annotations

import zlib
from pathlib import Path

project = "zkvm.vfio_ccw"
copyright = "The zkvm.vfio_ccw maintainers"
version = release = "0.1.0"
language = "en"

extensions = ["myst_parser", "sphinx_antsibull_ext", "sphinx.ext.intersphinx"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
suppress_warnings = ["myst.xref_missing"]

myst_heading_anchors = 3

html_theme = "furo"
html_title = "zkvm.vfio_ccw"
html_show_sphinx = False
html_copy_source = False
highlight_language = "text"
html_theme_options = {
    "source_repository": "https://github.com/zkvm/vfio_ccw/",
    "source_branch": "main",
    "source_directory": "docs/",
}

# Pages of Ansible's own documentation that antsibull-docs refers to. Their inventory is written here, so that the site
# is built without a network.
ANSIBLE = "https://docs.ansible.com/ansible/latest/"
ANSIBLE_LABELS = {
    "action_plugins": "plugins/action.html#$",
    "ansible_collections.ansible.builtin.ssh_connection": "collections/ansible/builtin/ssh_connection.html#$",
    "ansible_collections.ansible.builtin.validate_argument_spec_module": (
        "collections/ansible/builtin/validate_argument_spec_module.html#$"
    ),
    "ansible_configuration_settings": "reference_appendices/config.html#$",
    "common_return_values": "reference_appendices/common_return_values.html#$",
}


def _inventory() -> str:
    """The labels in the format of Sphinx's inventories, version 2; the file's path."""
    lines = "".join(f"{label} std:label -1 {where} {label}\n" for label, where in ANSIBLE_LABELS.items())
    head = "# Sphinx inventory version 2\n# Project: Ansible\n# Version: latest\n# The rest is compressed using zlib.\n"
    path = Path(__file__).parent / "ansible.inv"
    path.write_bytes(head.encode() + zlib.compress(lines.encode()))
    return str(path)


intersphinx_mapping = {"ansible": (ANSIBLE, _inventory())}
