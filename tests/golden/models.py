# Small models trained in PyTorch on the digits that ship with lsengine, and their logits: models-*.npz. SPDX-License-Identifier: MIT
# Made with PyTorch 2.15: python tests/golden/models.py experiments/data/optdigits tests/golden
import gzip
import sys
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


def idx(name, head):
    with gzip.open(f"{sys.argv[1]}/{name}.gz") as f:
        return np.frombuffer(f.read(), np.uint8, offset=head)


x = torch.tensor(idx("optdigits-images-idx3-ubyte", 16).reshape(-1, 1, 8, 8).astype(np.float32) / np.float32(16))
y = torch.tensor(idx("optdigits-labels-idx1-ubyte", 8).astype(np.int64))
train, test = 1198, slice(1198, None)  # what lsengine loads as train and test


class Block(nn.Module):  # torchvision's BasicBlock
    def __init__(self, i, o, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o)
        self.conv2, self.bn2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
        self.downsample = nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o)) if stride != 1 or i != o else nn.Identity()

    def forward(self, v):
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(v))))) + self.downsample(v))


class Resnet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 4, 3, 1, 1, bias=False), nn.BatchNorm2d(4)
        self.layer1, self.layer2 = nn.Sequential(Block(4, 4, 1)), nn.Sequential(Block(4, 8, 2), Block(8, 8, 1))
        self.fc = nn.Linear(8, 10)

    def forward(self, v):
        return self.fc(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(v))))).mean((2, 3)))


models = {
    "convnet": lambda: nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1),
                                     nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)),
    "resnet": Resnet,
    "mlp": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.GELU(), nn.Linear(32, 10)),
}
torch.manual_seed(1)
for name, make in models.items():
    net = make().train()
    opt = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(20):
        for rows in torch.randperm(train).split(64):
            opt.zero_grad()
            F.cross_entropy(net(x[rows]), y[rows]).backward()
            opt.step()
    net.eval()
    with torch.no_grad():
        logits = net(x[test])
    print(name, "accuracy", (logits.argmax(1) == y[test]).float().mean().item())
    np.savez(f"{sys.argv[2]}/model-{name}.npz", **{k: v.numpy() for k, v in net.state_dict().items()})
    np.save(f"{sys.argv[2]}/model-{name}-logits.npy", logits.numpy())
