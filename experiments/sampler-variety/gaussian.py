"""Spread of samples of normal data N(0, s2), drawn with the best possible prediction, over that of the data.

Every step of DDIM (Song et al. 2021, eq. 12) and of DDPM with fixed_large is linear then, so that the variance of the
samples follows from a recursion. Needs NumPy: python3 experiments/sampler-variety/gaussian.py
"""
import numpy as np

ALPHA_BAR = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))


def spread(s2, steps, eta, fixed_large=False):
    visited = np.round(np.arange(1000, 0, -1000 / steps)).astype(int) - 1  # spacing "trailing"
    variance = 1.0
    for i, t in enumerate(visited):
        last = i + 1 == len(visited)
        a, b = ALPHA_BAR[t], 1.0 if last else ALPHA_BAR[visited[i + 1]]
        clean = s2 * np.sqrt(a) / (s2 * a + 1 - a)          # E[x0 | x] = clean * x
        noise = (1 - np.sqrt(a) * clean) / np.sqrt(1 - a)   # the noise that goes with it
        added = eta**2 * (1 - b) / (1 - a) * (1 - a / b)
        factor = np.sqrt(b) * clean + np.sqrt(max(1 - b - added, 0)) * noise
        if fixed_large:
            added = 0 if last else 1 - a / b
        variance = factor**2 * variance + added
    return np.sqrt(variance / s2)


print("| s2 | DDIM eta 0, 50 | DDIM eta 1, 50 | DDIM eta 1, 100 | DDIM eta 1, 1000 | DDPM fixed_large, 50 |")
for s2 in (100, 10, 1, 0.1):
    row = [spread(s2, 50, 0), spread(s2, 50, 1), spread(s2, 100, 1), spread(s2, 1000, 1), spread(s2, 50, 1, True)]
    print(f"| {s2} | " + " | ".join(f"{v:.3f}" for v in row) + " |")
