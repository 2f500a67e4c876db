"""Scalp maps as one matrix product: channel values to pixels, interpolated as MNE draws them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bci_music.eeg.montage import Montage

MIN_CHANNELS = 4


class TopoMap:
    """Interpolate values at the electrodes over the head, fast enough for every frame.

    Cubic (Clough-Tocher) between the electrodes; beyond them a ring of helper points carries the mean of its
    neighbours, as in ``mne.viz.plot_topomap(..., image_interp="cubic", extrapolate="head", border="mean")``. All of
    that is linear in the values, so it is worked out once and kept as a matrix. Build a new one when `good` changes.

    Parameters
    ----------
    montage : Montage
    good : (n_channels,) bool, optional
        Electrodes that take part, at least four of them; default all.
    resolution : int
        Pixels per side.

    Attributes
    ----------
    extent : (left, right, bottom, top)
        Of the image in head units: the head's outline has radius 1.
    inside : (resolution, resolution) bool
        Pixels on the head; row 0 is at the back of the head.
    """

    def __init__(self, montage: Montage, good: NDArray[np.bool_] | None = None, resolution: int = 64):
        places = montage.positions_2d()
        self.good = np.ones(len(places), bool) if good is None else np.asarray(good, bool).copy()
        if self.good.sum() < MIN_CHANNELS:
            raise ValueError(f"a scalp map needs {MIN_CHANNELS} electrodes, got {self.good.sum()}")
        reach = max(1.0, 1.01 * float(np.linalg.norm(places, axis=1).max()))
        self.extent = (-reach, reach, -reach, reach)
        axis = np.linspace(-reach, reach, resolution)
        x, y = np.meshgrid(axis, axis)
        self.inside = x**2 + y**2 <= reach**2
        pixels = np.column_stack([x[self.inside], y[self.inside]])
        weights = interpolation_matrix(places[self.good], pixels, reach)
        padding = -weights.shape[1] % 8  # aligned rows are read faster
        self._matrix = np.pad(weights, ((0, 0), (0, padding))).astype(np.float32)
        self._values = np.zeros(self._matrix.shape[1], np.float32)
        self._pixels = np.zeros(len(pixels), np.float32)

    def image(self, values: NDArray[np.float32], outside: float = float("nan")) -> NDArray[np.float32]:
        """Map (resolution, resolution) of values for all channels, or for the good ones only, in montage order.

        Pixels off the head are `outside`.
        """
        values = np.asarray(values, np.float32)
        n = int(self.good.sum())
        self._values[:n] = values if len(values) == n else values[self.good]
        np.matmul(self._matrix, self._values, out=self._pixels)
        image = np.full(self.inside.shape, outside, np.float32)
        image[self.inside] = self._pixels
        return image


def interpolation_matrix(
    places: NDArray[np.float64], pixels: NDArray[np.float64], reach: float
) -> NDArray[np.float64]:
    """Weights (n_pixels, n_channels) that turn values at `places` (n_channels, 2) into values at `pixels`.

    `reach` is the radius of the circle to fill, around the origin.
    """
    from scipy.interpolate import CloughTocher2DInterpolator
    from scipy.spatial import Delaunay

    mesh = Delaunay(places, incremental=True)
    corners = places[mesh.simplices]
    edges = np.concatenate([corners[:, 0] - corners[:, 1], corners[:, 1] - corners[:, 2]])
    spacing = float(np.median(np.linalg.norm(edges, axis=1)))
    n_ring = max(12, round(2 * np.pi / np.arcsin(min(spacing / reach, 1.0))))
    angle = np.linspace(0, 2 * np.pi, n_ring, endpoint=False)
    mesh.add_points((1.1 * reach + spacing) * np.column_stack([np.cos(angle), np.sin(angle)]))
    mesh.close()
    values = np.concatenate([np.eye(len(places)), _ring_weights(mesh, len(places), n_ring)])
    return CloughTocher2DInterpolator(mesh, values)(pixels)


def _ring_weights(mesh, n_channels: int, n_ring: int) -> NDArray[np.float64]:
    """What each helper point carries as weights (n_ring, n_channels): the mean of the electrodes it touches."""
    starts, neighbours = mesh.vertex_neighbor_vertices
    weights = np.zeros((n_ring, n_channels))
    for i in range(n_ring):
        point = n_channels + i
        touched = neighbours[starts[point] : starts[point + 1]]
        touched = touched[touched < n_channels]
        if len(touched):
            weights[i, touched] = 1 / len(touched)
    alone = ~weights.any(axis=1)
    weights[alone] = weights[~alone].mean(axis=0)
    return weights
