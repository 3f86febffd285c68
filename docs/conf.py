"""Settings of Sphinx: `python -m sphinx -W -b html docs docs/_build`."""

from rnncli._version import __version__

project = "rnncli"
author = "The rnncli authors"
copyright = "2026, the rnncli authors"  # noqa: A001 (Sphinx's name)
version = release = __version__
extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"rnncli {__version__}"
html_static_path = ["_static"]
