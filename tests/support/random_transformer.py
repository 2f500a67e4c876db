"""A transformer with random weights, and a ControlNet over it, beside the parts of a random AudioLDM."""

import json
from pathlib import Path
from typing import Any

from bci_music.generation.audioldm.loading import NOTE, PLAIN_FLOW, TRANSFORMER, note_of, quiet_loading


def random_transformer(seed: int = 0, **sizes: int) -> Any:
    """Make a transformer with random weights, also where it would begin at zero and be deaf."""
    import torch

    from bci_music.generation.audioldm.latent_transformer import LatentTransformer

    torch.manual_seed(seed)
    network = LatentTransformer(**sizes).eval()
    for weights in network.parameters():
        if not weights.any():
            torch.nn.init.normal_(weights, std=0.2)
    return network


def write_random_transformer(directory: str | Path, seed: int = 0, **sizes: int) -> Path:
    """Write a transformer with random weights beside the parts in `directory`; it plays by default there."""
    import torch

    from bci_music.generation.audioldm.latent_transformer import LatentTransformer

    directory = Path(directory)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = LatentTransformer(**{"dim": 32, "depth": 4, "heads": 2} | sizes)
        for weights in network.parameters():
            if weights.ndim > 1 and not weights.any():  # what begins at zero would make it deaf
                torch.nn.init.normal_(weights, std=0.05)
    with quiet_loading():
        network.save_pretrained(directory / TRANSFORMER)
    note = note_of(directory).model_dump(exclude_none=True)
    own = {"trained": False, "name": "random transformer (not trained)", **PLAIN_FLOW}
    (directory / NOTE).write_text(json.dumps(note | {"plays": TRANSFORMER, TRANSFORMER: own}), encoding="utf-8")
    return directory


def write_random_control(directory: str | Path, eeg_dim: int, seed: int = 0, **note: object) -> Path:
    """Write a ControlNet with random weights, none of them 0, over the transformer in `directory`."""
    import torch

    from bci_music.generation.audioldm.echoes import CONTROL, ControlNote, save_control
    from bci_music.generation.audioldm.latent_control import LatentControl
    from bci_music.generation.audioldm.latent_transformer import LatentTransformer

    directory = Path(directory)
    with torch.random.fork_rng(devices=[]), quiet_loading():
        torch.manual_seed(seed)
        control = LatentControl.over(LatentTransformer.from_pretrained(directory / TRANSFORMER), eeg_dim)
        for weights in control.parameters():
            if not weights.any():
                torch.nn.init.normal_(weights, std=0.1)
    save_control(control, directory / CONTROL, ControlNote.parse({"name": "random ControlNet", **note}, "note"))
    return directory
