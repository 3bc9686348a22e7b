#!/usr/bin/env python3
"""What a user would run instead: passes (or, for `sigma`, gradient draws) per second of a PyTorch loop, as JSON.

plain: the published loop, fp32, counts read back after every batch.  tuned: inference mode, bf16, channels-last, batch
norm folded, counts on the device, compiled on CUDA.  sigma: the published ascent, one autograd step a draw, fp32.
Weights are random, for speed does not depend on them."""
import argparse
import json
import time

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def conv(c_in, c_out, size, stride, folded):
    layer, norm = nn.Conv2d(c_in, c_out, size, stride, size // 2, bias=False).eval(), nn.BatchNorm2d(c_out).eval()
    return fuse_conv_bn_eval(layer, norm) if folded else nn.Sequential(layer, norm)


class Block(nn.Module):
    def __init__(self, c_in, c_out, stride, middle, folded):
        super().__init__()
        sizes = [(c_in, middle, 1, 1), (middle, middle, 3, stride), (middle, c_out, 1, 1)] if middle else \
            [(c_in, c_out, 3, stride), (c_out, c_out, 3, 1)]
        layers = [layer for size in sizes for layer in (conv(*size, folded), nn.ReLU())]
        self.path = nn.Sequential(*layers[:-1])
        self.shortcut = nn.Identity() if stride == 1 and c_in == c_out else conv(c_in, c_out, 1, stride, folded)

    def forward(self, x):
        return torch.relu(self.path(x) + self.shortcut(x))


def network(name, folded):
    if name == "resnet50":
        layers = [conv(3, 64, 7, 2, folded), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        stages, c_in, classes = [(256, 1, 64, 3), (512, 2, 128, 4), (1024, 2, 256, 6), (2048, 2, 512, 3)], 64, 1000
    else:
        depth = (int(name.removeprefix("cifar-resnet")) - 2) // 6
        layers = [conv(3, 16, 3, 1, folded), nn.ReLU()]
        stages, c_in, classes = [(16, 1, 0, depth), (32, 2, 0, depth), (64, 2, 0, depth)], 16, 10
    for c_out, stride, middle, blocks in stages:
        for number in range(blocks):
            layers.append(Block(c_in, c_out, stride if number == 0 else 1, middle, folded))
            c_in = c_out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c_in, classes)).eval(), classes


def plain(net, image, batch, classes):
    counts = [0] * classes

    def step():
        with torch.no_grad():
            many = image.repeat(batch, 1, 1, 1)
            for label in net((many + torch.randn_like(many) * 0.25 - 0.5) / 0.25).argmax(1).tolist():
                counts[label] += 1
        return batch

    return step


def tuned(net, image, batch, classes):
    counts = torch.zeros(classes, dtype=torch.int64, device=image.device)
    noisy = torch.empty(batch, *image.shape, device=image.device).contiguous(memory_format=torch.channels_last)

    def step():
        with torch.inference_mode():
            noisy.normal_(0, 0.25).add_(image)
            counts.add_(net(noisy.bfloat16()).argmax(1).bincount(minlength=classes))
        return batch

    return step


def sigma(net, image, batch, _classes, draws=8):
    inputs = max(1, batch // draws)
    state = [torch.full((inputs, 1, 1, 1, 1), 0.25, device=image.device)]

    def step():
        sigmas = state[0].requires_grad_(True)
        noise = torch.randn(inputs, draws, *image.shape, device=image.device)
        scores = net(((image + sigmas * noise).flatten(0, 1) - 0.5) / 0.25)
        top = scores.softmax(1).view(inputs, draws, -1).mean(1).topk(2).values.clamp(0.02, 0.98)
        radius = sigmas.flatten() / 2 * (torch.special.ndtri(top[:, 0]) - torch.special.ndtri(top[:, 1]))
        state[0] = (sigmas + 1e-4 * torch.autograd.grad(radius.sum(), sigmas)[0]).detach()
        return inputs * draws

    return step


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--mode", choices=["plain", "tuned", "sigma"], required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=10)
    args = parser.parse_args()
    torch.backends.cudnn.benchmark = True
    if args.device.startswith("cuda:"):
        torch.cuda.set_device(args.device)  # waiting is for the current device
    net, classes = network(args.model, args.mode == "tuned")
    net = net.requires_grad_(False).to(args.device)
    side = 224 if args.model == "resnet50" else 32
    image = torch.rand(3, side, side, device=args.device)
    if args.mode == "tuned":
        net = net.bfloat16().to(memory_format=torch.channels_last)
        net = torch.compile(net, mode="max-autotune") if args.device.startswith("cuda") else net
    step = {"plain": plain, "tuned": tuned, "sigma": sigma}[args.mode](net, image, args.batch, classes)
    wait = torch.cuda.synchronize if args.device.startswith("cuda") else lambda: None
    # For a third of the time: the first steps ask the system for memory that later ones have.
    warm = time.perf_counter() + args.seconds / 3
    step()
    while time.perf_counter() < warm:
        step()
        wait()
    wait()
    start, done, steps = time.perf_counter(), 0, 0
    while time.perf_counter() - start < args.seconds:
        done += step()
        steps += 1
        # A queue of work that runs ahead of the clock would end long after it.
        if steps % 16 == 0:
            wait()
    wait()
    rate = done / (time.perf_counter() - start)
    print(json.dumps({"mode": args.mode, "passes_per_second": rate, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
