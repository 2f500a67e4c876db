"""Ridge adapter: a closed-form linear map from the shared space into a generator's space."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bci_music.files import opening, plain_file

Float = NDArray[np.float64]
ALPHAS = tuple(10.0**k for k in range(-4, 3))


@dataclass
class Sums:
    """Normal equations of one fold, float64, added up batch by batch."""

    n_in: int
    n_out: int
    n: int = 0
    xx: Float = field(init=False)
    xy: Float = field(init=False)
    x: Float = field(init=False)
    y: Float = field(init=False)
    yy: float = 0.0

    def __post_init__(self) -> None:
        self.xx, self.xy = np.zeros((self.n_in, self.n_in)), np.zeros((self.n_in, self.n_out))
        self.x, self.y = np.zeros(self.n_in), np.zeros(self.n_out)

    def add(self, x: NDArray, y: NDArray) -> None:
        """Add rows: x (n, n_in), y (n, n_out)."""
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        self.n += len(x)
        self.xx += x.T @ x
        self.xy += x.T @ y
        self.x += x.sum(0)
        self.y += y.sum(0)
        self.yy += float((y * y).sum())

    def plus(self, other: Sums, sign: float = 1.0) -> Sums:
        """Return the sum (or, with sign -1, the difference) of two sets of rows."""
        total = Sums(self.n_in, self.n_out, self.n + int(sign) * other.n)
        for name in ("xx", "xy", "x", "y"):
            setattr(total, name, getattr(self, name) + sign * getattr(other, name))
        total.yy = self.yy + sign * other.yy
        return total

    def solve(self, alpha: float) -> tuple[Float, Float]:
        """Weights (n_in, n_out) and intercept (n_out,); `alpha` is relative to the mean variance of the inputs."""
        mean_x, mean_y = self.x / self.n, self.y / self.n
        xx = self.xx - self.n * np.outer(mean_x, mean_x)
        xy = self.xy - self.n * np.outer(mean_x, mean_y)
        penalty = alpha * max(np.trace(xx) / self.n_in, np.finfo(float).tiny)
        weights = np.linalg.solve(xx + penalty * np.eye(self.n_in), xy)
        return weights, mean_y - mean_x @ weights

    def error(self, weights: Float, intercept: Float) -> float:
        """Sum of squared residuals of these rows under a map."""
        cross = float((weights * self.xy).sum() + intercept @ self.y)
        fitted = float((weights * (self.xx @ weights)).sum())
        fitted += 2.0 * float(self.x @ weights @ intercept) + self.n * float(intercept @ intercept)
        return self.yy - 2.0 * cross + fitted


@dataclass(frozen=True)
class RidgeAdapter:
    """A fitted map: ``x @ weights + intercept``, (n, n_in) to (n, n_out)."""

    weights: NDArray[np.float32]
    intercept: NDArray[np.float32]
    alpha: float = 0.0

    @classmethod
    def fit(
        cls, batches: Iterable[tuple[NDArray, NDArray, NDArray]], *, alpha: float | None = None,
        alphas: Sequence[float] = ALPHAS,
    ) -> RidgeAdapter:
        """Fit from batches of (x (n, n_in), y (n, n_out), group (n,) int), seen once and never held together.

        Parameters
        ----------
        alpha : float, optional
            Fixed penalty; without it the one with the least error over held-out groups is taken.
        """
        folds: dict[int, Sums] = {}
        for x, y, group in batches:
            for g in np.unique(group):
                fold = folds.setdefault(int(g), Sums(x.shape[1], y.shape[1]))
                fold.add(x[group == g], y[group == g])
        if not folds:
            raise ValueError("an adapter needs at least one batch")
        parts = list(folds.values())
        total = parts[0]
        for part in parts[1:]:
            total = total.plus(part)
        if alpha is None:
            alpha = _best_alpha(total, parts, alphas)
        weights, intercept = total.solve(alpha)
        return cls(weights.astype(np.float32), intercept.astype(np.float32), float(alpha))

    def __call__(self, x: NDArray) -> NDArray[np.float32]:
        """Map rows; the result is not normalised."""
        return np.asarray(x, np.float32) @ self.weights + self.intercept

    def save(self, path: str | Path) -> None:
        """Write as safetensors."""
        from safetensors.numpy import save_file

        tensors = {"weights": self.weights, "intercept": self.intercept, "alpha": np.array([self.alpha], np.float32)}
        save_file({name: np.ascontiguousarray(t) for name, t in tensors.items()}, str(path))
        Path(path).chmod(0o644)

    @classmethod
    def load(cls, path: str | Path) -> RidgeAdapter:
        """Read what `save` wrote; raises `UserError` if it is damaged or not finite."""
        from safetensors.numpy import load_file

        with opening(path, "an adapter", "copy the pack again or rebuild it"):
            tensors = load_file(str(plain_file(path)))
            weights, intercept, alpha = (tensors[name] for name in ("weights", "intercept", "alpha"))
            if weights.ndim != 2 or intercept.shape != weights.shape[1:] or alpha.shape != (1,):
                raise ValueError("the shapes of its weights and intercept do not fit each other")
            # alpha may be NaN: where nothing was chosen
            if alpha.dtype != np.float32 or any(
                part.dtype != np.float32 or not np.isfinite(part).all() for part in (weights, intercept)
            ):
                raise ValueError("its numbers are not finite, or not of single precision")
        return cls(weights, intercept, float(alpha[0]))


def _best_alpha(total: Sums, parts: list[Sums], alphas: Sequence[float]) -> float:
    if len(parts) < 2:
        raise ValueError("choosing alpha needs rows of at least two groups; give `alpha` instead")
    rest = [total.plus(part, -1.0) for part in parts]

    def held_out(alpha: float) -> float:
        return sum(part.error(*others.solve(alpha)) for part, others in zip(parts, rest, strict=True))

    return min(alphas, key=held_out)
