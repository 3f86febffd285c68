"""The config of a custom cell, and the command line: what tests of custom cells through it share."""

from pathlib import Path

from click.testing import CliRunner

from rnncli.cli.main import main

ROOT = Path(__file__).parents[2]
CONFIG = """
task: {type: nested, steps: 2, vector: 2, matrix: [2, 2], classes: 2, examples: 80, held_out: 20}
model:
  type: classifier
  cell: {type: custom, class: "my_cell:NestedCell", matrix_units: [2, 3]}
  units: 3
  bidirectional: true
training: {epochs: 2, batch_size: 20, learning_rate: 1e-2}
"""


def rnncli(*arguments, stdin=None):
    return CliRunner().invoke(main, [str(a) for a in arguments], input=stdin)
