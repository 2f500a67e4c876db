"""A pack in words, for the terminal."""

from __future__ import annotations

from bci_music.metrics.metric import CONTROLS, Metric
from bci_music.models.pack import Pack


def describe(pack: Pack) -> str:
    """Return several lines: provenance first, then every metric with its n, interval, chance and control."""
    m = pack.manifest
    size = sum(entry.bytes for entry in m.files.values())
    origin = "simulated EEG: that a real brain steers it is not shown" if m.simulated else "real EEG"
    window, encoder = m.signal.window, m.decoder.encoder
    lines = [
        f"{pack.name}  ({pack.directory})",
        f"trained on   {origin}",
        f"data         {m.provenance.data}",
        f"licence      {m.licence}",
        f"montage      {m.montage}, reference {m.reference}, {m.signal.preprocess.sfreq_hz:g} Hz, "
        f"window {window.seconds:g} s, hop {window.hop_s:g} s",
        f"encoder      D {encoder.dim}, {encoder.depth} layers, patch {encoder.patch} samples, "
        f"{encoder.n_channels} channels" + (", bfloat16 where the processor has it" if m.decoder.bf16 else ""),
        f"files        {len(m.files)}, {size / 1e6:.1f} MB, verified",
    ]
    if m.generator is not None:
        millions, learned = sum(m.generator.parameters.values()) / 1e6, "" if m.generator.trained else ", not trained"
        real = f", learned from {len(m.generator.credits)} real tracks, too (CARD.md)" if m.generator.credits else ""
        lines.append(f"generator    {m.generator.name}, {millions:.1f} M parameters{learned}{real}")
    if m.normalise != "causal":
        lines.insert(2, f"scaling      over the {m.normalise.replace('-', ' ')}: looks ahead, refused live")
    if m.base:
        lines.insert(2, f"made from    {m.base}")
    if m.confidence.auroc is not None:
        lines.append(f"confidence   AUROC {m.confidence.auroc:.2f}: {m.confidence.protocol}")
    metrics = [_metric(metric) for metric in m.metrics] or ["no metrics: untrained"]
    return "\n".join([*lines, "", *metrics])


def _metric(metric: Metric) -> str:
    between = "" if metric.ci95 is None else f" [{metric.ci95[0]:.3f}, {metric.ci95[1]:.3f}]"
    chance = "" if metric.chance is None else f", chance {metric.chance:.3f}"
    controls = "".join(f", {CONTROLS.get(name, name)} {c.value:.3f}" for name, c in metric.controls.items())
    return (
        f"{metric.label}: {metric.value:.3f}{between}{chance}{controls}\n"
        f"    n = {metric.n} windows of {metric.n_recordings} recordings; {metric.protocol}"
    )
