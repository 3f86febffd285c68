"""Seconds that PyTorch's LSTM takes for a step forward and backward; a script, so that it may have its own Python.

python torch_lstm.py '{"units": 512, "steps": 100, "batch": 256, "features": 512, "repeats": 20}' cuda true
"""

import json
import sys
import time

import torch

size, device, tf32 = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3] == "true"
torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
layer = torch.nn.LSTM(size["features"], size["units"]).to(device)
x = torch.randn(size["steps"], size["batch"], size["features"], device=device)  # time first: its fastest order
taken = []
for _ in range(size["repeats"] + 3):
    began = time.perf_counter()
    layer.zero_grad()
    output, _ = layer(x)
    output.square().sum().backward()
    sum(float(weight.grad.sum()) for weight in layer.parameters())  # waits until all is computed
    taken.append(time.perf_counter() - began)
print(json.dumps({"seconds": sorted(taken[3:])[size["repeats"] // 2], "version": torch.__version__}))
