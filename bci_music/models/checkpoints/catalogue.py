"""Checkpoints this program knows: what each is for, its licence, and what it must be."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import Literal

from bci_music.files import SHOWN, shown
from bci_music.messages import UserError

NON_COMMERCIAL = "CC BY-NC-SA 4.0"
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint on the Hugging Face hub.

    Attributes
    ----------
    alias : str
        Short name in this program.
    name : str
        Owner and name on the hub.
    kind : str
        What it is: a generator ("audioldm", "musicldm", "stable-audio") or an embedder ("clap").
    licence, terms : str
        Its name, and what it asks of whoever uses the weights, in a sentence.
    purpose : str
    bytes : int
        About what there is to download; 0 where nobody wrote it down: the hub is asked.
    clap : str
        Alias of the CLAP whose sound tower leads this generator.
    revision : str
        Commit that is taken. Where it is empty, the first pull takes the newest and writes it into the lock.
    sha256 : dict of file name to hash
        What files at `revision` must be, where public records agree on it.
    """

    alias: str
    name: str
    kind: Literal["audioldm", "musicldm", "stable-audio", "clap"]
    licence: str
    terms: str
    purpose: str
    bytes: int = 0
    clap: str = ""
    revision: str = ""
    sha256: dict[str, str] = field(default_factory=dict)

    @property
    def page(self) -> str:
        """Where its card with the licence is read."""
        return f"https://huggingface.co/{self.name}"


_SHARE_ALIKE = (
    "The weights may be used for non-commercial purposes only; name their authors, and pass on what you make of the "
    "weights under the same licence."
)
_COMMUNITY = (
    "The hub asks for an account that accepted its terms. The weights are free for research, and commercially below a "
    "yearly revenue of 1 million US dollars; what they make must not train competing foundation models."
)
_APACHE = "The weights may be used for any purpose; keep the licence and the notice of their authors when passing on."

# Revisions and hashes of the two CLAPs: public records of other projects that agree with each other. Revisions: the
# model registry of embeddings-benchmark/mteb (clap_models.py). Hashes: tetherto/qvac-fabric-speech.cpp
# (music-alignment-model.json) for the larger one and, for both, lock files and checksums of three or more further
# projects. The hub was out of reach when this was written, so nothing here was downloaded; for the generators no such
# record was found, and their first pull writes one.
_TOKENIZER = {
    "special_tokens_map.json": "06e405a36dfe4b9604f484f6a1e619af1a7f7d09e34a8555eb0b77b66318067f",
    "vocab.json": "ed19656ea1707df69134c4af35c8ceda2cc9860bf2c3495026153a133670ab5e",
}
_HEARING = {"preprocessor_config.json": "9739f58296aa6f9ac18008fd0150fb2649bc554985fbde86d0a4041c882ac753"}

CATALOGUE = (
    Checkpoint(
        "audioldm-s", "cvssp/audioldm-s-full-v2", "audioldm", NON_COMMERCIAL, _SHARE_ALIKE,
        "small generator (421 M parameters), trained with text only; conditioned on CLAP htsat-unfused",
        1_690_000_000, "clap-unfused",
    ),
    Checkpoint(
        "audioldm-m", "cvssp/audioldm-m-full", "audioldm", NON_COMMERCIAL, _SHARE_ALIKE,
        "generator (652 M parameters), the only AudioLDM trained with audio embeddings: the one for EEG",
        2_610_000_000, "clap-music",
    ),
    Checkpoint(
        "musicldm", "ucsd-reach/musicldm", "musicldm", NON_COMMERCIAL, _SHARE_ALIKE,
        "music generator that brings a CLAP of its own with a sound tower",
    ),
    Checkpoint(
        "stable-audio", "stabilityai/stable-audio-open-1.0", "stable-audio", "Stability AI Community", _COMMUNITY,
        "diffusion transformer (24 blocks, 44.1 kHz stereo) under a ControlNet of your own",
    ),
    Checkpoint(
        "clap-unfused", "laion/clap-htsat-unfused", "clap", "Apache-2.0", _APACHE,
        "CLAP (HTSAT tiny) of general sound; embedder for audioldm-s",
        617_897_000, "", "8fa0f1c6d0433df6e97c127f64b2a1d6c0dcda8a",
        {
            "config.json": "9efb9557bc804f2ca6e394486af2e45dfed0b18554909735a99c6220b84e4288",
            "pytorch_model.bin": "1cd3c601bc4afe0fa87be3de4c13dd2cfadd249fac1e29acf74a9b296c3219bb",
            "merges.txt": "fe36cab26d4f4421ed725e10a2e9ddb7f799449c603a96e7f29b5a3c82a95862",
            "tokenizer.json": "77ef92283d67f0d97e1454909a964afcbfa2019f0fb9f18f8e88d5c25c3ba729",
            "tokenizer_config.json": "377f91458f7729a4574a84c77bdce67dbc3c58c1a345a29bbf8c4eb1307948a3",
            **_TOKENIZER, **_HEARING,
        },
    ),
    Checkpoint(
        "clap-music", "laion/larger_clap_music_and_speech", "clap", "Apache-2.0", _APACHE,
        "CLAP (HTSAT base) of music and speech; embedder for audioldm-m",
        779_811_000, "", "195c3a3e68faebb3e2088b9a79e79b43ddbda76b",
        {
            "config.json": "04733de73869ed861b469b275a0f31d04a7004f578234bcc3d080fd38da6c4db",
            "pytorch_model.bin": "b73c5e596fda5b29b522a1ab3f0842977fe2b147bf8b78c2ec5f7ae6267038a1",
            "merges.txt": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
            "tokenizer.json": "dc239041d98de27ffc3975473a1a23e3db4c937b23c138c38bbc66588bd247e5",
            "tokenizer_config.json": "e2eb445cfdbf4711de620cbdf10478b0423950799e85652d9f28da47066ab86d",
            **_TOKENIZER, **_HEARING,
        },
    ),
)  # fmt: skip


def known(name: str) -> Checkpoint | None:
    """Find an entry by alias or by its name on the hub."""
    return next((entry for entry in CATALOGUE if name in (entry.alias, entry.name)), None)


def hub_name(name: str) -> str:
    """Return the name on the hub for an alias or a name; raises `UserError` if it can be neither."""
    entry = known(name)
    if entry is not None:
        return entry.name
    if _HUB_NAME.fullmatch(name):
        return name
    words = [word for e in CATALOGUE for word in (e.alias, e.name)]
    near = difflib.get_close_matches(name[:SHOWN], words, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(e.alias for e in CATALOGUE)}."
    raise UserError(f"There is no directory and no checkpoint {shown(name)!r}: {hint}")
