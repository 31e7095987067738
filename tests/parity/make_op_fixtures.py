"""Single ops whose conventions differ between libraries, with gradients, in f64.

fixtures/ops/ops.safetensors holds `<case>.<tensor>`; fixtures/ops/ops.json says for each case its
op, its numbers, and which tensors are inputs. Every case has `y` (the output), `dy` (the cotangent)
and `d<input>` for each differentiable input. Tensors are in PyTorch's layout: images NCHW,
convolution weights OIHW, linear weights [out, in]. Inputs are f32 numbers.
"""

import math

import torch
import torch.nn.functional as F
from diffusers.models.embeddings import get_timestep_embedding

from common import FIXTURES, save_json, save_tensors, versions

tensors: dict[str, torch.Tensor] = {}
cases: dict[str, dict] = {}
generator = torch.Generator().manual_seed(20240607)


def randn(*shape, scale=1.0, shift=0.0) -> torch.Tensor:
    return (torch.randn(shape, generator=generator) * scale + shift).double()


def case(name: str, op: str, inputs: dict, fn, **numbers) -> None:
    """Runs fn on the inputs, pulls a random cotangent back, stores all of it."""
    for key, value in inputs.items():
        if value.is_floating_point():
            value.requires_grad_()
        tensors[f"{name}.{key}"] = value
    y = fn(*inputs.values())
    tensors[f"{name}.y"] = y
    wrt = {k: v for k, v in inputs.items() if v.requires_grad}
    if wrt:
        dy = randn(*y.shape)
        tensors[f"{name}.dy"] = dy
        for key, grad in zip(wrt, torch.autograd.grad(y, list(wrt.values()), dy)):
            tensors[f"{name}.d{key}"] = grad
    cases[name] = {"op": op, "inputs": list(inputs), **numbers}


def convolutions() -> None:
    """`pad` is left, right, top, bottom."""
    for name, kernel, stride, pad, size in [
        ("conv_3x3", (3, 3), 1, (1, 1, 1, 1), (5, 6)),
        ("conv_1x1", (1, 1), 1, (0, 0, 0, 0), (4, 3)),
        ("conv_valid", (3, 3), 1, (0, 0, 0, 0), (5, 4)),
        ("conv_stride2_pad1", (3, 3), 2, (1, 1, 1, 1), (6, 8)),  # diffusers, downsample_padding 1
        (
            "conv_stride2_pad0101",
            (3, 3),
            2,
            (0, 1, 0, 1),
            (6, 8),
        ),  # Ho et al., downsample_padding 0
        ("conv_stride2_odd", (3, 3), 2, (1, 1, 1, 1), (7, 5)),
        ("conv_rectangular", (1, 5), 1, (2, 2, 0, 0), (3, 7)),
    ]:
        inputs = {
            "x": randn(2, 3, *size),
            "weight": randn(4, 3, *kernel, scale=0.3),
            "bias": randn(4),
        }
        fn = lambda x, weight, bias: F.conv2d(F.pad(x, pad), weight, bias, stride)
        case(name, "conv2d", inputs, fn, stride=stride, pad=pad)


def norms() -> None:
    """Inputs so small that eps is a large part of the variance, and one with a mean far from 0."""
    for name, eps, groups, scale, shift in [
        ("group_norm_eps6", 1e-6, 4, 2e-3, 0.0),
        ("group_norm_eps5", 1e-5, 4, 2e-3, 0.0),
        ("group_norm_one_group", 1e-5, 1, 1.0, 0.0),
        ("group_norm_shifted", 1e-6, 2, 1.0, 50.0),
    ]:
        inputs = {
            "x": randn(2, 8, 3, 5, scale=scale, shift=shift),
            "weight": randn(8),
            "bias": randn(8),
        }
        case(
            name,
            "group_norm",
            inputs,
            lambda x, weight, bias: F.group_norm(x, groups, weight, bias, eps),
            groups=groups,
            eps=eps,
        )
        inputs = {k: v.detach().clone() for k, v in inputs.items()}
        case(
            name + "_silu",
            "group_norm_silu",
            inputs,
            lambda x, weight, bias: F.silu(F.group_norm(x, groups, weight, bias, eps)),
            groups=groups,
            eps=eps,
        )
    inputs = {"x": randn(3, 7, scale=0.01), "weight": randn(7), "bias": randn(7)}
    case(
        "layer_norm",
        "layer_norm",
        inputs,
        lambda x, weight, bias: F.layer_norm(x, (7,), weight, bias, 1e-5),
        eps=1e-5,
    )


def activations() -> None:
    for name, fn in [
        ("silu", F.silu),
        ("gelu", F.gelu),
        ("gelu_tanh", lambda x: F.gelu(x, approximate="tanh")),
        ("quick_gelu", lambda x: x * torch.sigmoid(1.702 * x)),
        (
            "geglu",
            lambda x: x.chunk(2, -1)[0] * F.gelu(x.chunk(2, -1)[1]),
        ),  # value first, gate second
        ("softmax", lambda x: F.softmax(x, -1)),
    ]:
        case(name, name, {"x": randn(3, 10, scale=3)}, fn)


def attentions() -> None:
    """[N, T, heads * d] in and out, channels of a head side by side, scale 1 / sqrt(d)."""
    for name, heads, queries, keys, causal in [
        ("attention_single_head", 1, 6, 6, False),
        ("attention_heads", 3, 5, 5, False),
        ("attention_cross", 2, 5, 7, False),
        ("attention_causal", 2, 6, 6, True),
    ]:

        def fn(q, k, v):
            split = lambda x: x.unflatten(-1, (heads, -1)).transpose(1, 2)
            y = F.scaled_dot_product_attention(split(q), split(k), split(v), is_causal=causal)
            return y.transpose(1, 2).flatten(2)

        inputs = {
            "q": randn(2, queries, 12, scale=2),
            "k": randn(2, keys, 12),
            "v": randn(2, keys, 12),
        }
        case(name, "attention", inputs, fn, heads=heads, causal=causal)


def resampling() -> None:
    case(
        "upsample_nearest",
        "upsample",
        {"x": randn(2, 3, 2, 3)},
        lambda x: F.interpolate(x, scale_factor=2.0),
        factor=2,
    )
    case(
        "average_pool",
        "average_pool",
        {"x": randn(2, 3, 4, 6)},
        lambda x: F.avg_pool2d(x, 2),
        size=2,
    )


def embeddings_and_losses() -> None:
    t = torch.tensor([0, 1, 487, 999])
    for name, channels, flip, shift in [
        ("sinusoid_sin_first_shift1", 8, False, 1),  # Ho et al.
        ("sinusoid_cos_first_shift0", 8, True, 0),  # the default of diffusers, Stable Diffusion
        ("sinusoid_sin_first_shift0", 6, False, 0),
    ]:
        half = channels // 2
        freq = torch.exp(
            -math.log(10000) * torch.arange(half, dtype=torch.float64) / (half - shift)
        )
        angle = t.double()[:, None] * freq
        y = torch.cat([angle.cos(), angle.sin()] if flip else [angle.sin(), angle.cos()], -1)
        library = get_timestep_embedding(
            t, channels, flip_sin_to_cos=flip, downscale_freq_shift=shift
        )
        assert (library - y).abs().max() < 1e-4, (
            f"{name} is not what diffusers makes"
        )  # f32 angles up to 999
        case(
            name,
            "sinusoid",
            {"timestep": t.clone()},
            lambda timestep: y,
            channels=channels,
            flip_sin_to_cos=flip,
            freq_shift=shift,
        )
    case(
        "embedding",
        "embedding",
        {"weight": randn(5, 4), "index": torch.tensor([3, 0, 3, 4])},
        lambda weight, index: F.embedding(index, weight),
    )
    case(
        "cross_entropy",
        "cross_entropy",
        {"x": randn(4, 5, scale=2), "target": torch.tensor([1, 0, 4, 4])},
        lambda x, target: F.cross_entropy(x, target),
    )
    case(
        "linear", "linear", {"x": randn(2, 3, 5), "weight": randn(4, 5), "bias": randn(4)}, F.linear
    )


def optimizers() -> None:
    """AdamW on given gradients: two parameters, five updates, the global-norm clip acts on some."""
    p = [torch.nn.Parameter(randn(3, 4)), torch.nn.Parameter(randn(5))]
    for i, x in enumerate(p):
        tensors[f"adamw.p{i}"] = x.detach().clone()
    numbers = dict(lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1)
    optimizer, norms = torch.optim.AdamW(p, **numbers), []
    for k, scale in enumerate([1.0, 0.01, 3.0, 0.0, 0.5]):
        for i, x in enumerate(p):
            x.grad = randn(*x.shape, scale=scale)
            tensors[f"adamw.g{i}.{k}"] = x.grad.clone()
        norms.append(torch.nn.utils.clip_grad_norm_(p, 1.0))
        optimizer.step()
        for i, x in enumerate(p):
            tensors[f"adamw.p{i}.{k}"] = x.detach().clone()
    tensors["adamw.grad_norm"] = torch.stack(norms)
    cases["adamw"] = {"op": "adamw", "steps": 5, "clip": 1.0, **numbers}


if __name__ == "__main__":
    torch.set_num_threads(1)
    for group in (
        convolutions,
        norms,
        activations,
        attentions,
        resampling,
        embeddings_and_losses,
        optimizers,
    ):
        group()
    save_tensors(FIXTURES / "ops" / "ops.safetensors", tensors)
    save_json(FIXTURES / "ops" / "ops.json", {"versions": versions(), "cases": cases})
    print(f"{len(cases)} cases, {len(tensors)} tensors")
