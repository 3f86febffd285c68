"""The one training loop."""

from rnncli.training.loop import Outcome, train
from rnncli.training.stopping import Stop, Stopped

__all__ = ["Outcome", "Stop", "Stopped", "train"]
