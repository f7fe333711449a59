"""How Sphinx renders these pages: ``sphinx-build -W docs docs/_build``."""

from __future__ import annotations

from netobj.core.consts import VERSION

project = "netobj"
author = "the netobj developers"
version = release = VERSION

extensions = ["sphinx.ext.autodoc"]
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True

# Notes on changes are read by people and by the release, not part of the pages.
exclude_patterns = ["_build", "changes"]

html_theme = "furo"
html_title = "netobj"
