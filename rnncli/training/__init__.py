"""Training; `rnncli.training.loop` has the entry point, and nothing is imported here."""
