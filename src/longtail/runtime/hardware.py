"""Device, precision and number of processes of a training, and the record of its environment."""

import ctypes
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from lightning_fabric import Fabric

import longtail

# Matrix units for bfloat16, which make mixed precision pay on a CPU.
HAS_AMX = bool(getattr(torch.cpu, "get_capabilities", dict)().get("amx_bf16"))
_LAUNCHED = "LONGTAIL_LAUNCHED_BY"
DEVICES = ("auto", "cpu", "cuda", "mps")
Precision = Literal["fp64", "fp32", "bf16", "fp16"]
_KINDS: dict[Precision, Literal["64-true", "32-true", "bf16-mixed", "16-mixed"]]
_KINDS = {"fp64": "64-true", "fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def runtime(*, device: str = "auto", devices: int = 1, precision: Precision | Literal["auto"] = "fp32") -> Fabric:
    """Choose device, number of processes and precision.

    Args:
        device: one of `DEVICES`; "auto" takes an accelerator if there is one.
        devices: processes, one device each, at least 1.
        precision: of the networks, as in a recipe; "auto" is bf16 on CUDA devices and x86 processors that multiply it
            in one go, and fp32 everywhere else.
    Raises: ValueError if this machine has no such device, or not so many, or the device lacks the precision.

    >>> runtime(device="cpu").device
    device(type='cpu')
    """
    present = {"auto": True, "cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not present.get(device):
        reason = "not present on this machine" if device in DEVICES else "unknown"
        allowed = ", ".join(name for name in DEVICES if present[name])
        raise ValueError(f"device {device!r} is {reason}; allowed here: {allowed}")
    if devices < 1:
        raise ValueError(f"devices is {devices}; it must be at least 1")
    on_cuda = device == "cuda" or (device == "auto" and present["cuda"])
    if on_cuda and devices > torch.cuda.device_count():
        raise ValueError(f"devices is {devices}; this machine has {torch.cuda.device_count()} of kind cuda")
    if precision == "auto":
        on_mps = device == "mps" or (device == "auto" and present["mps"] and not on_cuda)
        precision = "bf16" if _has_bf16("cuda" if on_cuda else "mps" if on_mps else "cpu") else "fp32"
    if precision == "fp16" and (device == "cpu" or not (present["cuda"] or present["mps"])):
        raise ValueError("precision is fp16, which does not run on cpu; allowed there: bf16, fp32, fp64")
    if precision == "fp64" and (device == "mps" or (device == "auto" and present["mps"])):
        raise ValueError("precision is fp64, which does not run on mps; allowed there: bf16, fp16, fp32")
    strategy = "ddp" if devices > 1 else "auto"
    return Fabric(accelerator=device, devices=devices, strategy=strategy, precision=_KINDS[precision])


def _has_bf16(device: str) -> bool:
    """Whether bfloat16 is multiplied in one go, which is faster than float32; MPS and ARM have not been measured."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # Older versions of PyTorch do not know.
    able = getattr(torch.cpu, "get_capabilities", dict)() if device == "cpu" else {}
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def precision(fabric: Fabric) -> Precision:
    """What a runtime computes networks in.

    >>> precision(runtime(device="cpu", precision="fp64"))
    'fp64'
    """
    return next(name for name, kind in _KINDS.items() if kind == fabric.strategy.precision.precision)


def launch(fabric: Fabric) -> None:
    """Start the other processes, if there are to be any.

    Raises: ValueError if this program has started some before: they run the whole program again, and have ended.
    """
    if fabric.world_size > 1:
        if os.environ.get(_LAUNCHED) == str(os.getpid()):
            raise ValueError("devices is above 1 for the second time in one program; start a program for each training")
        os.environ[_LAUNCHED] = str(os.getpid())
    fabric.launch()


def keep_memory() -> bool:
    """Let the C library keep memory that was freed, for the next step, until this program ends.

    glibc takes every tensor above 32 MiB from the operating system and gives it back at once. Each page of it is then
    cleared again in the next step, which can take more than half of the time of a training on a CPU
    (`benchmarks/throughput.md`). Other C libraries are left as they are.

    Returns: whether something was changed.
    """
    return _set(_MOST_MAPPINGS, 0) and _set(_TRIM_THRESHOLD, -1)


def return_memory() -> bool:
    """Let the C library give every tensor back to the operating system when it is freed, until this program ends.

    The opposite of `keep_memory`, for when memory is shorter than time. glibc itself gives only the largest back: the
    others leave holes between what is still in use, which can be several times as much (`benchmarks/throughput.md`).

    Returns: whether something was changed.
    """
    return _set(_MAPPING_THRESHOLD, 2**16)


_TRIM_THRESHOLD, _MAPPING_THRESHOLD, _MOST_MAPPINGS = -1, -3, -4  # in glibc's malloc.h


def _set(parameter: int, value: int) -> bool:
    return platform.libc_ver()[0] == "glibc" and bool(ctypes.CDLL(None).mallopt(parameter, value))


def now() -> str:
    """The time in UTC, to the second, as ISO 8601 writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def describe() -> dict[str, Any]:
    """Where and with what this program runs.

    >>> describe()["longtail"] == longtail.__version__
    True
    """
    return {
        "command": sys.argv,
        "longtail": longtail.__version__,
        "libraries": {name: version(name) for name in ("torch", "torchvision", "timm", "lightning-fabric", "numpy")},
        "commit": _commit(),
        "python": platform.python_version(),
        "machine": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "vectors": torch.backends.cpu.get_cpu_capability() + " and AMX" * HAS_AMX,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _commit() -> str | None:
    """The commit of a source checkout, marked if files were changed since; `None` for an installed package."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        if subprocess.run([*git, "ls-files", "--error-unmatch", __file__], capture_output=True, check=False).returncode:
            return None
        described = subprocess.run(
            [*git, "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return described.stdout.strip() or None
