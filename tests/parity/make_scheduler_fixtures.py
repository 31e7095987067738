"""Schedules and samplers: what diffusers' schedulers compute on a stand-in model, in f64, as JSON.

fixtures/schedulers/schedulers.json:
  sums          the published sums of |x| of diffusers' own tests (768 values, ten DDIM steps,
                model(x, t) = x t / (t + 1)), computed here once more
  schedules     abar_t at a few t for linear, scaled_linear and cosine (squaredcos_cap_v2) betas
  trajectories  samplers step by step on eight values, model(x, t) = tanh(1.5 x) (0.5 + t / 2000):
                `x` holds the start and the sample after each step, `noise` what was added (before
                scaling), `timesteps` the visited steps
  variance      the two variances of DDPM at a few t
  files         alphas_cumprod at a few t of the schedulers saved in fixtures/schedulers/NAME/

diffusers builds its tables in f32; here each scheduler is given the same table in f64.
"""

from unittest import mock

import numpy
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from common import FIXTURES, alphas_cumprod, save_json, versions

LINEAR = dict(num_train_timesteps=1000, beta_start=1e-4, beta_end=0.02, beta_schedule="linear")


def published_model(x, t):
    return x * t / (t + 1)


def model(x, t):
    """Bounded, curved, and not zero at t = 0."""
    return torch.tanh(1.5 * x) * (0.5 + t / 2000)


def double_table(scheduler) -> None:
    """The scheduler's own betas, made again in f64."""
    c = scheduler.config
    abar = alphas_cumprod(c.num_train_timesteps, c.beta_start, c.beta_end)
    assert (abar - scheduler.alphas_cumprod).abs().max() < 1e-5
    scheduler.alphas_cumprod = abar
    if hasattr(scheduler, "final_alpha_cumprod"):
        scheduler.final_alpha_cumprod = (
            torch.ones((), dtype=torch.float64) if c.set_alpha_to_one else abar[0]
        )


def sums() -> list:
    """The published numbers come from f32 tables and samples; ours must round to them."""
    out = []
    for published, config in [
        (172.0067, dict()),
        (52.5302, dict(prediction_type="v_prediction")),
        (149.8295, dict(set_alpha_to_one=True, beta_start=0.01)),
        (149.0784, dict(set_alpha_to_one=False, beta_start=0.01)),
    ]:
        config = {
            **LINEAR,
            "prediction_type": "epsilon",
            "clip_sample": True,
            "set_alpha_to_one": True,
            **config,
        }
        scheduler = DDIMScheduler(**config)
        double_table(scheduler)
        scheduler.set_timesteps(10)
        x = torch.arange(768, dtype=torch.float64) / 768
        for t in scheduler.timesteps:
            x = scheduler.step(published_model(x, t), t, x, eta=0.0).prev_sample
        total = x.abs().sum().item()
        assert abs(total - published) < 1e-3, f"{config}: {total}, published {published}"
        out.append({**config, "steps": 10, "eta": 0.0, "published": published, "sum": total})
    return out


def schedules() -> list:
    out = []
    at = [0, 1, 10, 250, 500, 750, 998, 999]
    for name, betas in [
        ("linear", torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)),
        ("scaled_linear", torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2),
        ("squaredcos_cap_v2", None),
    ]:
        if betas is None:  # Nichol & Dhariwal 2021: abar(s) = cos^2((s + .008) / 1.008 pi / 2)
            s = torch.arange(1001, dtype=torch.float64) / 1000
            bar = torch.cos((s + 0.008) / 1.008 * torch.pi / 2) ** 2
            betas = (1 - bar[1:] / bar[:-1]).clamp(max=0.999)
        abar = torch.cumprod(1 - betas, 0)
        library = DDPMScheduler(
            beta_start=betas[0].item(), beta_end=betas[-1].item(), beta_schedule=name
        )
        relative = ((abar - library.alphas_cumprod) / abar).abs().max().item()
        assert relative < 1e-3, f"{name}: f64 and f32 tables differ by {relative:.2g}"
        out.append(
            {"name": name, "t": at, "beta": betas[at].tolist(), "alphas_cumprod": abar[at].tolist()}
        )
    return out


def trajectory(kind: str, steps: int, config: dict, eta: float = 0.0) -> dict:
    cls = {"ddim": DDIMScheduler, "ddpm": DDPMScheduler}[kind]
    scheduler = cls(**LINEAR, **config)
    double_table(scheduler)
    scheduler.set_timesteps(steps)
    g = torch.Generator().manual_seed(7)
    x = torch.randn(1, 8, generator=g, dtype=torch.float64)
    path, added = [x[0].tolist()], []
    for t in scheduler.timesteps:
        z = torch.randn(1, 8, generator=g, dtype=torch.float64)
        eps = model(x, t.double())
        if kind == "ddim":
            x = scheduler.step(eps, t, x, eta=eta, variance_noise=z if eta else None).prev_sample
        else:
            with mock.patch("diffusers.schedulers.scheduling_ddpm.randn_tensor", return_value=z):
                x = scheduler.step(eps, t, x).prev_sample
        path.append(x[0].tolist())
        added.append(z[0].tolist())
    numbers = {
        "sampler": kind,
        "steps": steps,
        **config,
        **({"eta": eta} if kind == "ddim" else {}),
    }
    return {**numbers, "timesteps": scheduler.timesteps.tolist(), "noise": added, "x": path}


def trajectories() -> list:
    out = []
    for prediction in ("epsilon", "sample", "v_prediction"):
        for clip in (False, True):
            out.append(trajectory("ddim", 5, dict(prediction_type=prediction, clip_sample=clip)))
    for eta in (0.5, 1.0):
        out.append(trajectory("ddim", 5, dict(prediction_type="epsilon", clip_sample=True), eta))
    for spacing, steps in (("linspace", 5), ("trailing", 5), ("leading", 7)):
        out.append(
            trajectory(
                "ddim",
                steps,
                dict(prediction_type="epsilon", clip_sample=True, timestep_spacing=spacing),
            )
        )
    for variance in ("fixed_small", "fixed_large"):
        out.append(
            trajectory(
                "ddpm",
                10,
                dict(prediction_type="epsilon", clip_sample=True, variance_type=variance),
            )
        )
    return out


def variances() -> list:
    scheduler = DDPMScheduler(**LINEAR)
    double_table(scheduler)
    at = [0, 1, 487, 999]
    out = []
    for kind in ("fixed_small", "fixed_large"):
        value = [scheduler._get_variance(t, variance_type=kind).item() for t in at]
        out.append({"type": kind, "t": at, "variance": value})
    assert numpy.allclose(
        out[0]["variance"][2:], [0.00979, 0.02], atol=1e-5
    )  # published, with 0 at t = 0
    return out


def files() -> list:
    """scheduler_config.json as diffusers writes it."""
    schedulers = {
        "ddpm_default": DDPMScheduler(),
        "ddpm_large": DDPMScheduler(variance_type="fixed_large", clip_sample=False),
        "ddim_cosine_v_zero_snr": DDIMScheduler(
            num_train_timesteps=400,
            beta_schedule="squaredcos_cap_v2",
            prediction_type="v_prediction",
            timestep_spacing="trailing",
            rescale_betas_zero_snr=True,
            clip_sample_range=2.0,
        ),
        "ddim_scaled_linear": DDIMScheduler(
            beta_schedule="scaled_linear",
            beta_start=0.00085,
            beta_end=0.012,
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
    }
    out = []
    for name, scheduler in schedulers.items():
        scheduler.save_config(FIXTURES / "schedulers" / name)
        abar, last = scheduler.alphas_cumprod, scheduler.config.num_train_timesteps - 1
        at = [0, 1, 10, last // 2, last - 1, last]
        out.append({"name": name, "t": at, "alphas_cumprod": abar[at].tolist()})
    return out


if __name__ == "__main__":
    content = {
        "versions": versions(),
        "sums": sums(),
        "schedules": schedules(),
        "trajectories": trajectories(),
        "variance": variances(),
        "files": files(),
    }
    save_json(FIXTURES / "schedulers" / "schedulers.json", content)
    print({k: len(v) for k, v in content.items()})
