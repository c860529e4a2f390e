"""The network of examples/training_speed.rs in PyTorch: prints characters per second and peak MiB.

python training_speed.py [--bf16] [--updates 12]
"""

import argparse
import resource
import statistics
import time

import torch
from torch import nn

BATCH, TIME, SYMBOLS, HIDDEN, WARM = 64, 100, 96, 512, 2

options = argparse.ArgumentParser()
options.add_argument("--bf16", action="store_true")
options.add_argument("--updates", type=int, default=12)
options = options.parse_args()
torch.manual_seed(1)


class CharRnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(SYMBOLS, HIDDEN, 2)
        self.output = nn.Linear(HIDDEN, SYMBOLS)

    def forward(self, ids):
        return self.output(self.lstm(nn.functional.one_hot(ids, SYMBOLS).float())[0])


model = CharRnn()
optimizer = torch.optim.Adam(model.parameters(), 2e-3)
seconds = []
for update in range(WARM + options.updates):
    ids = torch.randint(0, SYMBOLS, (TIME + 1, BATCH))
    started = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=options.bf16):
        scores = model(ids[:-1])
    loss = nn.functional.cross_entropy(scores.float().reshape(-1, SYMBOLS), ids[1:].reshape(-1))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()
    loss.item()
    if update >= WARM:
        seconds.append(time.perf_counter() - started)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"{BATCH * TIME / statistics.median(seconds):.0f} {peak:.0f}")
