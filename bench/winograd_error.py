"""Error of Winograd's 3x3 convolutions in f32: by the points F(4x4, 3x3) is built on and by how many terms are summed at
a time, and of the weight gradient by the number of pixels.

A model of kernels/cpu/winograd.cpp (128 channels) and winograd_weight.cpp (32): normal data, root mean square error
relative to the result's, against f64. Needs NumPy: python3 bench/winograd_error.py
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


def small_matrices():
    """F(2x2, 3x3), points 0, 1, -1 and infinity."""
    bt = [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]]
    g = [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]
    at = [[1, 1, 1, 0], [0, 1, -1, 1]]
    return np.array(bt, F), np.array(g, F), np.array(at, F)


def add(total, term):
    """One rounding a term, as of a fused multiply-add."""
    return (total + term).astype(F)


def outer(a, b):
    return a[..., :, None].astype(float) * b[..., None, :]


def both_axes(m, x, wide=False):
    """m along the first two axes of x; `wide`: along the first in f64."""
    first = np.einsum("ua,a...->u...", m.astype(float) if wide else m, x).astype(F)
    return np.einsum("wb,ub...->uw...", m, first)


class WeightGradient:
    """dw [3, 3, C, O] of `batch` maps, padding 1."""

    def __init__(self, batch, height, width, channels=32):
        self.x = np.pad(rng.standard_normal((batch, height, width, channels)).astype(F), ((0, 0), (1, 1), (1, 1), (0, 0)))
        self.dy = rng.standard_normal((batch, height, width, channels)).astype(F)
        shifted = [[self.x[:, a:a + height, b:b + width].astype(float) for b in range(3)] for a in range(3)]
        self.exact = np.array([[np.einsum("nhwc,nhwo->co", s, self.dy.astype(float)) for s in row] for row in shifted])

    def error(self, result):
        return np.sqrt(np.mean((result - self.exact) ** 2) / np.mean(self.exact**2))

    def direct(self):
        """The error of one chain over all pixels, and of chains over rows that are added up."""
        batch, height, width, _ = self.dy.shape
        chain, rows = np.zeros(self.exact.shape, F), np.zeros(self.exact.shape, F)
        for n, h in np.ndindex(batch, height):
            row = np.zeros(self.exact.shape, F)
            for w in range(width):
                term = outer(self.x[n, h:h + 3, w:w + 3], self.dy[n, h, w][None, None])
                chain, row = add(chain, term), add(row, term)
            rows += row
        return self.error(chain), self.error(rows)

    def winograd(self, transforms, together, wide=False):
        bt, g, at = transforms
        tile, patch = at.shape
        batch, height, width, channels = self.dy.shape
        down, across = -(-height // tile), -(-width // tile)
        edge = ((0, 0), (0, down * tile - height), (0, across * tile - width), (0, 0))
        x, dy = np.pad(self.x, edge), np.pad(self.dy, edge)
        total = np.zeros((patch, patch, channels, channels), F)
        part, count = np.zeros_like(total), 0
        for n, i, j in np.ndindex(batch, down, across):
            h, w = i * tile, j * tile
            part = add(part, outer(both_axes(bt, x[n, h:h + patch, w:w + patch]), both_axes(at.T, dy[n, h:h + tile, w:w + tile])))
            count += 1
            if count % together == 0:
                total += part
                part[:] = 0
        return self.error(both_axes(g.T, total + part, wide))


print("\n| batch, map | pixels | F(2x2, 3x3) | F(4x4, 3x3), 32 tiles at a time | 8 tiles at a time | and back in f64 |")
for shape in [(2, 8, 8), (1, 12, 20), (16, 4, 4), (2, 16, 16), (1, 24, 32), (4, 16, 16), (16, 8, 8)]:
    case = WeightGradient(*shape)
    chain, rows = case.direct()
    large = matrices(0.6875, 1.5)
    cells = [case.winograd(*form) for form in [(small_matrices(), 32), (large, 32), (large, 8), (large, 8, True)]]
    print(f"| {' x '.join(map(str, shape))} | {np.prod(shape)} | " +
          " | ".join(f"{e:.1e} ({e / chain:.1f}, {e / rows:.1f})" for e in cells) + " |")
