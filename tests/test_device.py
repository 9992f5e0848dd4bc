import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from chiasm.device import choose_device, deterministic_on_cpu, matmul_dtype, return_freed_memory
from chiasm.errors import UserError


def test_auto_takes_what_is_there() -> None:
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert choose_device("auto").type == expected
    assert choose_device("cpu").type == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(UserError, match="sees no CUDA device"):
        choose_device("cuda:1")


def test_precision() -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert matmul_dtype(cpu, "auto") == torch.float32
    assert matmul_dtype(cuda, "auto") == torch.bfloat16
    assert matmul_dtype(cuda, "float32") == torch.float32
    assert matmul_dtype(cpu, "bfloat16") == torch.bfloat16


def test_determinism_ends_with_its_context() -> None:
    before = torch.are_deterministic_algorithms_enabled()
    with deterministic_on_cpu(torch.device("cpu")):
        assert torch.are_deterministic_algorithms_enabled()
    assert torch.are_deterministic_algorithms_enabled() == before


@pytest.mark.skipif(sys.platform != "linux", reason="glibc keeps what is freed")
def test_freed_memory_goes_back() -> None:
    """What lies between pieces in use stays with the process until it is asked for."""

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    pieces = [torch.ones(16_000) for _ in range(4000)]  # 256 MB, too small to be mapped apart
    del pieces[::2], pieces[:-1:2]
    before = resident()
    return_freed_memory(torch.device("cpu"))
    assert resident() < before - 50e6


FAULTS = """
import resource, torch
from chiasm.device import keep_freed_memory
torch.set_num_threads(1)
keep_freed_memory(torch.device("cpu"))
for repeat in range(30):
    if repeat == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    several = [torch.ones(600_000) for _ in range(20)]
    del several
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_kept_memory_is_not_asked_for_again() -> None:
    command = [sys.executable, "-c", FAULTS]
    faults = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert faults < 1000  # 20 rounds of 48 MB are 234,000 pages
