"""Joining the other processes when `accelerate launch` has started several; alone, nothing is joined."""

from __future__ import annotations

import os

from bci_music.messages import UserError


def join_processes(device: str = "auto") -> str:
    """Join the process group, if there is one, and return the device this process trains on.

    Parameters
    ----------
    device : str
        ``auto`` (a GPU if there is one, else the CPU), ``cpu`` or ``cuda``.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UserError(f"There is no device {device!r}: choose auto, cpu or cuda.")
    import torch
    from accelerate import PartialState

    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("There is no CUDA GPU that torch can use here: say --device cpu.")
    cpu = device == "cpu" or not torch.cuda.is_available()
    state = PartialState(cpu=cpu)
    # For several processes accelerate names a port; without --multi_gpu (or MPI) it starts only one of them on CPUs.
    alone = state.num_processes == 1 and "LOCAL_RANK" not in os.environ
    if alone and {"ACCELERATE_MIXED_PRECISION", "MASTER_PORT"} <= os.environ.keys():
        raise UserError(
            "accelerate was asked for several processes but started one: say `accelerate launch --multi_gpu "
            "--num_processes 2 ...`, on CPUs too (or unset MASTER_PORT, if one is what you want)."
        )
    if state.num_processes > 1 and cpu and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // state.num_processes))
    return "cpu" if cpu else str(state.device)


def leave_processes() -> None:
    """Leave the process group, so that nothing is left waiting."""
    from accelerate import PartialState

    PartialState().destroy_process_group()
