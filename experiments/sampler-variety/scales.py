"""Variety of samples by scale: mean distance of two samples of a class over that of two real images.

Needs NumPy and h5py: python3 experiments/sampler-variety/scales.py data/fashion-mnist.h5 samples.h5...
"""
import sys

import h5py
import numpy as np


def read(path):
    with h5py.File(path) as file:
        images = file["images"][:].astype(np.float64) / 255
        return images.reshape(len(images), *images.shape[1:3]), file["labels"][:]


def average(x, side):
    n, h, w = x.shape
    return x.reshape(n, h // side, side, w // side, side).mean((2, 4))


def distance(x):
    x = x.reshape(len(x), -1)
    square = (x * x).sum(1)
    d = np.sqrt(np.maximum(square[:, None] + square[None] - 2 * x @ x.T, 0))
    return d[np.triu_indices(len(x), 1)].mean()


SCALES = {
    "all": lambda x: x,
    "14x14": lambda x: average(x, 14),
    "fine": lambda x: x - average(x, 2).repeat(2, 1).repeat(2, 2),
}
real, real_labels = read(sys.argv[1])
print("| samples | " + " | ".join(SCALES) + " | brightness |")
for path in sys.argv[2:]:
    samples, labels = read(path)
    rows = []
    for c in np.unique(labels):
        ours = samples[labels == c]
        theirs = real[real_labels == c][: 4 * len(ours)]
        row = [distance(f(ours)) / distance(f(theirs)) for f in SCALES.values()]
        rows.append(row + [ours.mean((1, 2)).std() / theirs.mean((1, 2)).std()])
    print(f"| {path} | " + " | ".join(f"{v:.2f}" for v in np.mean(rows, 0)) + " |")
