"""Times a DDPM training step in PyTorch: noise, forward, backward, clip, fused AdamW, EMA.

  torch_train.py cifar10 --dtype bf16 --batch 16 --steps 5
  torch_train.py gray28 --batch 64        torch_train.py path/to/config.json
  torch_train.py cifar10 --dtype bf16 --batch 128 --steps 30 --device cuda [--compile] [--graph]

Prints one JSON object. `seconds_per_step` is the median. `peak_rss_bytes` is the peak resident set
above that of the process after its imports (see PeakMemory in models.py); `state_bytes` counts what
a step must keep whatever its code: parameters, their gradients, two moments and the EMA, all f32;
`peak_live_bytes` (with --live) is the peak of tensors alive in one further, profiled step, state
included but without oneDNN's own buffers: a lower bound that compares with an allocator's own
count. bf16 means autocast over f32 weights.

On cuda a step ends when the card has done its work. --graph records a whole step and replays it,
with --compile the compiled network (mode reduce-overhead). `peak_live_bytes` is then the peak of
the card's allocator. Not yet run on a card.
"""

import argparse
import contextlib
import json
import statistics

import torch

import models


class Training:
    """The recipe of Ho et al. 2020: linear betas, plain eps loss, clip at 1, EMA .9999."""

    def __init__(self, model, args):
        self.device = args.device
        self.format = torch.channels_last if args.channels_last else torch.contiguous_format
        self.model = model.train().to(self.device, memory_format=self.format)
        self.parameters = list(model.parameters())
        self.ema = [p.detach().clone() for p in self.parameters]
        recorded = args.graph and not args.compile
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=2e-4, weight_decay=0.0, fused=True, capturable=recorded
        )
        self.abar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), 0).to(self.device)
        self.autocast = torch.autocast(
            self.device, torch.bfloat16, enabled=args.dtype == "bf16", cache_enabled=not args.graph
        )
        self.x0 = (
            torch.rand(models.image_shape(model, args.batch))
            .mul_(2)
            .sub_(1)
            .to(self.device, memory_format=self.format)
        )
        self.labels = models.draw_labels(model, args.batch, self.device)
        self.run = models.compiled(model, args.compile, args.graph)
        self.update = models.record(self.work) if recorded else self.work

    def step(self) -> None:
        self.loss = self.update()
        if self.device == "cpu":
            self.loss = self.loss.item()

    def work(self) -> torch.Tensor:
        """One update; its loss."""
        t = torch.randint(0, 1000, (len(self.x0),), device=self.device)
        noise = torch.randn_like(self.x0)
        abar = self.abar[t].view(-1, 1, 1, 1)
        noisy = abar.sqrt() * self.x0 + (1 - abar).sqrt() * noise
        with self.autocast:
            prediction = self.run(noisy, t, self.labels, return_dict=False)[0]
        loss = torch.nn.functional.mse_loss(prediction.float(), noise)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0, foreach=True)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        torch._foreach_lerp_(self.ema, self.parameters, 1e-4)
        return loss.detach()

    @property
    def state_bytes(self) -> int:
        return 5 * sum(p.numel() * 4 for p in self.parameters)


def peak_live_bytes(training: Training) -> int:
    """The allocator's events of one step on top of what lives between steps (no gradients)."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as p:
        training.step()
    changes = [e for e in p.profiler.kineto_results.events() if e.name() == "[memory]"]
    live = peak = 0
    for event in sorted(changes, key=lambda e: e.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return training.state_bytes * 4 // 5 + training.x0.numel() * 4 + peak


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "model", help=f"{', '.join(models.PARAMETERS)} or a config.json of UNet2DModel"
    )
    parser.add_argument("--dtype", choices=["f32", "tf32", "bf16"], default="f32")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--warmup", type=int, help="unmeasured steps; default: 2, on cuda 10")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--channels-last", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--dropout", type=float, help="instead of the config's")
    parser.add_argument(
        "--live", action="store_true", help="also profile one step for peak_live_bytes"
    )
    models.add_device_options(parser)
    args = parser.parse_args()
    if args.warmup is None:
        args.warmup = 10 if args.device == "cuda" else 2
    models.prepare(args)

    with models.PeakMemory() as memory:
        model = models.load(args.model, dropout=args.dropout)
        training = Training(model, args)
        seconds = models.timed(training.step, args.warmup, args.steps, args)
    median = statistics.median(seconds)
    result = {
        "seconds_per_step": median,
        "images_per_second": args.batch / median,
        "seconds": seconds,
        "peak_rss_bytes": memory.rss,
        "peak_anon_bytes": memory.anon,
        "idle_rss_bytes": memory.rss0,
        "state_bytes": training.state_bytes,
        "parameters": models.parameters(model),
        "loss": float(training.loss),
        "shape": list(training.x0.shape),
        "config": vars(args),
        "versions": models.versions(args.device),
    }
    if args.device == "cuda":
        result.update(models.card_memory())
    elif args.live:
        result["peak_live_bytes"] = peak_live_bytes(training)
    print(json.dumps(result))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
