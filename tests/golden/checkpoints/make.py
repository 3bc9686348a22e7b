"""Writes the checkpoints of this folder. Needs torch and numpy."""
import argparse
import io
import pickle
import struct
import tarfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent
base = torch.arange(12, dtype=torch.float32)
state = OrderedDict(
    {
        "module.transposed": base.view(3, 4).t(),
        "module.shared": base[2:10:2],
        "module.half": torch.tensor([0.5, -2.0]).half(),
        "module.bfloat": torch.tensor([[1.5, 3.0]]).bfloat16(),
        "module.double": torch.nn.Parameter(torch.tensor([0.1], dtype=torch.float64)),
        "module.count": torch.tensor(7),
        "module.empty": torch.zeros(0, 3),
    }
)
state._metadata = {"": {"version": 1}}
weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
optimiser = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
weight.sum().backward()
optimiser.step()
checkpoint = {
    "arch": "cifar_resnet20",
    "epoch": 3,
    "best_acc": np.float64(0.5),
    "args": argparse.Namespace(lr=0.1),
    "state_dict": state,
    "optimizer": optimiser.state_dict(),
}
torch.save(checkpoint, HERE / "zip.pth")
torch.save(checkpoint, HERE / "stream.pth.tar", _use_new_zipfile_serialization=False)
torch.save(torch.nn.Linear(2, 1), HERE / "module.pt")


def tar(path):
    """Writes what PyTorch 0.1 wrote: two tensors that share a storage."""
    storages = io.BytesIO()
    pickle.dump(1, storages, 2)
    pickle.dump((11, "cpu", torch.FloatStorage), storages, 2)
    storages.write(struct.pack("<q12f", 12, *range(12)))
    pickle.dump([(12, 11, 2, 10)], storages, 2)
    tensors = io.BytesIO()
    pickle.dump(2, tensors, 2)
    for key, storage, shape, strides, offset in [
        (21, 11, (4, 3), (1, 4), 0),
        (22, 12, (4,), (2,), 0),
    ]:
        pickle.dump((key, storage, torch.FloatTensor), tensors, 2)
        numbers = [len(shape), 0, *shape, *strides, offset]
        tensors.write(struct.pack(f"<ii{len(numbers) - 2}q", *numbers))

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return str(value) if isinstance(value, int) and value > 20 else None

    content = io.BytesIO()
    Pickler(content, 2).dump({"state_dict": {"transposed": 21, "shared": 22}, "epoch": 3})
    with tarfile.open(path, "w:", format=tarfile.PAX_FORMAT) as archive:
        for name, member in [
            ("sys_info", io.BytesIO(pickle.dumps({"little_endian": True}, 2))),
            ("pickle", content),
            ("tensors", tensors),
            ("storages", storages),
        ]:
            info = tarfile.TarInfo(name)
            info.size = len(member.getvalue())
            archive.addfile(info, io.BytesIO(member.getvalue()))
    read = torch.load(path, weights_only=False)["state_dict"]
    assert torch.equal(read["transposed"], base.view(3, 4).t())
    assert torch.equal(read["shared"], base[2:10:2])


tar(HERE / "tar.pth")
