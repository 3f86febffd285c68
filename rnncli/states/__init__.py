"""States in files: exported in the formats of several tools, and read back.

Knows no model, and imports neither TensorFlow nor Keras.

>>> from rnncli.states.export import open_writer
>>> from rnncli.states.reader import read_states
>>> with open_writer("states.npz", None, {"run": "runs/a"}, {"encoder/0/forward/h": (20, 128)}) as writer:
...     writer.write(batch)
>>> read_states("states.npz").arrays["encoder/0/forward/h"].shape
(1000, 20, 128)
"""
