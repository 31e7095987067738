"""What the parity scripts share: folders, versions, the linear schedule, writing small files."""

import json
from pathlib import Path

import diffusers
import torch
from safetensors.torch import save_file

FIXTURES = Path(__file__).resolve().parent / "fixtures"
MAX_BYTES = 1_000_000


def versions() -> dict[str, str]:
    return {"torch": torch.__version__, "diffusers": diffusers.__version__}


def small(path: Path) -> Path:
    size = path.stat().st_size
    assert size < MAX_BYTES, f"{path} has {size} bytes; a fixture stays under {MAX_BYTES}"
    return path


def save_tensors(path: Path, tensors: dict[str, torch.Tensor], **metadata) -> None:
    """One metadata entry, `made_with`: safetensors shuffles several, and the bytes shall repeat."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = {"made_with": json.dumps({**versions(), **metadata})}
    save_file({k: v.detach().contiguous() for k, v in tensors.items()}, str(path), text)
    small(path).chmod(0o644)


def save_json(path: Path, value) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n")
    small(path)


def alphas_cumprod(steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> torch.Tensor:
    """abar_t of Ho et al. 2020: linear betas in f64."""
    return torch.cumprod(1 - torch.linspace(first, last, steps, dtype=torch.float64), 0)
