"""Opens a model folder with diffusers, strictly, and compares one forward pass with given tensors.

  check_opened_by_diffusers.py FOLDER [--expected FILE] [--output FILE] [--tolerance 1e-4]

--expected holds the inputs `sample`, `timestep`[, `class_labels`] and, unless --output does, the
result to compare with: `output`. --output   is what `noisette forward` wrote for these inputs: its
`sample`. Without --expected the pass runs on random inputs and must be finite. A
scheduler_config.json in the folder is opened too, with the class that it names, strictly. Exit code
0 when all holds, 1 with one sentence if not.
"""

import argparse
import inspect
import json
import sys
from pathlib import Path

import diffusers
import torch
from diffusers import UNet2DModel
from safetensors.torch import load_file


def fail(message: str) -> None:
    sys.exit(f"error: {message}")


def open_strictly(folder: Path) -> UNet2DModel:
    """Every tensor has its place, every place its tensor, and diffusers knows each config field."""
    model, info = UNet2DModel.from_pretrained(
        folder,
        output_loading_info=True,
        use_safetensors=True,
        low_cpu_mem_usage=False,
        local_files_only=True,
    )
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        if info.get(kind):
            fail(f"{folder}: {kind.replace('_', ' ')}: {', '.join(map(str, info[kind]))}")
    written = json.loads((folder / "config.json").read_text())
    fields = inspect.signature(UNet2DModel.__init__).parameters
    unknown = [k for k in written if not k.startswith("_") and k not in fields]
    if unknown or written.get("_class_name") != "UNet2DModel":
        fail(f"{folder}/config.json: class {written.get('_class_name')}, unknown fields {unknown}")
    return model.eval()


def open_scheduler(folder: Path):
    """The scheduler of the folder; diffusers knows each field and takes it as it is written."""
    written = json.loads((folder / "scheduler_config.json").read_text())
    scheduler = getattr(diffusers, written["_class_name"]).from_pretrained(
        folder, local_files_only=True
    )
    for key, value in written.items():
        if key.startswith("_"):
            continue
        if key not in inspect.signature(type(scheduler).__init__).parameters:
            fail(f"{folder}/scheduler_config.json: {written['_class_name']} has no field {key}")
        if scheduler.config[key] != value:
            fail(f"{folder}/scheduler_config.json: {key} is {value}, read as {scheduler.config[key]}")
    return scheduler


def random_inputs(model: UNet2DModel) -> dict:
    c = model.config
    size = (
        c.sample_size
        if isinstance(c.sample_size, (list, tuple))
        else (c.sample_size, c.sample_size)
    )
    inputs = {"sample": torch.randn(2, c.in_channels, *size), "timestep": torch.tensor([0, 999])}
    if c.num_class_embeds:
        inputs["class_labels"] = torch.tensor([0, c.num_class_embeds - 1])
    return inputs


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--expected", type=Path)
    parser.add_argument("--output", type=Path)
    parser.add_argument(
        "--tolerance", type=float, default=1e-4, help="relative, of the output's norm"
    )
    args = parser.parse_args()
    if args.output and not args.expected:
        parser.error("--output needs --expected, which holds the inputs")

    torch.manual_seed(0)
    model = open_strictly(args.folder)
    inputs = load_file(args.expected) if args.expected else random_inputs(model)
    with torch.no_grad():
        y = model(inputs["sample"].float(), inputs["timestep"], inputs.get("class_labels")).sample
    if not torch.isfinite(y).all():
        fail(f"{args.folder}: the output is not finite")
    sizes = [p.numel() for p in model.parameters()]
    line = f"{args.folder}: opened strictly, {sum(sizes)} parameters in {len(sizes)} tensors"
    if args.expected:
        want = load_file(args.output)["sample"] if args.output else inputs["output"]
        if want.shape != y.shape:
            fail(f"{args.folder}: output {list(y.shape)}, expected {list(want.shape)}")
        error = ((y - want.float()).norm() / want.float().norm()).item()
        if not error <= args.tolerance:
            fail(f"{args.folder}: relative error {error:.3g}, allowed {args.tolerance:.3g}")
        line += f", output within {error:.3g} of the expected"
    if (args.folder / "scheduler_config.json").exists():
        c = open_scheduler(args.folder)
        line += f"; {type(c).__name__}, {c.config.beta_schedule}, {c.config.prediction_type}"
    print(line)


if __name__ == "__main__":
    main()
