"""Writes the datasets of this folder: four images of 3 x 32 x 32 bytes in every form, as numpy and
Python write them. Needs numpy."""
import gzip
import io
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
count = np.arange(4)[:, None, None, None]
channel, row, column = np.mgrid[0:3, 0:32, 0:32]
images = ((17 * count + 40 * channel + 3 * row + 5 * column) % 256).astype(np.uint8)
labels = np.array([0, 1, 1, 0])

np.savez(HERE / "stored.npz", x_test=images, y_test=labels)
np.savez_compressed(HERE / "packed.npz", images=images.transpose(0, 2, 3, 1), labels=labels)
np.save(HERE / "images.npy", images.transpose(0, 2, 3, 1))
np.save(HERE / "labels.npy", labels.astype(np.int32))
np.save(HERE / "sigmas.npy", np.array([0.2, 0.3, 0.25, 0.5], np.float32))


def archive(name: str, members: dict) -> None:
    with tarfile.open(HERE / name, "w:gz") as tar:
        for member, content in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


batch = {b"batch_label": b"testing batch 1 of 1", b"labels": labels.tolist(),
         b"data": images.reshape(4, -1), b"filenames": [b"a.png"] * 4}
archive("cifar-10-python.tar.gz", {
    "cifar-10-batches-py/batches.meta": pickle.dumps({b"num_cases_per_batch": 4}, 2),
    "cifar-10-batches-py/test_batch": pickle.dumps(batch, 2),
    "cifar-10-batches-py/data_batch_1": pickle.dumps(batch, 2)})
hundred = {b"coarse_labels": [0, 19, 3, 4], b"fine_labels": [0, 99, 7, 8], b"data": batch[b"data"],
           b"filenames": [b"a.png"] * 4}
archive("cifar-100-python.tar.gz", {"cifar-100-python/test": pickle.dumps(hundred, 4)})
rows = b"".join(bytes([label]) + image.tobytes() for label, image in zip(labels, images))
(HERE / "test_batch.bin").write_bytes(rows)
for kind, array in (("images-idx3", images[:, 0]), ("labels-idx1", labels.astype(np.uint8))):
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    content = bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()
    (HERE / f"t10k-{kind}-ubyte.gz").write_bytes(gzip.compress(content, mtime=0))
