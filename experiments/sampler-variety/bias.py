"""How far the mean brightness of a network's predicted images is from the truth, by timestep.

    python experiments/sampler-variety/bias.py NOISETTE DATA MODEL...

NOISETTE is the program, DATA an HDF5 file of `noisette data`, each MODEL a checkpoint of a class-conditional network that
learned v on the cosine schedule. 400 real images are given noise, and `noisette forward` predicts. Prints per timestep and
model the mean of (predicted - real) over all pixels, in units of [-1, 1]: asked for the image's class, and for none.
Needs numpy, h5py and safetensors.
"""

import subprocess
import sys
import tempfile

import h5py
import numpy as np
from safetensors.numpy import load_file, save_file

STEPS = 1000
IMAGES = 400


def cosine_alpha_bar() -> np.ndarray:
    """Nichol & Dhariwal 2021, eq. 17, with betas of at most 0.999."""
    f = np.cos((np.arange(STEPS + 1) / STEPS + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.cumprod(1 - np.minimum(1 - f[1:] / f[:-1], 0.999))


def predict_v(program: str, model: str, x: np.ndarray, t: int, labels: np.ndarray) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        inputs = {
            "sample": x.astype(np.float32),
            "timestep": np.full(len(x), t, np.int64),
            "class_labels": labels.astype(np.int64),
        }
        save_file(inputs, f"{folder}/in.safetensors")
        subprocess.run(
            [program, "forward", model, "--input", f"{folder}/in.safetensors"]
            + ["--output", f"{folder}/out.safetensors"],
            check=True,
        )
        return load_file(f"{folder}/out.safetensors")["sample"]


def main() -> None:
    program, data, *models = sys.argv[1:]
    with h5py.File(data) as file:
        images, labels = file["images"][...], file["labels"][...]
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(images), IMAGES, replace=False)
    side = images.shape[1]
    x0 = images[chosen].reshape(IMAGES, 1, side, side) / 127.5 - 1
    alpha_bar = cosine_alpha_bar()
    none = np.full(IMAGES, labels.max() + 1)
    for t in [999, 980, 959, 919, 879, 799, 719, 639, 559, 479, 399, 319, 239, 159, 79, 39]:
        signal, noise = np.sqrt(alpha_bar[t]), np.sqrt(1 - alpha_bar[t])
        x = signal * x0 + noise * rng.standard_normal(x0.shape)
        bias = [
            np.mean(signal * x - noise * predict_v(program, m, x, t, asked) - x0)
            for m in models
            for asked in (labels[chosen], none)
        ]
        print(t, *(f"{b:+.3f}" for b in bias))


if __name__ == "__main__":
    main()
