"""Train as a Keras user does: plain layers, `fit` and `predict` as they are. A script: `python keras_peer.py JSON`.

`{"what": "addition", "data": FILE, "batch": 128, "epochs": 2}` trains LSTM, RepeatVector, LSTM, Dense (the
addition example of the Keras documentation, Adam at 1e-3) and prints a JSON line an epoch; a few batches
that come before are not counted. `seconds` are those to the end of the last batch, `waited` those from there to the
return: with TensorFlow 2.21 that may be seconds, in which tf.data waits for its own tuning to wake up. With
`"stop_at": 0.99` no batches come before, and that exact match on the held-out examples ends it.
`{"what": "long", ...}` trains a masked classifier, `{"what": "predict", ...}` times `predict` once an epoch.
"""

import json
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"
import keras
import numpy as np
from keras import layers

options = json.loads(sys.argv[1])
data = dict(np.load(options["data"]))
what, batch, symbols = options["what"], options["batch"], int(data["symbols"])
keras.utils.set_random_seed(0)
if what == "long":
    x, y = data["source"].astype(np.int32), data["target"][:, 0].astype(np.int32)
    network = [
        layers.Input((None,), dtype="int32"),
        layers.Embedding(symbols, options["embedding"], mask_zero=True),
        layers.LSTM(options["units"]),
        layers.Dense(int(data["classes"]), activation="softmax"),
    ]
else:
    one_hot = np.eye(symbols, dtype=np.float32)
    x, y = one_hot[data["source"]], data["target"].astype(np.int32)
    network = [
        layers.Input(x.shape[1:]),
        layers.LSTM(128),
        layers.RepeatVector(y.shape[1]),
        layers.LSTM(128, return_sequences=True),
        layers.Dense(symbols, activation="softmax"),
    ]
model = keras.Sequential(network)
model.compile(loss="sparse_categorical_crossentropy", optimizer="adam", metrics=["accuracy"])


class LastBatch(keras.callbacks.Callback):
    async_safe = True  # else Keras waits for it at every batch

    def on_train_batch_end(self, batch, logs=None):
        self.ended = time.perf_counter()

    on_predict_batch_end = on_train_batch_end


last = LastBatch()


def train(count=None):
    model.fit(x[:count], y[:count], batch_size=batch, epochs=1, verbose=0, callbacks=[last])


def predict(count=None):
    return model.predict(x[:count], batch_size=batch, verbose=0, callbacks=[last]).argmax(-1)


run = predict if what == "predict" else train
stop_at = options.get("stop_at")
if stop_at is None:
    run(4 * batch + len(x) % batch)  # a short batch too, for which Keras traces again
for epoch in range(options["epochs"]):
    began = time.perf_counter()
    run()
    returned = time.perf_counter()
    line = {"epoch": epoch + 1, "seconds": last.ended - began, "waited": returned - last.ended}
    if what == "predict":  # what it does after the last batch
        pieces = [y[rows : rows + batch, :, None] == np.arange(symbols) for rows in range(0, len(y), batch)]
        pieces = [piece.astype(np.float32) for piece in pieces]
        joining = time.perf_counter()
        np.concatenate(pieces).argmax(-1)
        line["seconds"] += time.perf_counter() - joining
    if stop_at is not None:
        held_out = one_hot[data["held_out_source"]]
        guess = model.predict(held_out, batch_size=1000, verbose=0, callbacks=[last]).argmax(-1)
        line["waited"] += time.perf_counter() - last.ended
        line["exact_match"] = float((guess == data["held_out_target"]).all(1).mean())
    print(json.dumps(line), flush=True)
    if stop_at is not None and line["exact_match"] >= stop_at:
        break
