"""Runs noisette and PyTorch on the same work in turn (A B A B ...) and writes a table.

  compare.py --noisette build/bin/noisette --out bench/results/laptop \\
      --case cifar10 configs/ddpm-cifar10.toml 16 [--case ...] [--dtypes f32 bf16] [--rounds 3]

A case is a model of the PyTorch scripts (a name, or a config.json of UNet2DModel), noisette's
config of the same model, and the batch. Before anything is timed the two parameter counts must
agree. PyTorch's variants (channels_last or not, with --compile compiled too; sampling: weights cast
once or autocast) are each tried once and the fastest goes into the rounds. Each round starts both
programs afresh; a figure is the median over rounds of the programs' own median steps, with the
range beside it. --what sample times DDIM steps instead (`noisette bench sample`, torch_sample.py).

`over products`: noisette's whole step over what its convolutions, matrix products and attention
take in it.

Memory: `resident` is the peak resident set; for noisette of the whole process, for PyTorch above
the process with its libraries imported (which is what its 0.8 GB of libraries would otherwise
hide). `tensors` is the peak of live tensors by each allocator.

With --device cuda both run on the card: PyTorch's variants are then also those with recorded graphs
(--graph), a variant that fails is left out and named, dtypes have tf32 too, and of memory there is
`tensors` alone, both on the card. noisette records its steps by itself. Not yet run on a card.

OUT.md and OUT.json get the table, every run's raw output, device, versions and the command.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


def run(command: list[str]) -> dict:
    """The JSON object in the program's output, with its peak resident set."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = subprocess.Popen(command, stdout=out, stderr=err)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        text, errors = out.read(), err.read()
    if child.returncode != 0:
        sys.exit(
            f"error: {shlex.join(command)} exited with {child.returncode}: {errors.strip()[-2000:]}"
        )
    try:
        result = json.loads(text[text.index("{") :])
    except ValueError:
        sys.exit(f"error: {shlex.join(command)} printed no JSON object: {text[:500]}")
    result.get("machine", {}).pop("kernel", None)  # says nothing of the timings
    return {**result, "process_peak_bytes": usage.ru_maxrss * 1024}


def device() -> dict:
    lscpu = json.loads(
        subprocess.run(["lscpu", "--json"], capture_output=True, text=True, check=True).stdout
    )
    fields = {row["field"].rstrip(":"): row["data"] for row in flatten(lscpu["lscpu"])}
    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile")
    return {
        "model": fields.get("Model name", "?"),
        "family": fields.get("CPU family"),
        "cpus": os.cpu_count(),
        "flags": [f for f in wanted if f in fields.get("Flags", "").split()],
    }


def flatten(rows: list) -> list:
    return [r for row in rows for r in (row, *flatten(row.get("children", [])))]


class Case:
    def __init__(self, args, model: str, config: str, batch: str, dtype: str):
        self.args, self.model, self.config, self.batch, self.dtype = (
            args,
            model,
            config,
            int(batch),
            dtype,
        )
        self.ours, self.theirs, self.tried, self.failed = [], [], [], []
        self.cuda = args.device == "cuda"

    def noisette(self) -> list[str]:
        unit = {"train": "--steps", "sample": "--sampling-steps"}[self.args.what]
        dtype = "f32" if self.dtype == "tf32" else self.dtype
        warmup = {"train": "10", "sample": "3"}[self.args.what]  # as the PyTorch scripts have it
        return [
            *[self.args.noisette, "bench", self.args.what, self.config, "--dtype", dtype],
            *["--batch", str(self.batch), unit, str(self.args.steps)],
            *(["--device", "cuda", "--warmup", warmup] if self.cuda else []),
            *(["--set", "run.tf32=true"] if self.dtype == "tf32" else []),
            *["--threads", str(self.args.threads), "--json"],
        ]

    def torch(self, variant: list[str], steps: int | None = None) -> list[str]:
        script, unit = {
            "train": ("torch_train.py", "--steps"),
            "sample": ("torch_sample.py", "--ddim-steps"),
        }[self.args.what]
        return [
            sys.executable,
            str(HERE / script),
            self.model,
            "--dtype",
            self.dtype,
            "--batch",
            str(self.batch),
            unit,
            str(steps or self.args.steps),
            "--threads",
            str(self.args.threads),
            *(["--device", "cuda"] if self.cuda else []),
            *variant,
        ]

    def variants(self) -> list[list[str]]:
        if self.cuda:
            ways = [[], ["--graph"]]
            layouts = [["--no-channels-last", *way] for way in ways]
            ways += [["--compile"], ["--compile", "--graph"]] if self.args.compile else []
            return [["--channels-last", *way] for way in ways] + layouts
        out = [["--channels-last"], ["--no-channels-last"]]
        if self.args.what == "sample" and self.dtype == "bf16":
            out += [["--channels-last", "--autocast"]]
        return out + ([[*v, "--compile"] for v in out[:2]] if self.args.compile else [])

    def check_same_model(self) -> None:
        if self.args.skip_plan:
            return
        ours = run([self.args.noisette, "plan", self.config, "--json", "--no-measure"])[
            "parameters"
        ]
        theirs = run([sys.executable, str(HERE / "models.py"), self.model])["parameters"]
        if ours != theirs:
            sys.exit(
                f"error: {self.config} is another model than {self.model}: "
                f"{ours} and {theirs} parameters"
            )

    def measure(self) -> None:
        self.check_same_model()
        steps = min(self.args.steps, 10) if self.cuda else 2
        for variant in self.variants():
            try:
                result = run(self.torch(variant, steps))
            except SystemExit as error:
                if not self.cuda:
                    raise
                self.failed.append((variant, str(error)))
                self.say(f"PyTorch {' '.join(variant)}: left out, {error}")
                continue
            self.tried.append((result["seconds_per_step"], variant))
            self.say(f"PyTorch {' '.join(variant)}: {result['seconds_per_step']:.4f} s")
        if not self.tried:
            sys.exit(f"error: no variant of PyTorch ran for {self.model}")
        self.best = min(self.tried)[1]
        live = ["--live"] if self.args.what == "train" and not self.cuda else []
        for k in range(self.args.rounds):
            self.ours.append(run(self.noisette()))
            self.theirs.append(run(self.torch(self.best + (live if k == 0 else []))))
            ours, theirs = (runs[-1]["seconds_per_step"] for runs in (self.ours, self.theirs))
            self.say(f"round {k + 1}: {ours:.4f} s, PyTorch {theirs:.4f} s")

    def say(self, text: str) -> None:
        print(f"{self.model} {self.dtype} batch {self.batch}: {text}", file=sys.stderr)

    def row(self) -> dict:
        def median(runs, key):
            values = [r[key] for r in runs if r.get(key) is not None]
            return statistics.median(values) if values else None

        seconds = [[r["seconds_per_step"] for r in runs] for runs in (self.ours, self.theirs)]
        ours, theirs = map(statistics.median, seconds)
        script, options = Path(self.torch(self.best)[1]).name, self.torch(self.best)[2:]
        return {
            "work": f"{Path(self.model).stem} {self.args.what}",
            "batch": self.batch,
            "dtype": self.dtype,
            "seconds": ours,
            "peer_seconds": theirs,
            "range": [min(seconds[0]), max(seconds[0])],
            "peer_range": [min(seconds[1]), max(seconds[1])],
            "speedup": theirs / ours,
            "images_per_second": self.batch / ours,
            "peer_images_per_second": self.batch / theirs,
            "flops_per_step": median(self.ours, "flops_per_step"),
            "over_products": median(self.ours, "over_products"),
            "resident": median(self.ours, "process_peak_bytes"),
            "peer_resident": median(self.theirs, "peak_rss_bytes"),
            "tensors": median(self.ours, "peak_bytes"),
            "peer_tensors": median(self.theirs, "peak_live_bytes"),
            "variant": " ".join(self.best),
            "shape": self.theirs[0]["shape"],
            "command": shlex.join(self.noisette()),
            "peer_command": shlex.join(["python", f"bench/peers/{script}", *options]),
        }


def mega(value) -> str:
    return "-" if value is None else f"{value / 1e6:,.0f}"


def memory(ours, theirs) -> str:
    both = f"{mega(ours)} vs {mega(theirs)}"
    return both if ours is None or theirs is None else f"{both}, {ours / theirs:.2f}"


def spread(value: float, span: list[float]) -> str:
    return f"{value:.3g} ({span[0]:.3g}-{span[1]:.3g})"


COLUMNS = {
    "work": lambda r: r["work"],
    "batch": lambda r: r["batch"],
    "dtype": lambda r: r["dtype"],
    "noisette s/step": lambda r: spread(r["seconds"], r["range"]),
    "PyTorch s/step": lambda r: spread(r["peer_seconds"], r["peer_range"]),
    "faster": lambda r: f"**{r['speedup']:.2f}x**",
    "images/s": lambda r: f"{r['images_per_second']:.3g} vs {r['peer_images_per_second']:.3g}",
    "over products": lambda r: f"{r['over_products']:.2f}",
    "resident MB, ratio": lambda r: memory(r["resident"], r["peer_resident"]),
    "tensors MB, ratio": lambda r: memory(r["tensors"], r["peer_tensors"]),
    "PyTorch's best": lambda r: f"`{r['variant']}`",
}


def table(rows: list[dict], about: dict) -> str:
    cpu, peer = about["device"], about["versions"]
    left_out = ("over products", "resident MB, ratio") if "card" in peer else ()
    columns = {name: cell for name, cell in COLUMNS.items() if name not in left_out}
    card = f"{peer['card']}, CUDA {peer['cuda']}, cuDNN {peer['cudnn']}; " if "card" in peer else ""
    lines = [
        f"{card}{cpu['model']} (family {cpu['family']}), {cpu['cpus']} cores, "
        f"{' '.join(cpu['flags'])}; "
        f"threads: {about['threads']} each. {about['noisette']}; PyTorch {peer['torch']} "
        f"(oneDNN {peer['onednn']}), diffusers {peer['diffusers']}. {about['date']}. "
        f"Median (range) of {about['rounds']} interleaved rounds of {about['steps']} steps.",
        "",
        f"| {' | '.join(columns)} |",
        "|---" * len(columns) + "|",
    ]
    lines += [f"| {' | '.join(str(cell(r)) for cell in columns.values())} |" for r in rows]
    return "\n".join([*lines, "", "Made by", "```", about["command"], "```", ""])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--noisette", required=True, help="path of the binary")
    parser.add_argument(
        "--case", nargs=3, action="append", required=True, metavar=("MODEL", "CONFIG", "BATCH")
    )
    parser.add_argument("--what", choices=["train", "sample"], default="train")
    parser.add_argument(
        "--dtypes", nargs="+", default=["f32", "bf16"], choices=["f32", "tf32", "bf16"]
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--compile", action="store_true", help="also try torch.compile (minutes per case)"
    )
    parser.add_argument(
        "--skip-plan", action="store_true", help="do not compare the parameter counts"
    )
    parser.add_argument("--out", type=Path, required=True, help="writes OUT.md and OUT.json")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    if "tf32" in args.dtypes and args.device != "cuda":
        parser.error("tf32 needs --device cuda")

    cases = [Case(args, *case, dtype) for case in args.case for dtype in args.dtypes]
    for case in cases:
        case.measure()
    rows = [c.row() for c in cases]
    version = subprocess.run(
        [args.noisette, "--version"], capture_output=True, text=True
    ).stdout.strip()
    about = {
        "device": device(),
        "versions": cases[0].theirs[0]["versions"],
        "noisette": version or "noisette",
        "threads": args.threads,
        "date": time.strftime("%Y-%m-%d"),
        "rounds": args.rounds,
        "steps": args.steps,
        "command": shlex.join(["python", "bench/peers/compare.py", *sys.argv[1:]]),
    }
    raw = [
        {"noisette": c.ours, "torch": c.theirs, "tried": c.tried}
        | ({"failed": c.failed} if c.failed else {})
        for c in cases
    ]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.with_suffix(".json").write_text(
        json.dumps({**about, "rows": rows, "runs": raw}, indent=1) + "\n"
    )
    args.out.with_suffix(".md").write_text(table(rows, about))
    print(table(rows, about))


if __name__ == "__main__":
    main()
