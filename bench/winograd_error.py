"""Error of Winograd's F(4x4, 3x3) in f32 by the points it is built on and by how many terms are summed at a time.

A model of kernels/cpu/winograd.cpp: normal data, 128 channels, root mean square error relative to the result's, against
f64. Needs NumPy: python3 bench/winograd_error.py
"""
import numpy as np

F = np.float32
CHANNELS, OUTPUTS, TILES = 128, 8, 60
rng = np.random.default_rng(0)
patches = rng.standard_normal((TILES, CHANNELS, 6, 6)).astype(F)
filters = rng.standard_normal((CHANNELS, OUTPUTS, 3, 3)).astype(F)
exact = np.zeros((TILES, OUTPUTS, 4, 4))
for i in range(4):
    for j in range(4):
        exact[:, :, i, j] = np.einsum("ncab,coab->no", patches[:, :, i:i + 3, j:j + 3].astype(float), filters.astype(float))


def relative(result):
    return np.sqrt(np.mean((result - exact) ** 2) / np.mean(exact**2))


def matrices(a, b):
    p, s, points = a * a * b * b, a * a + b * b, [0, a, -a, b, -b]
    bt = [[p, 0, -s, 0, 1, 0], [0, -a * b * b, -b * b, a, 1, 0], [0, a * b * b, -b * b, -a, 1, 0],
          [0, -b * a * a, -a * a, b, 1, 0], [0, b * a * a, -a * a, -b, 1, 0], [0, p, 0, -s, 0, 1]]
    g = [[x**k / np.prod([x - y for y in points if y != x]) for k in range(3)] for x in points] + [[0, 0, 1]]
    at = np.array([[x**k for x in points] + [float(k == 3)] for k in range(4)])
    return np.array(bt).astype(F), np.array(g).astype(F), at.astype(F)


def winograd(a, b, terms):
    bt, g, at = matrices(a, b)
    v, u = bt @ patches @ bt.T, g @ filters @ g.T
    total = np.zeros((TILES, OUTPUTS, 6, 6), F)
    for first in range(0, CHANNELS, terms):
        part = np.zeros_like(total)
        for c in range(first, first + terms):  # one rounding a term, as of a fused multiply-add
            part = (part + v[:, c, None].astype(float) * u[None, c]).astype(F)
        total += part
    return relative(at @ total @ at.T)


print("| points | one chain | 32 terms at a time |")
for a, b in [(1, 2), (0.6875, 1.5), (0.625, 1.5), (1, 1.75)]:
    print(f"| 0, ±{a}, ±{b}, infinity | {winograd(a, b, CHANNELS):.1e} | {winograd(a, b, 32):.1e} |")
direct = np.zeros_like(exact, F)
for c in range(CHANNELS):
    for p in range(3):
        for q in range(3):
            part = patches[:, c, None, p:p + 4, q:q + 4].astype(float) * filters[None, c, :, p, q, None, None]
            direct = (direct + part).astype(F)
print(f"| direct, one chain | {relative(direct):.1e} | |")
