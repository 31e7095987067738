"""Reads what run.sh made and writes results.json, table.md, plot.svg and samples.png.

  collect.py runs/ddpm-fashion-mnist --noisette build/bin/noisette --out experiments/ddpm-fashion-mnist

Two programs agree on a figure when the 95 % interval of the difference of their means over seeds
(Welch) holds 0. The control, noisette with half the learning rate, is compared in the same way.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import h5py
import matplotlib
import numpy as np
from safetensors import safe_open
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench" / "peers"))
import compare
import models

matplotlib.use("Agg")
import matplotlib.pyplot as plt

PROGRAMS = {"noisette": "noisette", "torch": "diffusers", "control": "control"}
COLORS = {"noisette": "#b5651d", "torch": "#3b6ea8", "control": "#8a8a8a"}
SCALARS = {
    "bits_per_dim": ("bits per dimension", "{:.3f}"),
    "loss": ("loss, all timesteps", "{:.5f}"),
    "vote": ("class named by 5 neighbours, %", "{:.1f}"),
    "variety": ("variety, real images = 1", "{:.3f}"),
    "grain": ("grain", "{:.3f}"),
    "vote_eta0": ("eta 0: class named, %", "{:.1f}"),
    "variety_eta0": ("eta 0: variety", "{:.3f}"),
    "grain_eta0": ("eta 0: grain", "{:.3f}"),
}

MARK = " (!)"


def read(path: Path) -> dict:
    return json.loads(path.read_text())


def grain(samples: Path) -> float:
    """The mean absolute Laplacian of the pixels in [0, 1]."""
    with h5py.File(samples) as file:
        x = file["images"][..., 0] / 255.0
    neighbours = x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:]
    return float(np.abs(4 * x[:, 1:-1, 1:-1] - neighbours).mean())


def sample_figures(runs: Path, name: str, eta: int) -> dict:
    judged = read(runs / "eval" / f"{name}.eta{eta}.json")
    found = {
        "vote": 100 * judged["knn"]["share"],
        "variety": judged["variety"]["mean_ratio"],
        "grain": grain(runs / "eval" / f"{name}.eta{eta}.h5"),
    }
    return found if eta == 1 else {f"{key}_eta0": value for key, value in found.items()}


def figures(runs: Path, name: str) -> dict:
    """The figures of one trained model."""
    model = read(runs / "eval" / f"{name}.json")
    return {
        "bits_per_dim": model["nll"]["bits_per_dim"],
        "nll_parts": {part: model["nll"][part] for part in ("prior", "kl", "decoder")},
        "loss": model["bands"]["loss"],
        "bands": model["bands"]["bands"],
        **sample_figures(runs, name, 1),
        **sample_figures(runs, name, 0),
    }


def curve(runs: Path, name: str) -> tuple[list[int], list[float]]:
    records = [json.loads(line) for line in (runs / name / "metrics.jsonl").read_text().splitlines()]
    return [r["update"] for r in records], [r["loss"] for r in records]


def difference(ours: list[float], theirs: list[float]) -> dict:
    """Mean of `theirs` minus mean of `ours` with its 95 % interval."""
    test = stats.ttest_ind(theirs, ours, equal_var=False)
    low, high = test.confidence_interval(0.95)
    return {
        "difference": statistics.mean(theirs) - statistics.mean(ours),
        "interval": [float(low), float(high)],
        "p": float(test.pvalue),
        "holds_zero": bool(low <= 0 <= high),
    }


def values(results: dict, program: str, key) -> list[float]:
    return [key(run) for run in results["runs"][program].values()]


def summarise(results: dict) -> dict:
    keys = {name: (lambda run, name=name: run[name]) for name in SCALARS}
    bands = len(next(iter(results["runs"]["noisette"].values()))["bands"])
    keys |= {f"band_{b}": (lambda run, b=b: run["bands"][b]) for b in range(bands)}
    summary = {}
    for name, key in keys.items():
        by_program = {p: values(results, p, key) for p in PROGRAMS}
        summary[name] = {
            p: {"mean": statistics.mean(v), "deviation": statistics.stdev(v)}
            for p, v in by_program.items()
        }
        summary[name]["diffusers_minus_noisette"] = difference(
            by_program["noisette"], by_program["torch"]
        )
        summary[name]["control_minus_noisette"] = difference(
            by_program["noisette"], by_program["control"]
        )
    return summary


def cell(d: dict, form: str) -> str:
    low, high = (form.format(v) for v in d["interval"])
    mark = "" if d["holds_zero"] else MARK
    return f"{form.format(d['difference'])} ({low} to {high}){mark}"


def row(title: str, s: dict, form: str) -> str:
    means = [f"{form.format(s[p]['mean'])} ± {form.format(s[p]['deviation'])}" for p in PROGRAMS]
    differences = [s["diffusers_minus_noisette"], s["control_minus_noisette"]]
    return f"| {' | '.join([title, *means, *(cell(d, form) for d in differences)])} |"


def table(results: dict) -> str:
    summary, steps = results["summary"], results["recipe"]["timesteps"]
    bands = [name for name in summary if name.startswith("band_")]
    lines = [
        "| | noisette | diffusers | control | diffusers - noisette | control - noisette |",
        "|---|---|---|---|---|---|",
    ]
    lines += [row(title, summary[name], form) for name, (title, form) in SCALARS.items()]
    for b, name in enumerate(bands):
        first, last = b * steps // len(bands), (b + 1) * steps // len(bands) - 1
        lines.append(row(f"loss, t = {first} to {last}", summary[name], "{:.5f}"))
    lines += [
        "",
        f"Mean ± standard deviation over {len(results['seeds'])} seeds; differences with their 95 % "
        f"interval (Welch);{MARK} where it leaves 0 out.",
        "",
    ]
    return "\n".join(lines)


def plot_curves(ax, results: dict, runs: Path) -> None:
    for program, label in PROGRAMS.items():
        curves = [curve(runs, f"{program}-{seed}") for seed in results["seeds"]]
        updates, losses = curves[0][0], np.array([c[1] for c in curves])
        ax.plot(updates, losses.mean(axis=0), color=COLORS[program], label=label, lw=1.4)
        ax.fill_between(
            updates, losses.min(axis=0), losses.max(axis=0), color=COLORS[program], alpha=0.2, lw=0
        )
    ax.set(xlabel="update", ylabel="training loss, mean and range of seeds", yscale="log")
    ax.legend(frameon=False)


def plot_bands(ax, results: dict) -> None:
    """Relative to noisette's mean, since the bands span two orders of magnitude."""
    bands = len(results["runs"]["noisette"][str(results["seeds"][0])]["bands"])
    reference = np.array(
        [results["summary"][f"band_{b}"]["noisette"]["mean"] for b in range(bands)]
    )
    for k, (program, label) in enumerate(PROGRAMS.items()):
        x = np.arange(bands) + 0.22 * (k - 1)
        runs = np.array(values(results, program, lambda run: run["bands"])) / reference
        for run in runs:
            ax.plot(x, run, "o", color=COLORS[program], ms=3, alpha=0.8)
        ax.plot(x, runs.mean(axis=0), "_", color=COLORS[program], ms=11, mew=1.8, label=label)
    width = results["recipe"]["timesteps"] // bands
    ax.axhline(1, color="#bbbbbb", lw=0.8, zorder=0)
    ax.set(
        xlabel=f"timestep, in {width}s",
        ylabel="held-out loss over noisette's mean",
        xticks=range(bands),
    )


def plot_scalar(ax, results: dict, name: str) -> None:
    for k, program in enumerate(PROGRAMS):
        runs = values(results, program, lambda run: run[name])
        ax.plot([k] * len(runs), runs, "o", color=COLORS[program], ms=4, alpha=0.8)
        ax.plot([k], [statistics.mean(runs)], "_", color=COLORS[program], ms=18, mew=1.8)
    ax.set(xlim=(-0.6, 2.6), xticks=range(3))
    ax.set_xticklabels(PROGRAMS.values(), fontsize=8)
    ax.set_title(SCALARS[name][0], fontsize=9)
    ax.margins(y=0.25)


def plot(results: dict, runs: Path, out: Path) -> None:
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    plt.rcParams["svg.hashsalt"] = "ddpm-fashion-mnist"  # the same numbers give the same file
    figure, axes = plt.subplot_mosaic(
        [["curves"] * 2 + ["bands"] * 2, list(SCALARS)[:4], list(SCALARS)[4:]],
        figsize=(10, 8.4),
        height_ratios=[1.35, 1, 1],
        layout="constrained",
    )
    plot_curves(axes["curves"], results, runs)
    plot_bands(axes["bands"], results)
    for name in SCALARS:
        plot_scalar(axes[name], results, name)
    figure.savefig(out / "plot.svg", metadata={"Date": None})
    plt.close(figure)


def plot_samples(results: dict, runs: Path, out: Path, columns: int = 8) -> None:
    """The first seed's samples of both programs from the same noise, one class a row."""
    figure, axes = plt.subplots(1, 2, figsize=(6.4, 4.2), layout="constrained")
    for ax, program in zip(axes, ("noisette", "torch")):
        with h5py.File(runs / "eval" / f"{program}-{results['seeds'][0]}.eta1.h5") as file:
            images, labels = file["images"][:, :, :, 0], file["labels"][:]
        rows = [images[labels == label][:columns] for label in np.unique(labels)]
        columns = min(columns, *(len(r) for r in rows))
        grid = np.vstack([np.hstack(list(r[:columns])) for r in rows])
        ax.imshow(grid, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        ax.set_title(PROGRAMS[program])
        ax.axis("off")
    figure.savefig(out / "samples.png", dpi=110, metadata={"Software": None})
    plt.close(figure)


def output_of(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def about(runs: Path, seeds: list[int]) -> dict:
    config = tomllib.loads((runs / "resolved.toml").read_text())
    model = read(runs / "eval" / f"noisette-{seeds[0]}.json")["nll"]
    knn = read(runs / "eval" / f"noisette-{seeds[0]}.eta1.json")["knn"]
    weights = runs / f"torch-{seeds[0]}" / "model" / "diffusion_pytorch_model.safetensors"
    with safe_open(weights, "np") as file:
        theirs = sum(file.get_tensor(key).size for key in file.keys())
    ours = read(runs / "plan.json")["parameters"]
    if ours != theirs:
        raise SystemExit(f"error: the models differ: {ours} and {theirs} parameters")
    return {
        "parameters": ours,
        "updates": config["run"]["updates"],
        "batch": config["run"]["batch"],
        "timesteps": config["schedule"]["steps"],
        "eval_images": model["images"],
        "eval_timesteps_per_image": model["timesteps"],
        "samples": knn["images"],
        "vote_reference": knn["reference"],
        "data_fingerprint": model["fingerprint"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path)
    parser.add_argument("--noisette", required=True, help="path of the binary")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    seeds = sorted(int(p.stem.split("-")[1]) for p in (args.runs / "eval").glob("torch-?.json"))
    results = {
        "date": time.strftime("%Y-%m-%d"),
        "device": compare.device(),
        "versions": {
            "noisette": output_of([args.noisette, "--version"]),
            "commit": (args.runs / "commit").read_text().strip(),
            **models.versions(),
        },
        "seeds": seeds,
        "recipe": about(args.runs, seeds),
        "runs": {
            p: {str(seed): figures(args.runs, f"{p}-{seed}") for seed in seeds} for p in PROGRAMS
        },
    }
    results["summary"] = summarise(results)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (args.out / "table.md").write_text(table(results))
    plot(results, args.runs, args.out)
    plot_samples(results, args.runs, args.out)
    print(table(results))


if __name__ == "__main__":
    main()
