#!/usr/bin/env python3
"""Writes worker/src/model/native/onednn_ops.pt: oneDNN's layers with what follows them in one kernel.

PyTorch has them as operators that its Rust bindings leave out; a TorchScript program of a few calls reaches them. Needs
torch 2.11, and only to be run when this file changes.
"""
import pathlib
import tempfile
import zipfile
from typing import List, Optional

import torch
from torch import Tensor


class OneDnnOps(torch.nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x

    @torch.jit.export
    def pack(self, weight: Tensor, padding: List[int], stride: List[int], groups: int, shape: List[int]) -> Tensor:
        return torch.ops.mkldnn._reorder_convolution_weight(weight, padding, stride, [1, 1], groups, shape)

    @torch.jit.export
    def conv(
        self, x: Tensor, weight: Tensor, bias: Tensor, padding: List[int], stride: List[int], groups: int, then: str,
        constants: List[float]
    ) -> Tensor:
        scalars = torch.jit.annotate(List[Optional[number]], [])
        for constant in constants:
            scalars.append(constant)
        return torch.ops.mkldnn._convolution_pointwise(
            x, weight, bias, padding, stride, [1, 1], groups, then, scalars, "none")

    @torch.jit.export
    def conv_add(
        self, x: Tensor, weight: Tensor, bias: Tensor, padding: List[int], stride: List[int], groups: int,
        other: Tensor, then: Optional[str]
    ) -> Tensor:
        none = torch.jit.annotate(List[Optional[number]], [])
        return torch.ops.mkldnn._convolution_pointwise_(
            other, x, weight, bias, padding, stride, [1, 1], groups, "add", None, then, none, "")

    @torch.jit.export
    def pack_linear(self, weight: Tensor) -> Tensor:
        return torch.ops.mkldnn._reorder_linear_weight(weight, None)

    @torch.jit.export
    def linear(self, x: Tensor, weight: Tensor, bias: Tensor, then: str, constants: List[float]) -> Tensor:
        scalars = torch.jit.annotate(List[Optional[number]], [])
        for constant in constants:
            scalars.append(constant)
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, then, scalars, "none")

    @torch.jit.export
    def linear_add(self, x: Tensor, weight: Tensor, bias: Tensor, other: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, other, weight, bias, "add")


out = pathlib.Path(__file__).resolve().parent.parent / "worker/src/model/native/onednn_ops.pt"
with tempfile.TemporaryDirectory() as folder:
    whole = pathlib.Path(folder) / "onednn_ops.pt"
    torch.jit.script(OneDnnOps().eval()).save(str(whole))
    # Without the part that says where this script lay, so that the file is the same wherever it is written.
    with zipfile.ZipFile(whole) as read, zipfile.ZipFile(out, "w") as write:
        for name in read.namelist():
            if not name.endswith(".debug_pkl"):
                write.writestr(zipfile.ZipInfo(name), read.read(name))
