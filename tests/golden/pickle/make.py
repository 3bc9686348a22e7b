"""Writes the pickles of this folder. Needs numpy; Python 2 is imitated byte for byte."""
import pickle
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
plain = {"a": [1, -2, 1 << 70, 0.5, None, True], "b": ("é", b"\xff\x00")}
array = {"data": np.array([[0, 1, 2], [200, 254, 255]], "u1")}
# What cPickle of Python 2 writes for `array` with protocol 2, as in cifar-10-batches-py.
python2 = (
    b"\x80\x02}q\x01U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04"
    b"K\x00\x85U\x01b\x87Rq\x05(K\x01K\x02K\x03\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87Rq\x07"
    b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x06\x00\x01\x02\xc8\xfe\xfftbs."
)
assert (pickle.loads(python2, encoding="bytes")[b"data"] == array["data"]).all()
for protocol in range(6):
    (HERE / f"protocol{protocol}.pkl").write_bytes(pickle.dumps(plain, protocol))
(HERE / "numpy_python2.pkl").write_bytes(python2)
for protocol in (2, 4):
    (HERE / f"numpy_protocol{protocol}.pkl").write_bytes(pickle.dumps(array, protocol))
