"""Device and formats: bfloat16 only where it is native, freed memory kept for the next tensor."""

import platform
import subprocess
import sys

import pytest
import torch

from bci_music.messages import UserError
from bci_music.models.device import choose_device, mixed, native_bf16

REPEATED = """
import ctypes, resource, sys
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE: huge pages, where there are any free, hide faults
import torch
from bci_music.models.device import keep_memory
kept = keep_memory()
torch.set_num_threads(1)
wide, narrow, x = torch.rand(512, 2048), torch.rand(2048, 64), torch.rand(1000, 512)
for k in range(20):
    if k == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.nn.functional.gelu(x @ wide) @ narrow
print(int(kept), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

PAGES = 10 * 2 * 1000 * 2048 * 4 // 4096  # of the wide tensors made in the turns that are counted


SHARED = """
import os
os.cpu_count = lambda: 6
import torch
from bci_music.models.device import choose_device, share_cores
choose_device("cpu")
print(torch.get_num_threads(), share_cores(2), torch.get_num_threads(), share_cores(6))
print(choose_device("cpu").name.split(", ")[1])
"""


@pytest.mark.install
@pytest.mark.parametrize("wished", [None, "2"])
def test_networks_that_compute_at_once_share_the_cores(monkeypatch, wished):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if wished:
        monkeypatch.setenv("OMP_NUM_THREADS", wished)
    alone, two, now, six, *name = subprocess.run(
        [sys.executable, "-c", SHARED], capture_output=True, text=True, check=True
    ).stdout.split()
    assert now == two
    if wished:  # the user's wish stands
        assert two == six == alone
        assert " ".join(name) == ("1 thread" if alone == "1" else f"{alone} threads")
    else:
        assert (int(two), six, " ".join(name)) == (min(int(alone), 3), "1", "1 thread")


@pytest.mark.install
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator can be told")
def test_freed_memory_serves_the_next_tensor():
    refused = subprocess.run([sys.executable, "-c", REPEATED], capture_output=True, text=True, check=True).stdout
    kept, faults = (int(word) for word in refused.split())
    assert kept
    assert faults < 0.1 * PAGES  # without it most of them, but not on every run of every kernel


def test_mixed_precision_is_used_only_where_it_is_native():
    x = torch.ones(2, 2)
    with mixed("cpu"):
        assert (x @ x).dtype == (torch.bfloat16 if native_bf16("cpu") else torch.float32)
    with mixed("cpu", wanted=False):
        assert (x @ x).dtype == torch.float32
    assert choose_device("cpu", bf16=True).bf16 == native_bf16("cpu")
    assert not choose_device("cpu").bf16


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(UserError, match="no device 'abacus'"):
        choose_device("abacus")
