# The same step in PyTorch: threads, batch, steps. SPDX-License-Identifier: MIT
import os
import sys

threads, batch, steps = (int(a) for a in sys.argv[1:4])
os.environ.pop("OPENBLAS_CORETYPE", None)
os.environ["OMP_WAIT_POLICY"], os.environ["OMP_NUM_THREADS"] = "PASSIVE", str(threads)
import time
import torch
from torch import nn

torch.set_num_threads(threads)
torch.manual_seed(1)
model = nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                      nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, 10))
if len(sys.argv) > 4:
    model = model.to(memory_format=torch.channels_last)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
x, y = torch.rand(batch * steps, 1, 28, 28), torch.randint(0, 10, (batch * steps,))
times = []
for i in range(steps):
    a, b = x[i * batch:(i + 1) * batch], y[i * batch:(i + 1) * batch]
    if len(sys.argv) > 4:
        a = a.contiguous(memory_format=torch.channels_last)
    began = time.perf_counter()
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(a), b).backward()
    optimizer.step()
    times.append((time.perf_counter() - began) * 1e3)
print(f"{sorted(times)[len(times) // 2]:.3f}")
