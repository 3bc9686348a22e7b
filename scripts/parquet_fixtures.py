"""Writes common/src/data/testdata/*.parquet, as Hugging Face publishes datasets of images. Needs
pyarrow (26.0.1 wrote those in the repository)."""
import json
import struct
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent.parent / "common/src/data/testdata"


def png(value: int) -> bytes:
    """A grey image of 2 x 1 pixels: `value`, and 255 less it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", 2, 1, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes([0, value, 255 - value]))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels)
            + chunk(b"IEND", b""))


def table(values: list, labels: list) -> pa.Table:
    images = [None if v is None else {"bytes": png(v), "path": f"{v}.png"} for v in values]
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    features = {"img": {"_type": "Image"},
                "label": {"names": ["cat", "dog", "frog"], "_type": "ClassLabel"}}
    columns = {"img": pa.array(images, image), "label": pa.array(labels, pa.int64())}
    meta = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.table(columns).replace_schema_metadata(meta)


plain = table([10, 20, 30, 40, 50], [2, 0, 1, 1, 0])
pq.write_table(plain, HERE / "snappy.parquet", row_group_size=3)
pq.write_table(plain, HERE / "gzip-v2.parquet", compression="gzip", data_page_version="2.0",
               use_dictionary=False)
pq.write_table(plain, HERE / "plain.parquet", compression="none", use_dictionary=["label"],
               data_page_size=1, write_batch_size=1)
pq.write_table(plain, HERE / "zstd.parquet", compression="zstd")
pq.write_table(table([10, None, 30], [2, 0, 1]), HERE / "missing.parquet")
pq.write_table(table([10, 20], [2, None]), HERE / "no-label.parquet")
