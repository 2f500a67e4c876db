"""A spherical head: how a small current inside shows on the scalp."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

def dipole_maps(positions_m: Array, places_m: Array, directions: Array) -> Array:
    """Potential of unit dipoles in a homogeneous medium, average-referenced and of unit RMS.

    Parameters
    ----------
    positions_m : (n_channels, 3)
        Electrodes.
    places_m, directions : (n_sources, 3)
        Where the dipoles sit and where they point (any length).

    Returns
    -------
    (n_channels, n_sources) float64
    """
    offset = positions_m[:, None] - places_m[None]
    distance = np.linalg.norm(offset, axis=2)
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    maps = np.einsum("csk,sk->cs", offset, unit) / distance**3
    maps -= maps.mean(0)
    return maps / np.sqrt(np.square(maps).mean(0))


def random_dipoles(
    n: int, rng: np.random.Generator, depth_m: tuple[float, float] = (0.045, 0.075)
) -> tuple[Array, Array]:
    """Places (n, 3) in the upper three quarters of the head, and directions (n, 3)."""
    places = rng.standard_normal((n, 3))
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    places[:, 2] = np.where(places[:, 2] < -0.35, -places[:, 2], places[:, 2])
    return places * rng.uniform(*depth_m, (n, 1)), rng.standard_normal((n, 3))


def bump(positions_m: Array, at: Array, width_m: float) -> Array:
    """A smooth bump on the scalp (n_channels,), one at the direction `at`, falling off over `width_m`."""
    radius = np.linalg.norm(positions_m, axis=1).mean()
    centre = at / np.linalg.norm(at) * radius
    return np.exp(-0.5 * np.square(np.linalg.norm(positions_m - centre, axis=1) / width_m))
