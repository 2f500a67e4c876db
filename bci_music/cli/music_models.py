"""`bci-music pack train` and `pack oracle`: the music models of a pack, stage by stage, and their judgement."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bci_music.evaluation.music_models.oracle import Heard, Judges

Models = Annotated[Path, typer.Option("--models", help="Folder of the training: parts, checkpoints, logs, caches.")]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]


def train(
    stage: Annotated[str, typer.Argument(help="all, vae, vocoder, vocoder-fit, vocoder-contest, unet or distil.")],
    clips: Annotated[Path, typer.Option(help="Bank of training clips.")],
    held: Annotated[Path, typer.Option(help="Bank of clips of other songs, for the figures.")],
    models: Models = Path("runs/music-models"),
    clap: Annotated[Path | None, typer.Option(help="Embedder that leads it.  \\[default: MODELS/clap]")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Time for learning; with all: for all of it.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML of sizes and schedules.")] = None,
    start: Annotated[Path | None, typer.Option(help="Parts to begin from, e.g. PACK/generator.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Another round for a stage that ended.")] = False,
    more: Annotated[list[str] | None, typer.Option(help="With all: vocoder-contest, distil.")] = None,
    device: Device = "cpu",
) -> None:
    """Train the generator that a pack ships. Interrupted stages go on where they were. Next: pack build --generator."""
    from rich.console import Console

    from bci_music.messages import UserError
    from bci_music.models.device import choose_device
    from bci_music.models.embedder import load_embedder
    from bci_music.training.audioldm.clips import ClipBank
    from bci_music.training.audioldm.schedule import describe, run_schedule, run_stage
    from bci_music.training.audioldm.stages import Bench, MusicModelsConfig

    choose_device(device)
    leads = clap or models / "clap"
    console = Console(stderr=True)
    with console.status("opening the clips") as status:
        bench = Bench(
            ClipBank.open(clips), ClipBank.open(held), models, load_embedder(leads) if leads.is_dir() else None,
            device, status.update,
        )  # fmt: skip
        settings = MusicModelsConfig.load(config) if config else MusicModelsConfig()

        def report(name: str, at: int, of: int, figures: dict[str, float]) -> None:
            status.update(f"{name} {at}/{of}: loss {figures['loss']:.4f}, {figures['seconds']:.2f} s a step")

        if stage != "all":
            outcome = run_stage(
                stage, bench, minutes=minutes, config=settings, start=start, again=again, report=report
            )
            typer.echo(describe(stage, outcome))
            return
        if minutes is None or start or again:
            raise UserError("`all` needs --minutes, and takes neither --start nor --again: those are for one stage.")
        run_schedule(
            bench, minutes, config=settings, more=tuple(more or ()), report=report,
            tell=lambda name, outcome: typer.echo(describe(name, outcome)),
        )  # fmt: skip


def oracle(
    pack: Annotated[str, typer.Option(help="Pack whose generator is judged.")] = "demo",
    clips: Annotated[Path, typer.Option(help="Bank of training clips: the judges are fitted on them.")] = Path(
        "runs/music-models/clips"
    ),
    out: Annotated[Path, typer.Option(help="Folder for table, JSON and pictures.")] = Path("out/oracle"),
    per_genre: Annotated[int, typer.Option(min=1, help="Test songs of each genre.")] = 5,
    recordings: Annotated[int, typer.Option(min=0, help="Simulated recordings a listener; 0: no EEG.")] = 1,
    stretches: Annotated[int, typer.Option(min=14, help="Clips from EEG, drawn evenly from the recordings.")] = 140,
    judged_by: Annotated[Path | None, typer.Option(help="Another CLAP as judge.  \\[default: statistics]")] = None,
    device: Device = "cpu",
) -> None:
    """Does the generated music follow the embedding, and the EEG? On songs and recordings never learned from."""
    import json

    from rich.console import Console

    from bci_music.models.device import choose_device, sleep_while_waiting

    sleep_while_waiting()
    from bci_music.evaluation.music_models.oracle import compare, generate, table, through_the_autoencoder
    from bci_music.evaluation.music_models.pictures import draw_pairs
    from bci_music.evaluation.music_models.pieces import decoded_stretches, unheard_songs
    from bci_music.generation.audioldm.sampler import load_audioldm
    from bci_music.messages import UserError
    from bci_music.models.embedder import load_embedder
    from bci_music.models.pack import Pack
    from bci_music.training.audioldm.batches import spread_evenly

    choose_device(device)
    opened = Pack.open(pack)
    if opened.generator is None:
        raise UserError(f"Pack {opened.name} brings no generator to judge: build one with `pack build --generator`.")
    with Console(stderr=True).status("fitting the judges") as status:
        judges = _judges(clips, judged_by, opened.manifest.spaces.generator)
        model = load_audioldm(opened.generator, device=device)

        def progress(what: str) -> Any:
            return lambda done, of: status.update(f"{what}: {done} of {of}")

        leads = load_embedder(opened.directory / "embedder")
        songs = unheard_songs(per_genre, leads, progress("composing test songs"))
        made = generate(model, songs, progress=progress("generating from their embeddings"))
        rows = [
            compare("the music itself", [h.sound for h in songs], songs, judges),
            compare("through autoencoder and vocoder", through_the_autoencoder(model, songs), songs, judges),
            compare("generated from its own embedding", made, songs, judges),
        ]
        out.mkdir(parents=True, exist_ok=True)
        draw_pairs(out / "pairs.png", songs, made)
        if recordings:
            listeners = _listeners(opened)
            decoded = decoded_stretches(opened, listeners, recordings, say=status.update)
            eeg: Sequence[Heard] = [decoded[i] for i in spread_evenly(len(decoded), stretches)]
            followed = generate(model, eeg, progress=progress("generating from decoded EEG"))
            rows.append(compare("generated from simulated EEG, time-block split", followed, eeg, judges))
            draw_pairs(out / "pairs-eeg.png", eeg, followed)
    (out / "oracle.json").write_text(json.dumps([r.as_dict() for r in rows], indent=1) + "\n", encoding="utf-8")
    (out / "oracle.md").write_text(table(rows) + "\n", encoding="utf-8")
    typer.echo(table(rows))
    typer.echo(f"\n{rows[2].name}: own and other music {'' if rows[2].apart else 'not '}apart. Written to {out}.")


def _judges(clips: Path, judged_by: Path | None, leads: str) -> Judges:
    """Statistics (or another CLAP) and a genre classifier, fitted on real clips of the training."""
    import numpy as np

    from bci_music.compose.songbook import GENRES
    from bci_music.evaluation.music_models.oracle import Judges
    from bci_music.models.embedder import StatisticsEmbedder, load_embedder
    from bci_music.training.audioldm.batches import FULL_SCALE, spread_evenly
    from bci_music.training.audioldm.clips import ClipBank

    bank = ClipBank.open(clips)
    known = [i for i in range(len(bank.genre)) if bank.genre[i] >= 0]  # real tracks have none of the ten
    rows = [known[i] for i in spread_evenly(len(known), 600)]
    sounds = [np.asarray(bank.sound[i], np.float32) / np.float32(FULL_SCALE) for i in rows]
    genres = [GENRES[int(bank.genre[i])] for i in rows]
    embedder = load_embedder(judged_by) if judged_by else StatisticsEmbedder.fit(sounds)
    return Judges.fit(sounds, genres, embedder, leads=leads)


def _listeners(pack: Any) -> tuple[int, ...]:
    """The simulated listeners the pack's decoder learned from."""
    from bci_music.messages import UserError

    seeds = pack.manifest.provenance.seeds.get("listeners")
    if not pack.manifest.simulated or not isinstance(seeds, list):
        raise UserError(f"Pack {pack.name} has no simulated listeners: say --recordings 0.")
    return tuple(seeds)
