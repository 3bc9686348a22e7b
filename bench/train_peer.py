#!/usr/bin/env python3
"""The gaussian training step in PyTorch eager: what `ddrs-worker train` is compared with.

The same network (ResNet-20 for 32 x 32 images), batch, augmentation, noise, loss and optimiser, images in memory. bf16 is
autocast, as PyTorch has it; fp32 is without TF32, as in ddrs. On a GPU cuDNN's algorithms are chosen by timings, which
--deterministic forbids, as ddrs does. Random images: speed does not depend on them. Warms up for as
many steps as it measures, as ddrs does with an epoch. Prints one JSON line.

  train_peer.py [--layout channels-last|plain] [--precision bf16|fp32] [--batch 100] [--steps 49] [--device cpu] [--deterministic]
"""
import argparse, json, time
import torch, torch.nn as nn, torch.nn.functional as F


class Block(nn.Module):
    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False), nn.BatchNorm2d(cout)
        self.conv2, self.norm2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False), nn.BatchNorm2d(cout)
        self.skip = nn.Sequential()
        if stride != 1 or cin != cout:
            self.skip = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x):
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        return F.relu(self.norm2(self.conv2(y)) + self.skip(x), inplace=True)


def resnet20(classes=10):
    plan = [(16, 16, 1), (16, 16, 1), (16, 16, 1), (16, 32, 2), (32, 32, 1), (32, 32, 1), (32, 64, 2), (64, 64, 1), (64, 64, 1)]
    stem = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)]
    return nn.Sequential(*stem, *(Block(*p) for p in plan), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes))


def augment(x):
    """A crop of the image with 4 zeros around it, mirrored or not, each image its own."""
    n, rows = len(x), torch.arange(32, device=x.device)
    down, right = torch.randint(0, 9, (2, n, 1), device=x.device)
    columns = rows + right
    columns = torch.where(torch.rand(n, 1, device=x.device) < 0.5, columns, columns.flip(1))
    x, each = F.pad(x, (4, 4, 4, 4)), torch.arange(n, device=x.device)[:, None, None, None]
    channels = torch.arange(3, device=x.device)[None, :, None, None]
    return x[each, channels, (rows + down)[:, None, :, None], columns[:, None, None, :]]


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--layout", choices=["channels-last", "plain"], default="channels-last")
    a.add_argument("--precision", choices=["bf16", "fp32"], default="bf16")
    a.add_argument("--batch", type=int, default=100); a.add_argument("--steps", type=int, default=49)
    a.add_argument("--device", default="cpu"); a.add_argument("--threads", type=int)
    a.add_argument("--deterministic", action="store_true")
    o = a.parse_args()
    if o.threads:
        torch.set_num_threads(o.threads)
    torch.manual_seed(0); torch.backends.cudnn.benchmark = not o.deterministic; torch.backends.cudnn.deterministic = o.deterministic
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    device = torch.device(o.device)
    layout = torch.channels_last if o.layout == "channels-last" else torch.contiguous_format
    net = resnet20().to(device, memory_format=layout)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    images, labels = torch.rand(o.batch * 20, 3, 32, 32, device=device), torch.randint(0, 10, (o.batch * 20,), device=device)
    mean, std = torch.tensor([[.5] * 3, [.25] * 3], device=device)[:, None, :, None, None]
    sync = torch.cuda.synchronize if device.type == "cuda" else lambda: None

    def train(steps):
        correct, total, order = 0, 0.0, torch.randperm(len(images), device=device)
        for step in range(steps):
            at = order[torch.arange(step * o.batch, (step + 1) * o.batch, device=device) % len(order)]
            x, y = augment(images[at]), labels[at]
            x = ((x + 0.25 * torch.randn_like(x) - mean) / std).to(memory_format=layout)
            with torch.autocast(device.type, torch.bfloat16, enabled=o.precision == "bf16"):
                scores = net(x)
            loss = F.cross_entropy(scores.float(), y)
            optimiser.zero_grad(); loss.backward(); optimiser.step()
            total += loss.item(); correct += (scores.argmax(1) == y).sum().item()

    train(o.steps); sync()
    began = time.perf_counter(); train(o.steps); sync()
    rate = o.steps * o.batch / (time.perf_counter() - began)
    print(json.dumps(dict(who=f"pytorch eager, {o.layout}", precision=o.precision, batch=o.batch, device=o.device,
                          deterministic=o.deterministic, torch=torch.__version__, images_per_second=round(rate, 1))))


if __name__ == "__main__":
    main()
