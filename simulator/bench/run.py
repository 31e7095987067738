#!/usr/bin/env python3
"""Times the software GPU itself: simulator/bench/run.py [--build FOLDER] [--rounds N]

Runs bench/kernels.cu (built as the target simulator_bench) with checks on and off, on one core and
on all, a variant after the other in each round, and prints the medians as a Markdown table.
"""
import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(program, library, name, cores, checks, extra=None):
    """Seconds, work and the peak memory in bytes of one run."""
    env = dict(os.environ, LD_LIBRARY_PATH=str(library), SIM_CHECKS=checks, **(extra or {}))
    command = ["taskset", "-c", ",".join(map(str, cores)), str(program), name]
    with tempfile.TemporaryFile("w+") as out:
        child = subprocess.Popen(command, stdout=out, env=env)
        _, status, used = os.wait4(child.pid, 0)
        if status != 0:
            sys.exit(f"bench: {name} failed with status {status}")
        out.seek(0)
        seconds, work = out.read().split()
    return float(seconds), float(work), used.ru_maxrss * 1024


def instructions(program, library, name, cores):
    """Instructions of threads in the timed run: half of those of both."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "profile.json")
        run(program, library, name, cores, "on", {"SIM_PROFILE": str(path)})
        kernels = json.loads(path.read_text())["kernels"]
    return sum(s["counts"]["lanes"] for k in kernels for s in k["shapes"]) / 2


def processor():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    library = options.build / "simulator"
    program = library / "bench" / "kernels"
    if not program.exists():
        sys.exit(f"bench: no {program}; scripts/build.sh --target simulator_bench makes it")

    all_cores = sorted(os.sched_getaffinity(0))
    one, names = all_cores[:1], ["saxpy", "fma", "transpose", "mma", "gemm", "launch"]
    variants = [(one, "on"), (one, "off")] + ([(all_cores, "on")] if len(all_cores) > 1 else [])
    counts = {n: instructions(program, library, n, one) for n in names}
    rates = {(n, v): [] for n in names for v in range(len(variants))}
    work = {}
    for _ in range(options.rounds):
        for n in names:
            for v, (cores, checks) in enumerate(variants):
                seconds, work[n], _ = run(program, library, n, cores, checks)
                rates[n, v].append(1 / seconds)
    _, allocated, peak = run(program, library, "memory", one, "on")
    _, _, without = run(program, library, "fma", one, "on")

    def cell(n, v):
        rate = statistics.median(rates[n, v])
        if n == "launch":
            return f"{1e6 / (rate * work[n]):.1f} us"
        text = f"{rate * counts[n] / 1e6:,.0f}"
        return text + (f" ({rate * work[n] / 1e9:.1f} GFLOP/s)" if n in ("fma", "mma", "gemm") else "")

    heads = ["one core, checks on", "one core, checks off", f"{len(all_cores)} cores, checks on"]
    print(f"{processor()}, {len(all_cores)} cores; median of {options.rounds} rounds\n")
    print("| kernel, millions of thread-instructions a second | " + " | ".join(heads[: len(variants)]) + " |")
    print("|---|" + "---|" * len(variants))
    for n in names:
        print(f"| {n} | " + " | ".join(cell(n, v) for v in range(len(variants))) + " |")
    print(f"\n{allocated / 2**20:.0f} MiB of device memory, written, take "
          f"{(peak - without) / allocated:.2f} times as much of the host's, checks included.")


if __name__ == "__main__":
    main()
