"""The table of plots, a plot a file: `NAME` is the `command` of the module `rnncli.cli.plots.NAME`."""

from __future__ import annotations

PLOTS = {
    "curves": "Learning curves of runs; of several seeds mean and range.",
    "lengths": "Right answers by length.",
    "confusion": "Which symbols become which.",
    "states": "Exported states: heat map of an example, or PCA of all.",
    "trajectory": "Exported states of examples, step by step, in a plane.",
    "attention": "The attention of a prediction.",
}
"""The plots and their line in `rnncli plot --help`. It is here so that help imports no plot."""
