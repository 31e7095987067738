"""How grainy samples are: the mean absolute Laplacian of their pixels in [0, 1], one line a set.

  grain.py RUNS/eval/*.h5        the sets that run.sh has drawn
"""

import sys

import h5py
import numpy as np

for path in sys.argv[1:]:
    x = h5py.File(path)["images"][..., 0].astype(float) / 255
    neighbours = x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:]
    print(f"{path}  {np.abs(4 * x[:, 1:-1, 1:-1] - neighbours).mean():.4f}")
