"""Small random diffusers UNet2DModels: outputs, gradients, ten AdamW steps, one DDIM trajectory.

Each tests/parity/fixtures/unet_*/ is itself a model folder as diffusers writes it (`config.json`,
`diffusion_pytorch_model.safetensors`, f32) and holds beside that

  expected.safetensors  sample, timestep[, class_labels], target -> output,
                        loss = mean((output - target)^2), grad.<name> of every parameter
  adamw.safetensors     x0, noise, noisy [10, N, C, H, W], timestep[, class_labels] [10, N] ->
                        loss, grad_norm (before the clip), both [10], and norm.<name>, the final
                        norm of every parameter
  ddim.safetensors      noise[, class_labels] -> sample after ten DDIM steps (eta 0, x0 clipped
                        to +-1, leading spacing)

Tensors are in PyTorch's layout (NCHW, OIHW). The weights and inputs are f32 numbers; the
expectations are computed in f64 and rounded to f32 once, so that they stand for the mathematics
rather than for one machine's rounding (the sinusoids alone are f32, as diffusers always makes
them). What the same PyTorch code gives in f32 is measured and kept in each file's metadata
(`f32_relative_error`): a bound far below those figures cannot hold.

A key's bias shifts all scores of a query alike, so its true gradient is 0: compare `to_k.bias` with
an absolute bound.
"""

import copy
import tempfile
from pathlib import Path

import torch
from diffusers import DDIMScheduler, UNet2DModel
from safetensors.torch import load_file

from common import FIXTURES, alphas_cumprod, save_tensors, small

STEPS = 10
ADAMW = dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
CLIP = 1.0

# name: (config, batch, height, width)
MODELS = {
    # Ho et al. 2020: single-head attention, one-sided padding, eps 1e-6, sin before cos.
    "unet_paper": (
        dict(
            sample_size=8,
            in_channels=3,
            out_channels=3,
            block_out_channels=(16, 24),
            layers_per_block=2,
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=None,
            norm_num_groups=8,
            norm_eps=1e-6,
            downsample_padding=0,
            flip_sin_to_cos=False,
            freq_shift=1,
            add_attention=True,
            dropout=0.0,
        ),
        2,
        8,
        8,
    ),
    # The defaults of diffusers: heads of 8 channels; with classes, attention at the larger size.
    "unet_class": (
        dict(
            sample_size=8,
            in_channels=1,
            out_channels=1,
            block_out_channels=(16, 32),
            layers_per_block=1,
            down_block_types=("AttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "AttnUpBlock2D"),
            attention_head_dim=8,
            norm_num_groups=8,
            norm_eps=1e-5,
            downsample_padding=1,
            flip_sin_to_cos=True,
            freq_shift=0,
            num_class_embeds=5,
            dropout=0.0,
        ),
        3,
        8,
        8,
    ),
    # A rectangle down to one row of pixels, more outputs than inputs, no attention in the middle.
    "unet_rectangle": (
        dict(
            sample_size=(4, 12),
            in_channels=2,
            out_channels=4,
            block_out_channels=(8, 16, 24),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
            attention_head_dim=8,
            norm_num_groups=4,
            norm_eps=1e-5,
            downsample_padding=1,
            flip_sin_to_cos=True,
            freq_shift=0,
            add_attention=False,
            dropout=0.0,
        ),
        2,
        4,
        12,
    ),
}


def build(config: dict, seed: int) -> UNet2DModel:
    """Default initialisation, then no parameter left at 0 or 1 and scores far from uniform."""
    torch.manual_seed(seed)
    model = UNet2DModel(**config)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "norm" in name:
                p.add_(torch.randn_like(p), alpha=0.2)
            elif name.endswith(("to_q.weight", "to_k.weight")):
                p.mul_(3)
    return model


def draw(config: dict, lead: tuple, h: int, w: int, g: torch.Generator) -> dict:
    """Images, targets, timesteps (the first and the last included), labels; leading axes `lead`."""
    t = torch.randint(0, 1000, lead, generator=g)
    t.view(-1)[0], t.view(-1)[1] = 0, 999
    out = {
        "sample": torch.randn(*lead, config["in_channels"], h, w, generator=g),
        "target": torch.randn(*lead, config["out_channels"], h, w, generator=g),
        "timestep": t,
    }
    if config.get("num_class_embeds"):
        out["class_labels"] = torch.randint(0, config["num_class_embeds"], lead, generator=g)
        out["class_labels"].view(-1)[-1] = config["num_class_embeds"] - 1
    return out


def predict(model, x, inputs, index=...):
    labels = inputs.get("class_labels")
    return model(x, inputs["timestep"][index], None if labels is None else labels[index]).sample


def forward_backward(model, inputs) -> dict:
    model.zero_grad()
    dtype = model.dtype
    output = predict(model, inputs["sample"].to(dtype), inputs)
    loss = (output - inputs["target"].to(dtype)).square().mean()
    loss.backward()
    grads = {f"grad.{name}": p.grad for name, p in model.named_parameters()}
    return {"output": output.detach(), "loss": loss.detach(), **grads}


def train(model, inputs) -> dict:
    """Ten updates on the plain eps loss: losses, gradient norms before the clip, final norms."""
    dtype = model.dtype
    optimizer = torch.optim.AdamW(model.parameters(), **ADAMW)
    losses, norms = [], []
    for k in range(STEPS):
        optimizer.zero_grad()
        loss = (
            (predict(model, inputs["noisy"][k].to(dtype), inputs, k) - inputs["noise"][k].to(dtype))
            .square()
            .mean()
        )
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP).detach())
        optimizer.step()
        losses.append(loss.detach())
    final = {f"norm.{name}": p.detach().norm() for name, p in model.named_parameters()}
    return {"loss": torch.stack(losses), "grad_norm": torch.stack(norms), **final}


@torch.no_grad()
def ddim(model, inputs) -> torch.Tensor:
    scheduler = DDIMScheduler(
        beta_start=1e-4, beta_end=0.02, beta_schedule="linear", clip_sample=True
    )
    scheduler.alphas_cumprod = (
        alphas_cumprod()
    )  # its own table is f32, which 1 / sqrt(abar) = 157 at t = 999 magnifies
    scheduler.set_timesteps(STEPS)
    x = inputs["noise"].to(model.dtype)
    for t in scheduler.timesteps:
        labels = inputs.get("class_labels")
        x = scheduler.step(model(x, t, labels).sample, t, x, eta=0.0).prev_sample
    return x


def deviation(a: dict, b: dict, zero: str = "to_k.bias") -> dict:
    """Largest relative distance; gradients that are truly zero are measured by the largest one."""
    scale = max(
        (v.double().norm().item() for k, v in b.items() if k.startswith("grad.")), default=1.0
    )
    worst = {}
    for k, v in b.items():
        group = k.split(".")[0] + (".to_k.bias" if k.endswith(zero) else "")
        base = scale if k.endswith(zero) else v.double().norm().item()
        error = (a[k].double() - v.double()).norm().item() / base
        worst[group] = float(f"{max(worst.get(group, 0.0), error):.2g}")
    return worst


def f32(tensors: dict) -> dict:
    return {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}


def make(name: str, config: dict, batch: int, h: int, w: int, seed: int) -> None:
    folder = FIXTURES / name
    model = build(config, seed)
    model.save_pretrained(folder)
    small(folder / "diffusion_pytorch_model.safetensors").chmod(0o644)
    double = copy.deepcopy(model).double()
    g = torch.Generator().manual_seed(seed + 1)

    inputs = draw(config, (batch,), h, w, g)
    exact = forward_backward(double, inputs)
    missing = [
        k
        for k, v in exact.items()
        if k.startswith("grad.") and v.abs().max() < 1e-12 and "to_k.bias" not in k
    ]
    assert not missing, f"{name}: no gradient reaches {missing}"
    save_tensors(
        folder / "expected.safetensors",
        f32({**inputs, **exact}),
        f32_relative_error=deviation(forward_backward(model, inputs), exact),
    )

    if config["in_channels"] != config["out_channels"]:
        return  # predicting eps needs as many outputs as inputs
    inputs = draw(config, (STEPS, batch), h, w, g)
    inputs["x0"], inputs["noise"] = inputs.pop("sample").clamp(-1, 1), inputs.pop("target")
    abar = alphas_cumprod()[inputs["timestep"]].view(STEPS, batch, 1, 1, 1)
    inputs["noisy"] = (abar.sqrt() * inputs["x0"] + (1 - abar).sqrt() * inputs["noise"]).float()
    exact = train(copy.deepcopy(double), inputs)
    single = train(copy.deepcopy(model), inputs)
    save_tensors(
        folder / "adamw.safetensors",
        f32({**inputs, **exact}),
        clip=CLIP,
        **ADAMW,
        f32_relative_error=deviation(single, exact),
    )

    inputs = {"noise": torch.randn(batch, config["in_channels"], h, w, generator=g)}
    if config.get("num_class_embeds"):
        inputs["class_labels"] = torch.arange(batch) % config["num_class_embeds"]
    exact = {"sample": ddim(double, inputs)}
    save_tensors(
        folder / "ddim.safetensors",
        f32({**inputs, **exact}),
        steps=STEPS,
        f32_relative_error=deviation({"sample": ddim(model, inputs)}, exact),
    )


def check_round_trip(name: str) -> None:
    """The folder opens strictly and says what expected.safetensors says."""
    model = UNet2DModel.from_pretrained(FIXTURES / name, low_cpu_mem_usage=False)
    e = load_file(FIXTURES / name / "expected.safetensors")
    with torch.no_grad():
        error = (predict(model, e["sample"], e) - e["output"]).norm() / e["output"].norm()
    assert error < 1e-5, f"{name}: reloaded model is off by {error:.2g}"
    with tempfile.TemporaryDirectory() as again:
        model.save_pretrained(again)
        file = "diffusion_pytorch_model.safetensors"
        assert (Path(again) / file).read_bytes() == (FIXTURES / name / file).read_bytes(), (
            f"{name}: not byte-equal"
        )


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for i, (name, (config, batch, h, w)) in enumerate(MODELS.items()):
        make(name, config, batch, h, w, seed=100 * (i + 1))
        check_round_trip(name)
        count = sum(p.numel() for p in UNet2DModel(**config).parameters())
        size = sum(f.stat().st_size for f in (FIXTURES / name).iterdir())
        print(f"{name}: {count} parameters, {size} bytes")
