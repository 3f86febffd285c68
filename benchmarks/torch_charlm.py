"""A character language model as PyTorch users write it after char-rnn. A script: `python torch_charlm.py WHAT JSON`.

`train` trains on ids in streams with carried states, with the settings that it is given, and prints a line with the
held-out loss after every epoch. `generate` writes symbols with given weights and prints how many a second.
"""

import json
import math
import sys
import time

import numpy as np
import torch
from torch import nn

what, options = sys.argv[1], json.loads(sys.argv[2])
torch.set_num_threads(options["threads"])


class CharRNN(nn.Module):
    def __init__(self, symbols, units):
        super().__init__()
        self.symbols = symbols
        self.rnn = nn.LSTM(symbols, units, batch_first=True)
        self.output = nn.Linear(units, symbols)

    def forward(self, ids, state=None):
        hidden, state = self.rnn(nn.functional.one_hot(ids, self.symbols).float(), state)
        return self.output(hidden), state


def generate():
    weights = dict(np.load(options["weights"]))
    units, symbols = weights["recurrent"].shape[0], weights["output"].shape[1]
    model = CharRNN(symbols, units).eval()
    with torch.no_grad():  # gates are in the order i, f, g, o in Keras and in PyTorch
        model.rnn.weight_ih_l0.copy_(torch.tensor(weights["kernel"].T))
        model.rnn.weight_hh_l0.copy_(torch.tensor(weights["recurrent"].T))
        model.rnn.bias_ih_l0.copy_(torch.tensor(weights["bias"]))
        model.rnn.bias_hh_l0.zero_()
        model.output.weight.copy_(torch.tensor(weights["output"].T))
        model.output.bias.copy_(torch.tensor(weights["output_bias"]))
    with torch.inference_mode():
        logits, state = model(torch.tensor(weights["ids"])[None])
        for count in (100, options["symbols"]):
            began = time.perf_counter()
            for _ in range(count):
                symbol = torch.multinomial(torch.softmax(logits[0, -1], dim=-1), 1)
                logits, state = model(symbol[None], state)
            seconds = time.perf_counter() - began
    print(json.dumps({"symbols_per_second": options["symbols"] / seconds, "version": torch.__version__}))


def streams(ids, rows, window):
    """Windows of consecutive streams: inputs and targets [windows, rows, window]."""
    count = (len(ids) - 1) // window // rows
    source, target = (ids[at : at + rows * count * window].reshape(rows, count, window) for at in (0, 1))
    return source.transpose(0, 1), target.transpose(0, 1)


def train():
    data = dict(np.load(options["data"]))
    torch.manual_seed(options["seed"])
    model = CharRNN(int(data["symbols"]), options["units"])
    dropout = nn.Dropout(options["dropout"])
    batch, window, epochs = options["batch"], options["window"], options["epochs"]
    source, target = streams(torch.tensor(data["train"]).long(), batch, window)
    held_source, held_target = streams(torch.tensor(data["held_out"]).long(), batch, window)
    optimizer = torch.optim.Adam(model.parameters(), lr=options["rate"], fused=True)
    steps, warm = epochs * len(source), options["warmup"]

    def rate(step):
        return step / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    began = time.perf_counter()
    for epoch in range(epochs):
        model.train()
        state = None
        for ids, following in zip(source, target, strict=True):
            read = dropout(nn.functional.one_hot(ids, model.symbols).float())
            hidden, state = model.rnn(read, state)
            state = tuple(each.detach() for each in state)
            loss = nn.functional.cross_entropy(model.output(hidden).flatten(0, 1), following.flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        model.eval()
        state, losses = None, []
        with torch.inference_mode():
            for ids, following in zip(held_source, held_target, strict=True):
                logits, state = model(ids, state)
                losses.append(nn.functional.cross_entropy(logits.flatten(0, 1), following.flatten()).item())
        seconds = time.perf_counter() - began
        print(
            json.dumps({"epoch": epoch + 1, "held_out_loss": sum(losses) / len(losses), "seconds": seconds}),
            flush=True,
        )


{"generate": generate, "train": train}[what]()
