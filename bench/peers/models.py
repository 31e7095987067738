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


def draw_labels(model: diffusers.UNet2DModel, batch: int, device="cpu") -> torch.Tensor | None:
    classes = model.config.num_class_embeds
    return torch.randint(0, classes, (batch,), device=device) if classes else None


def add_device_options(parser) -> None:
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument(
        "--graph",
        action="store_true",
        help="on cuda: replay recorded kernels; with --compile by mode reduce-overhead",
    )


def prepare(args) -> None:
    """The same arithmetic as noisette's: f32 is f32 unless tf32 is asked for."""
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    if args.device == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = args.dtype == "tf32"
        torch.backends.cudnn.allow_tf32 = args.dtype == "tf32"
        torch.backends.cudnn.benchmark = True
    elif args.dtype == "tf32" or args.graph:
        raise SystemExit("error: tf32 and --graph need --device cuda")


def compiled(model: torch.nn.Module, compile: bool, graph: bool):
    if not compile:
        return model
    if not graph:
        return torch.compile(model)
    inner = torch.compile(model, mode="reduce-overhead")

    def call(*args, **options):
        torch.compiler.cudagraph_mark_step_begin()
        return inner(*args, **options)

    return call


def record(fn):
    """A function that replays the kernels of `fn`, and what it returns: the same memory each time.

    Recording follows three calls on a stream of its own, in which libraries choose their kernels.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            fn()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = fn()

    def replay():
        graph.replay()
        return result

    return replay


def card_memory() -> dict:
    """Peaks of the allocator: tensors alive, and what it holds of the card."""
    return {
        "peak_live_bytes": torch.cuda.max_memory_allocated(),
        "peak_reserved_bytes": torch.cuda.max_memory_reserved(),
    }


def versions(device: str = "cpu") -> dict:
    on_cuda = {
        "card": torch.cuda.get_device_name(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    } if device == "cuda" else {}
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
        **on_cuda,
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


def timed(fn, warmup: int, steps: int, args=None) -> list[float]:
    """Seconds of each of `steps` calls after `warmup` unmeasured ones, each to the end of its work.

    On a card the peak of memory is that of the measured calls, as noisette's is; that of a recorded
    graph is the recording's, so it is kept from the beginning.
    """
    on_cuda = args is not None and args.device == "cuda"
    seconds = []
    for k in range(warmup + steps):
        if on_cuda and k == warmup and not args.graph:
            torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        fn()
        if on_cuda:
            torch.cuda.synchronize()
        if k >= warmup:
            seconds.append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    import sys

    print(json.dumps({"parameters": parameters(load(sys.argv[1]))}))
