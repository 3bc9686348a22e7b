#!/usr/bin/env python3
"""Writes tests/golden/networks.json: PyTorch's scores of networks whose weights and images are given by a formula.

    pip install torch==2.11.0 torchvision==0.26.0 timm==1.0.31 efficientnet-lite-pytorch==0.1.0
    scripts/network_scores.py

Networks of torchvision, timm and efficientnet-lite-pytorch come from there. The others are written here as their
authors publish them: bearpaw/pytorch-classification (as in locuslab/smoothing), akamaster/pytorch_resnet_cifar10,
kuangliu/pytorch-cifar, xternalz/WideResNet-pytorch, and the change of MotasemAlfarra/Data_Dependent_Randomized_Smoothing.
Scores are computed in double precision. worker/src/model/tests/golden.rs has the formula in Rust.
"""
import json
import math
import pathlib

import numpy as np
import timm
import torch
import torch.nn.functional as F
import torchvision
from efficientnet_lite_pytorch import EfficientNet
from torch import nn

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/networks.json"
CLASSES, IMAGES = 10, 2
np.seterr(over="ignore")


def uniform(name, count):
    """Numbers from 0 to 1 by the name of a tensor: splitmix64 from the FNV-1a hash of the name."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(40)).astype(np.float64) / 2**24


def values(name, shape):
    """Weights of layers have variance 1 / inputs, scales and variances lie around 1, all others around 0."""
    u = uniform(name, math.prod(shape))
    part = name.rsplit(".", 1)[-1]
    if part == "running_var" or (part == "weight" and len(shape) == 1):
        u = u + 0.5
    elif part == "weight":
        u = (2 * u - 1) * math.sqrt(3 / math.prod(shape[1:]))
    else:
        u = (2 * u - 1) * 0.25
    return torch.from_numpy(u.astype(np.float32)).double().view(shape)


def scores(model, side, rename=lambda name: name):
    """The tensors that are left aside are counters and the buffers of the normalisation."""
    state = {name: tensor if name.endswith("num_batches_tracked") else values(rename(name), tuple(tensor.shape))
             for name, tensor in model.state_dict().items()}
    model.load_state_dict(state)
    images = torch.from_numpy(uniform("images", IMAGES * 3 * side * side).astype(np.float32))
    with torch.no_grad():
        return model.double().eval()(images.double().view(IMAGES, 3, side, side)).tolist()


class CifarBlock(nn.Module):
    def __init__(self, inputs, outputs, stride, option_a):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.outputs, self.option_a, self.downsample = outputs, option_a, None
        if stride != 1 and not option_a:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.downsample:
            x = self.downsample(x)
        elif x.shape != out.shape:
            zeros = self.outputs // 4
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, zeros, zeros), "constant", 0)
        return F.relu(out + x)


class CifarResNet(nn.Module):
    def __init__(self, blocks, option_a=False):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        inputs = 16
        for stage, outputs in enumerate([16, 32, 64], 1):
            layers = []
            for i in range(blocks):
                layers.append(CifarBlock(inputs, outputs, 2 if stage > 1 and i == 0 else 1, option_a))
                inputs = outputs
            setattr(self, f"layer{stage}", nn.Sequential(*layers))
        self.fc = nn.Linear(64, CLASSES)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.fc(F.avg_pool2d(x, x.size(3)).view(x.size(0), -1))


class PreActBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(outputs), nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False))

    def forward(self, x):
        out = F.relu(self.bn1(x))
        shortcut = self.shortcut(out) if hasattr(self, "shortcut") else x
        return self.conv2(F.relu(self.bn2(self.conv1(out)))) + shortcut


class PreActResNet18(nn.Module):
    def __init__(self, norm):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        inputs = 64
        for stage, outputs in enumerate([64, 128, 256, 512], 1):
            blocks = [PreActBlock(inputs, outputs, 2 if stage > 1 else 1), PreActBlock(outputs, outputs, 1)]
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
            inputs = outputs
        if norm:
            self.bn = nn.BatchNorm2d(512)
        self.linear = nn.Linear(512, CLASSES)

    def forward(self, x):
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.conv1(x)))))
        if hasattr(self, "bn"):
            x = F.relu(self.bn(x))
        return self.linear(F.avg_pool2d(x, 4).view(x.size(0), -1))


class WideBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(outputs), nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.same = inputs == outputs
        self.convShortcut = None if self.same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        out = F.relu(self.bn1(x))
        if not self.same:
            x = self.convShortcut(out)
        return x + self.conv2(F.relu(self.bn2(self.conv1(out))))


class Stage(nn.Module):
    def __init__(self, *blocks):
        super().__init__()
        self.layer = nn.Sequential(*blocks)

    def forward(self, x):
        return self.layer(x)


class WideResNet(nn.Module):
    def __init__(self, depth, width):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        inputs = 16
        for stage, outputs in enumerate([16 * width, 32 * width, 64 * width], 1):
            blocks = []
            for i in range((depth - 4) // 6):
                blocks.append(WideBlock(inputs, outputs, 2 if stage > 1 and i == 0 else 1))
                inputs = outputs
            setattr(self, f"block{stage}", Stage(*blocks))
        self.bn1, self.fc = nn.BatchNorm2d(inputs), nn.Linear(inputs, CLASSES)

    def forward(self, x):
        out = F.relu(self.bn1(self.block3(self.block2(self.block1(self.conv1(x))))))
        return self.fc(F.avg_pool2d(out, 8).view(x.size(0), -1))


def torchvision_resnet(depth, cifar=False, first=False, pool=True, change=None):
    model = getattr(torchvision.models, f"resnet{depth}")(num_classes=CLASSES)
    if cifar:
        model.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    if not pool:
        model.maxpool = nn.Identity()
    if first:
        for layer in [model.layer2, model.layer3, model.layer4]:
            layer[0].conv1.stride, layer[0].conv2.stride = (2, 2), (1, 1)
    if change:
        change(model)
    return model


def replace(kind, make):
    """Changes all modules of a kind."""
    def change(model):
        for name, module in model.named_children():
            if isinstance(module, kind):
                setattr(model, name, make(module))
            change(module)
    return change


def set_epsilon(norm):
    norm.eps = 1e-3
    return norm


class MaxOverPixels(nn.Module):
    def forward(self, x):
        return x.amax((2, 3), keepdim=True)


def alfarra(model):
    model.bn1 = nn.Identity()


def max_at_the_end(model):
    model.avgpool = MaxOverPixels()


NETWORKS = [
    ("cifar-resnet20", {}, 32, lambda: CifarResNet(3)),
    ("cifar-resnet20-option-a", {}, 32, lambda: CifarResNet(3, option_a=True)),
    ("resnet18", {}, 64, lambda: torchvision_resnet(18)),
    ("resnet34", {}, 64, lambda: torchvision_resnet(34)),
    ("resnet50", {}, 64, lambda: torchvision_resnet(50)),
    ("resnet18-cifar", {}, 32, lambda: torchvision_resnet(18, cifar=True, pool=False)),
    ("resnet50-cifar", {}, 32, lambda: torchvision_resnet(50, cifar=True, pool=False)),
    ("resnet18-alfarra", {}, 32,
     lambda: nn.Sequential(torchvision_resnet(18, change=alfarra), nn.Softmax(dim=1))),
    ("preact-resnet18", {}, 32, lambda: PreActResNet18(False)),
    ("preact-resnet18-norm", {}, 32, lambda: PreActResNet18(True)),
    ("wide-resnet-16-4", {}, 32, lambda: WideResNet(16, 4)),
    ("wide-resnet-40-2", {}, 32, lambda: WideResNet(40, 2)),
    ("efficientnet-lite0", {}, 224,
     lambda: EfficientNet.from_name("efficientnet-lite0", num_classes=CLASSES)),
    ("vit-tiny-patch16-224", {}, 224, lambda: timm.create_model("vit_tiny_patch16_224", num_classes=CLASSES)),
    ("vit-small-patch16-32", {}, 32,
     lambda: timm.create_model("vit_small_patch16_224", img_size=32, num_classes=CLASSES)),
    ("resnet50", {"stride-place": "1x1"}, 64, lambda: torchvision_resnet(50, first=True)),
    ("resnet18", {"stem-pooling": "none"}, 64, lambda: torchvision_resnet(18, pool=False)),
    ("resnet18", {"pooling": "max"}, 64, lambda: torchvision_resnet(18, change=max_at_the_end)),
    ("resnet18", {"epsilon": 1e-3}, 64,
     lambda: torchvision_resnet(18, change=replace(nn.BatchNorm2d, set_epsilon))),
    *[("resnet18", {"activation": word}, 64,
       lambda make=make: torchvision_resnet(18, change=replace(nn.ReLU, lambda _: make())))
      for word, make in [("relu6", nn.ReLU6), ("leaky-relu", nn.LeakyReLU), ("silu", nn.SiLU), ("gelu", nn.GELU)]],
]

found = []
for architecture, options, side, make in NETWORKS:
    without_sequence = lambda name: name.removeprefix("0.") if architecture.endswith("alfarra") else name
    found.append({"architecture": architecture, "options": options, "side": side,
                  "scores": scores(make(), side, without_sequence)})
    print(architecture, options, found[-1]["scores"][0][:3])
OUT.write_text("[\n" + ",\n".join(json.dumps(network) for network in found) + "\n]\n")
