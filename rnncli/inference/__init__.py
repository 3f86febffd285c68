"""Asking a trained model: decoding, evaluation, state export. Imports nothing by itself."""
