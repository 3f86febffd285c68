"""Trained models as ONNX graphs, written from the arrays of a checkpoint by the package `onnx` alone."""
