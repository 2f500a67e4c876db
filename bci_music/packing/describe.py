"""A pack in words, for the terminal."""

from __future__ import annotations

from bci_music.models.pack import Metric, Pack


def describe(pack: Pack) -> str:
    """Return several lines: provenance first, then every figure with its n, interval, chance and control."""
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
    if m.calibration.auroc is not None:
        lines.append(f"confidence   AUROC {m.calibration.auroc:.2f}: {m.calibration.protocol}")
    figures = [_metric(metric) for metric in m.metrics] or ["no figures: untrained"]
    return "\n".join([*lines, "", *figures])


def _metric(metric: Metric) -> str:
    low, high = metric.ci95
    control = "" if metric.control_value is None else f", {metric.control}: {metric.control_value:.3f}"
    return (
        f"{metric.name}: {metric.value:.3f} [{low:.3f}, {high:.3f}], chance {metric.chance:.3f}{control}\n"
        f"    n = {metric.n} windows of {metric.n_recordings} recordings; {metric.protocol}"
    )
