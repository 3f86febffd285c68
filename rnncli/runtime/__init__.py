"""The process that runs rnncli: TensorFlow set up, threads, signals, XLA, users' code. Imports nothing by itself."""
