# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation's site, built by ``make docs``: the pages of this folder, and antsibull-docs' of the collection."""

from __future__ import annotations

project = "zkvm.vfio_ccw"
copyright = "The zkvm.vfio_ccw maintainers"
version = release = "0.1.0"
language = "en"

extensions = ["myst_parser", "sphinx_antsibull_ext"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["README.md"]
nitpicky = False

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist"]

html_theme = "furo"
html_title = "zkvm.vfio_ccw"
html_static_path = []
html_show_sphinx = False
html_copy_source = False
highlight_language = "text"
html_theme_options = {
    "source_repository": "https://github.com/zkvm/vfio_ccw/",
    "source_branch": "main",
    "source_directory": "docs/",
}
