"""Recurrent sequence-to-sequence models from the command line: train, predict, and get the states out."""

__version__ = "0.1.0"
