"""The one training loop."""

from rnncli.training.loop import Outcome, train

__all__ = ["Outcome", "train"]
