"""The models that the peer scripts time: a name of models/ or any config.json of UNet2DModel."""

import json
import threading
import time
from pathlib import Path

import diffusers
import torch

FOLDER = Path(__file__).resolve().parent / "models"
PARAMETERS = {
    "cifar10": 35_746_307,  # Ho et al. 2020, CIFAR-10
    "gray28": 4_435_393,  # 28x28, widths 64/128/128, one block a level, attention at 14x14
    "gray28-small": 1_114_209,  # the same with widths 32/64/64 and 10 classes + "none"
}


def load(name: str, **overrides) -> diffusers.UNet2DModel:
    path = FOLDER / f"{name}.json" if name in PARAMETERS else Path(name)
    config = {k: v for k, v in json.loads(path.read_text()).items() if not k.startswith("_")}
    config.update({k: v for k, v in overrides.items() if v is not None})
    model = diffusers.UNet2DModel(**config)
    count = parameters(model)
    assert count == PARAMETERS.get(name, count), (
        f"{name}: {count} parameters, expected {PARAMETERS[name]}"
    )
    return model


def parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def image_shape(model: diffusers.UNet2DModel, batch: int) -> tuple[int, ...]:
    size = model.config.sample_size
    return (batch, model.config.in_channels, *((size, size) if isinstance(size, int) else size))


def draw_labels(model: diffusers.UNet2DModel, batch: int) -> torch.Tensor | None:
    classes = model.config.num_class_embeds
    return torch.randint(0, classes, (batch,)) if classes else None


def versions() -> dict:
    onednn = next(
        (
            s.split("MKL-DNN ")[1].split(" ")[0]
            for s in torch.__config__.show().split("\n")
            if "MKL-DNN" in s
        ),
        "?",
    )
    return {
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "onednn": onednn,
        "capability": torch.backends.cpu.get_cpu_capability(),
    }


def status(field: str) -> int:
    """A line of /proc/self/status in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


class PeakMemory:
    """Peak memory of what runs inside `with`, above the process on entry (only imports done).

    rss   the kernel's high-water mark of the resident set minus the resident set on entry. Counts
          all: tensors, oneDNN's scratch and packed weights, what malloc keeps, and library code
          touched for the first time.
    anon  the same for anonymous pages alone, sampled every 5 ms: leaves library code out, may miss
          a short peak.
    """

    def __enter__(self):
        Path("/proc/self/clear_refs").write_text("5")  # lowers the high-water mark to the present
        self.rss0, self.anon0 = status("VmRSS"), status("RssAnon")
        self.anon_peak, self.done = self.anon0, threading.Event()
        self.thread = threading.Thread(target=self.sample, daemon=True)
        self.thread.start()
        return self

    def sample(self):
        while not self.done.wait(0.005):
            self.anon_peak = max(self.anon_peak, status("RssAnon"))

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()
        self.rss, self.anon = status("VmHWM") - self.rss0, self.anon_peak - self.anon0


def timed(fn, warmup: int, steps: int) -> list[float]:
    """Seconds of each of `steps` calls after `warmup` unmeasured ones."""
    seconds = []
    for k in range(warmup + steps):
        start = time.perf_counter()
        fn()
        if k >= warmup:
            seconds.append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    import sys

    print(json.dumps({"parameters": parameters(load(sys.argv[1]))}))
