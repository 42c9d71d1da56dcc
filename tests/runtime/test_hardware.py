"""What is asked of the machine."""

import subprocess
import sys

import pytest
import torch

from longtail.runtime import hardware

FAULTS = """
import resource, torch
from longtail.runtime import hardware

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
given_back = faults()
kept = hardware.keep_memory()
print(int(kept), given_back, min(faults() for _ in range(20)))
"""


def test_memory_is_kept_for_the_next_step():
    """Without it a tensor of 64 MiB is cleared page by page each time.

    glibc asks for a little more than an aligned block needs, so a hole of just that size is not taken again; after some
    steps there are holes enough side by side.
    """
    said = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True).stdout
    kept, given_back, again = map(int, said.split())
    assert not kept or again < given_back / 10


HOLES = """
import os, sys, torch
from longtail.runtime import hardware

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20

changed = sys.argv[1] == "returned" and hardware.return_memory()
torch.ones(2**21)  # glibc takes the next ones of this size from its heap
before = resident()
both = [(torch.ones(2**20), torch.ones(2**15)) for _ in range(50)]
both = [small for _, small in both]
print(int(changed), resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_returned_between_what_is_in_use():
    """50 tensors of 4 MiB are freed, and what lies between them is not."""
    said = {
        kind: subprocess.run([sys.executable, "-c", HOLES, kind], capture_output=True, text=True, check=True).stdout
        for kind in ("returned", "as it is")
    }
    changed, left = map(int, said["returned"].split())
    assert not changed or left < 50 < 150 < int(said["as it is"].split()[1])


def test_absent_devices_are_named():
    for device, reason in (("cuda", "not present"), ("tpu", "unknown")):
        if device == "cuda" and torch.cuda.is_available():
            continue
        with pytest.raises(ValueError, match=f"'{device}' is {reason}.*; allowed here: auto, cpu"):
            hardware.runtime(device=device)
    with pytest.raises(ValueError, match="devices is 0"):
        hardware.runtime(device="cpu", devices=0)
    with pytest.raises(ValueError, match="precision is fp16, which does not run on cpu"):
        hardware.runtime(device="cpu", precision="fp16")


@pytest.mark.parametrize(
    ("able", "expected"),
    [({"avx2": True}, "fp32"), ({"avx512_bf16": True}, "bf16"), ({"avx512_bf16": False, "amx_bf16": True}, "bf16")],
)
def test_auto_is_bf16_where_the_processor_has_instructions_for_it(monkeypatch, able, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert hardware.precision(hardware.runtime(device="cpu", precision="auto")) == expected


@pytest.mark.parametrize("cuda", [True, False])
@pytest.mark.parametrize("mps", [True, False])
def test_auto_asks_the_device_that_auto_takes(monkeypatch, cuda, mps):
    asked = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    monkeypatch.setattr(hardware, "_has_bf16", lambda kind: asked.append(kind) or False)
    on_cpu = hardware.runtime(device="cpu")
    monkeypatch.setattr(hardware, "Fabric", lambda **_: on_cpu)
    hardware.runtime(device="auto", precision="auto")
    hardware.runtime(device="cpu", precision="auto")
    assert asked == ["cuda" if cuda else "mps" if mps else "cpu", "cpu"]


def test_a_version_of_pytorch_that_does_not_say_what_a_processor_has(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert hardware.precision(hardware.runtime(device="cpu", precision="auto")) == "fp32"


@pytest.mark.parametrize("native", [True, False])
def test_auto_on_cuda_leaves_emulation_alone(monkeypatch, native):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native or including_emulation)
    assert hardware._has_bf16("cuda") == native and not hardware._has_bf16("mps")
