"""Times DDIM sampling in PyTorch: diffusers' DDIMScheduler over a UNet2DModel.

  torch_sample.py gray28 --dtype bf16 --batch 64 --ddim-steps 10
  torch_sample.py cifar10 --batch 128 --ddim-steps 50 --device cuda [--compile] [--graph]

Prints one JSON object: `seconds_per_step` is the median over repeats of one network evaluation with
its update for the whole batch, `seconds_per_image` at 50 steps follows from it. With --guidance
each step evaluates twice the batch (a class-conditional model; the last class is the empty one).
bf16 casts the weights once and keeps the sample in f32; --autocast keeps f32 weights.

On cuda a repeat ends when the card has done its work; the timesteps are on the card beforehand, and
no step waits for it. --graph records an evaluation of the network and replays it, with --compile
by mode reduce-overhead. Not yet run on a card.
"""

import argparse
import json
import statistics

import torch
from diffusers import DDIMScheduler

import models


class Sampling:
    def __init__(self, model, args):
        self.format = torch.channels_last if args.channels_last else torch.contiguous_format
        self.cast = torch.bfloat16 if args.dtype == "bf16" and not args.autocast else torch.float32
        self.device = args.device
        self.model = model.eval().requires_grad_(False).to(memory_format=self.format).to(self.cast)
        self.model.to(self.device)
        self.shape = models.image_shape(model, args.batch)
        self.labels = models.draw_labels(model, args.batch, self.device)
        self.guidance, self.steps = args.guidance, args.ddim_steps
        if self.guidance is not None:
            self.labels = torch.cat(
                [self.labels, torch.full_like(self.labels, model.config.num_class_embeds - 1)]
            )
        self.autocast = torch.autocast(
            self.device,
            torch.bfloat16,
            enabled=args.autocast and args.dtype == "bf16",
            cache_enabled=not args.graph,
        )
        self.scheduler = DDIMScheduler(
            beta_start=1e-4, beta_end=0.02, beta_schedule="linear", clip_sample=True
        )
        self.scheduler.set_timesteps(self.steps)
        # The scheduler looks its coefficients up on the CPU, the network takes t where it is.
        self.times = list(self.scheduler.timesteps.to(self.device))
        self.run = models.compiled(model, args.compile, args.graph)
        self.evaluate = self.recorded() if args.graph and not args.compile else self.network

    def network(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return self.run(x.to(self.cast), t, self.labels, return_dict=False)[0].float()

    @torch.inference_mode()
    def recorded(self):
        batch = self.shape[0] * (1 if self.guidance is None else 2)
        x = torch.zeros((batch, *self.shape[1:]), device=self.device).to(memory_format=self.format)
        t = torch.zeros_like(self.times[0])
        with self.autocast:
            replay = models.record(lambda: self.network(x, t))

        def evaluate(x_now: torch.Tensor, t_now: torch.Tensor) -> torch.Tensor:
            x.copy_(x_now)
            t.copy_(t_now)
            return replay()

        return evaluate

    @torch.inference_mode()
    def sample(self) -> torch.Tensor:
        x = torch.randn(self.shape, device=self.device).to(memory_format=self.format)
        with self.autocast:
            for t, time in zip(self.scheduler.timesteps, self.times):
                model_input = x if self.guidance is None else torch.cat([x, x])
                eps = self.evaluate(model_input, time)
                if self.guidance is not None:
                    cond, uncond = eps.chunk(2)
                    eps = uncond + self.guidance * (cond - uncond)
                x = self.scheduler.step(eps, t, x).prev_sample
        return x


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "model", help=f"{', '.join(models.PARAMETERS)} or a config.json of UNet2DModel"
    )
    parser.add_argument("--dtype", choices=["f32", "tf32", "bf16"], default="bf16")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--ddim-steps", type=int, default=5, help="steps of one repeat")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--autocast", action="store_true")
    parser.add_argument("--channels-last", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--compile", action="store_true")
    models.add_device_options(parser)
    args = parser.parse_args()
    models.prepare(args)

    with models.PeakMemory() as memory:
        model = models.load(args.model)
        if args.guidance is not None and not model.config.num_class_embeds:
            parser.error("--guidance needs a class-conditional model")
        sampling = Sampling(model, args)
        warmup = 3 if args.device == "cuda" else 1
        seconds = models.timed(sampling.sample, warmup, args.repeats, args)
        seconds = [s / args.ddim_steps for s in seconds]
    median = statistics.median(seconds)
    print(
        json.dumps(
            {
                "seconds_per_step": median,
                "seconds_per_image": 50 * median / args.batch,
                "seconds": seconds,
                "peak_rss_bytes": memory.rss,
                "peak_anon_bytes": memory.anon,
                "parameters": models.parameters(model),
                "shape": list(sampling.shape),
                "config": vars(args),
                "versions": models.versions(args.device),
                **(models.card_memory() if args.device == "cuda" else {}),
            }
        )
    )


if __name__ == "__main__":
    main()
