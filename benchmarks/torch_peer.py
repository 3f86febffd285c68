"""Train as a PyTorch user does: nn.LSTM, fused Adam at 1e-3, default threads. A script: `python torch_peer.py JSON`.

The options are those of keras_peer.py, `addition` (also with `stop_at`) and `long`; padded rows of `long` are packed.
"""

import json
import sys
import time

import numpy as np
import torch
from torch import nn

options = json.loads(sys.argv[1])
data = dict(np.load(options["data"]))
what, batch, symbols = options["what"], options["batch"], int(data["symbols"])
torch.manual_seed(0)
source, target = torch.tensor(data["source"]).long(), torch.tensor(data["target"]).long()
lengths = torch.tensor(data["lengths"]).long()


class Addition(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.LSTM(symbols, 128, batch_first=True)
        self.decoder = nn.LSTM(128, 128, batch_first=True)
        self.output = nn.Linear(128, symbols)

    def forward(self, rows):
        return self.read(x[rows])

    def read(self, one_hot):
        last = self.encoder(one_hot)[0][:, -1]
        return self.output(self.decoder(last[:, None].expand(-1, target.shape[1], -1))[0])


class Long(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(symbols, options["embedding"])
        self.encoder = nn.LSTM(options["embedding"], options["units"], batch_first=True)
        self.output = nn.Linear(options["units"], int(data["classes"]))

    def forward(self, rows):
        read = nn.utils.rnn.pack_padded_sequence(
            self.embedding(source[rows]), lengths[rows], batch_first=True, enforce_sorted=False
        )
        return self.output(self.encoder(read)[1][0][-1])[:, None]


if what == "addition":
    x = nn.functional.one_hot(source, symbols).float()
model = {"addition": Addition, "long": Long}[what]()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)


def train(count):
    for rows in torch.randperm(count).split(batch):
        loss = nn.functional.cross_entropy(model(rows).flatten(0, 1), target[rows].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@torch.inference_mode()
def exact_match():
    held_out = nn.functional.one_hot(torch.tensor(data["held_out_source"]).long(), symbols).float()
    guess = model.read(held_out).argmax(-1)
    return float((guess == torch.tensor(data["held_out_target"])).all(1).float().mean())


stop_at = options.get("stop_at")
if stop_at is None:
    train(min(4 * batch, len(source)))
for epoch in range(options["epochs"]):
    began = time.perf_counter()
    train(len(source))
    seconds = time.perf_counter() - began
    line = {"epoch": epoch + 1, "seconds": seconds, "version": f"PyTorch {torch.__version__}"}
    if stop_at is not None:
        line["exact_match"] = exact_match()
    print(json.dumps(line), flush=True)
    if stop_at is not None and line["exact_match"] >= stop_at:
        break
