import numpy as np

from gui.widgets.raster import TraceLook, paint_columns
from gui.widgets.sweep import Columns

GROUND = (20, 26, 33)
HEIGHT = 60


def look(channels=1, **changes):
    values = {
        "middle_px": np.linspace(10, 50, channels) if channels > 1 else np.array([30.0]), "px_per_uv": 1.0,
        "reach_px": 20.0, "colours": np.tile([200.0, 100.0, 50.0], (channels, 1)), "emphasis": np.ones(channels),
    }  # fmt: skip
    return TraceLook(**{**values, **changes})


def columns(low, high):
    return Columns(0, np.array(low, np.float32), np.array(high, np.float32))


def red(picture):
    return (picture >> 16 & 255).astype(int)


def test_stroke_covers_its_extremes_and_no_more():
    picture = red(paint_columns(columns([[-5.0]], [[8.0]]), look(), HEIGHT, GROUND))[:, 0]
    lit = np.flatnonzero(picture > GROUND[0])
    assert lit.min() == 21  # 30 - 8 - half a pixel
    assert lit.max() == 35


def test_flat_line_is_one_bright_pixel_between_two_halves():
    picture = red(paint_columns(columns([[0.5]], [[0.5]]), look(), HEIGHT, GROUND))[:, 0]
    assert np.flatnonzero(picture > GROUND[0]).tolist() == [29]
    assert picture[29] > 180


def test_nan_is_not_drawn():
    picture = paint_columns(columns([[np.nan]], [[np.nan]]), look(), HEIGHT, GROUND)
    assert (picture == picture[0, 0]).all()
    assert picture[0, 0] == 0xFF141A21


def test_reach_bounds_a_wild_channel():
    picture = red(paint_columns(columns([[-1e6]], [[1e6]]), look(), HEIGHT, GROUND))[:, 0]
    lit = np.flatnonzero(picture > GROUND[0])
    assert lit.min() >= 9
    assert lit.max() <= 50


def test_columns_painted_one_by_one_equal_columns_painted_at_once():
    rng = np.random.default_rng(0)
    low = rng.normal(size=(100, 7)).astype(np.float32) * 10
    high = low + rng.exponential(size=(100, 7)).astype(np.float32) * 10
    low[50:60, 3] = np.nan
    seen = look(7, colours=rng.uniform(0, 255, (7, 3)), emphasis=rng.uniform(1, 5, 7))
    whole = paint_columns(Columns(0, low, high), seen, HEIGHT, GROUND)
    single = [paint_columns(Columns(i, low[i : i + 1], high[i : i + 1]), seen, HEIGHT, GROUND) for i in range(100)]
    np.testing.assert_array_equal(whole, np.concatenate(single, axis=1))


def test_emphasis_keeps_the_colour_of_a_bad_channel_under_its_neighbours():
    both = columns([[0.0, 0.0]], [[0.0, 0.0]])
    colours = np.array([[255.0, 0, 0], [0, 0, 255.0]])
    same_place = np.array([30.0, 30.0])
    plain = look(2, middle_px=same_place, colours=colours)
    loud = look(2, middle_px=same_place, colours=colours, emphasis=np.array([5.0, 1.0]))
    faint, strong = (red(paint_columns(both, seen, HEIGHT, GROUND)).max() for seen in (plain, loud))
    assert strong > faint + 40
