"""Trains diffusers' UNet2DModel in PyTorch by a resolved noisette configuration.

  noisette config recipe.toml > resolved.toml
  train_torch.py resolved.toml --seed 1 --out runs/torch-1

Every number comes from the file; random numbers come from PyTorch's generator. OUT gets
metrics.jsonl (mean loss since the last record) and, in OUT/model, the averaged weights as a
diffusers folder. A folder that holds a model already is left alone.
"""

import argparse
import json
import math
import tomllib
from pathlib import Path

import diffusers
import h5py
import torch


def refuse_others(config: dict) -> None:
    """The part of noisette's configuration that this script understands; the rest must be off."""
    wanted = {
        "run": {"precision": "f32"},
        "model": {"init": "torch", "preset": "none"},
        "schedule": {"zero_terminal_snr": False},
        "objective": {"target": "eps", "weighting": "uniform"},
        "data": {"flip": False},
        "optimizer": {"decay_vectors": True, "ema_warmup": True, "decay": "cosine"},
    }
    for table, keys in wanted.items():
        for key, value in keys.items():
            if config[table][key] != value:
                raise SystemExit(
                    f"error: {table}.{key} must be {value!r}; got {config[table][key]!r}"
                )


def make_model(c: dict) -> diffusers.UNet2DModel:
    levels = range(len(c["block_out_channels"]))
    down = ["AttnDownBlock2D" if i in c["attention_levels"] else "DownBlock2D" for i in levels]
    up = [block.replace("Down", "Up") for block in reversed(down)]
    same = (
        "sample_size in_channels out_channels block_out_channels layers_per_block add_attention "
        "norm_num_groups norm_eps dropout downsample_padding flip_sin_to_cos freq_shift "
        "mid_block_scale_factor num_class_embeds"
    ).split()
    return diffusers.UNet2DModel(
        **{key: c[key] for key in same},
        attention_head_dim=None if c["attention_head_dim"] == "none" else c["attention_head_dim"],
        down_block_types=down,
        up_block_types=up,
    )


def load_training_set(spec: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Images [N, C, H, W] in [-1, 1] and labels [N] of the split `train`."""
    with h5py.File(spec) as file:
        names = file.attrs["split_names"].decode().split()
        sizes = [int(n) for n in file.attrs["split_sizes"]]
        first = sum(sizes[: names.index("train")])
        chosen = slice(first, first + sizes[names.index("train")])
        images = torch.from_numpy(file["images"][chosen]).permute(0, 3, 1, 2).contiguous()
        return images.float() / 127.5 - 1, torch.from_numpy(file["labels"][chosen]).long()


def batches(count: int, size: int):
    """Numbers of images: each epoch a fresh permutation, batches run on across its end."""
    queue = torch.empty(0, dtype=torch.long)
    while True:
        while len(queue) < size:
            queue = torch.cat([queue, torch.randperm(count)])
        yield queue[:size]
        queue = queue[size:]


def learning_rate_factor(update: int, c: dict, updates: int) -> float:
    if update < c["warmup"]:
        return update / c["warmup"]
    done = (update - c["warmup"]) / max(updates - 1 - c["warmup"], 1)
    floor = c["final_learning_rate"] / c["learning_rate"]
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(done, 1)))


def train(config: dict, log) -> diffusers.UNet2DModel:
    run, opt = config["run"], config["optimizer"]
    images, labels = load_training_set(config["data"]["path"])
    model = make_model(config["model"]).train()
    parameters = list(model.parameters())
    average = [p.detach().clone() for p in parameters]
    optimizer = torch.optim.AdamW(
        parameters,
        lr=opt["learning_rate"],
        betas=(opt["beta1"], opt["beta2"]),
        eps=opt["eps"],
        weight_decay=opt["weight_decay"],
    )
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda update: learning_rate_factor(update, opt, run["updates"])
    )
    s = config["schedule"]
    schedule = diffusers.DDPMScheduler(
        num_train_timesteps=s["steps"],
        beta_start=s["beta_start"],
        beta_end=s["beta_end"],
        beta_schedule=s["betas"],
    )
    none = config["model"]["num_class_embeds"] - 1
    since_record = []
    for update, chosen in zip(range(run["updates"]), batches(len(images), run["batch"])):
        x0, y = images[chosen], labels[chosen]
        y = torch.where(torch.rand(len(y)) < config["data"]["label_dropout"], none, y)
        t = torch.randint(0, s["steps"], (len(x0),))
        noise = torch.randn_like(x0)
        prediction = model(schedule.add_noise(x0, noise, t), t, y).sample
        loss = torch.nn.functional.mse_loss(prediction, noise)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, opt["clip_norm"])
        optimizer.step()
        rate.step()
        optimizer.zero_grad()
        decay = min(opt["ema_decay"], (1 + update) / (10 + update))
        with torch.no_grad():
            torch._foreach_lerp_(average, parameters, 1 - decay)
        since_record.append(loss.item())
        if (update + 1) % run["log_every"] == 0 or update + 1 == run["updates"]:
            log({"update": update + 1, "loss": sum(since_record) / len(since_record)})
            since_record = []
    with torch.no_grad():
        for p, a in zip(parameters, average):
            p.copy_(a)
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    if (args.out / "model" / "config.json").exists():
        return
    config = tomllib.loads(args.config.read_text())
    refuse_others(config)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    with (args.out / "metrics.jsonl").open("w") as file:
        model = train(config, lambda record: print(json.dumps(record), file=file, flush=True))
    model.save_pretrained(args.out / "model")
    count = sum(p.numel() for p in model.parameters())
    print(f"{args.out}: {config['run']['updates']} updates, {count} parameters")


if __name__ == "__main__":
    main()
