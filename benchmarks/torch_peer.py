"""Train as a PyTorch user does: nn.LSTM, fused Adam at 1e-3, default threads. A script: `python torch_peer.py JSON`.

The options are those of keras_peer.py, `addition` and `long`; the padded rows of `long` are packed.
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
        last = self.encoder(x[rows])[0][:, -1]
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


train(min(4 * batch, len(source)))
for epoch in range(options["epochs"]):
    began = time.perf_counter()
    train(len(source))
    seconds = time.perf_counter() - began
    print(json.dumps({"epoch": epoch + 1, "seconds": seconds, "version": f"PyTorch {torch.__version__}"}), flush=True)
