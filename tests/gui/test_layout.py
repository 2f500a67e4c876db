import pytest

from gui.layout import arrange, opening, scale_for
from gui.views.perform import Perform
from gui.views.registry import view_classes


def overlap(a, b):
    return a.x < b.x + b.w and b.x < a.x + a.w and a.y < b.y + b.h and b.y < a.y + a.h


@pytest.mark.parametrize("size", [(1600, 900), (960, 540), (1280, 1024), (1920, 1080), (3840, 1600)])
@pytest.mark.parametrize("strips", [0, 1, 2])
@pytest.mark.parametrize("view", view_classes())
def test_parts_lie_inside_and_apart(size, strips, view):
    boxes = arrange(*size, strips) | arrange(*size, strips, view.places)
    assert sum(name.startswith("strip") for name in boxes) == strips
    for name, box in boxes.items():
        assert box.x >= 0
        assert box.y >= 0
        assert box.x + box.w <= size[0] + 1, name
        assert box.y + box.h <= size[1] + 1, name
        assert min(box.w, box.h) >= 15, name
        assert not any(overlap(box, other) for key, other in boxes.items() if key != name), name


def test_design_size_lies_on_the_grid():
    for name, box in (arrange(1600, 900) | arrange(1600, 900, places=Perform.places)).items():
        assert box.x % 8 == 0, name
        assert box.w % 8 == 0, name


def test_text_grows_with_the_window():
    assert scale_for(1600, 900) == 1.0
    assert scale_for(3200, 1800) == 2.0
    assert scale_for(100, 100) > 0.5


@pytest.mark.parametrize("screen", [(1280, 720), (1366, 728), (1600, 900), (3840, 2160)])
def test_window_opens_within_the_screen(screen):
    x, y, w, h = opening(*screen)
    assert x >= 0
    assert y >= 30  # a title bar lies above
    assert (x + w, y + h) <= screen
    assert (w, h) == (1600, 900) or w == screen[0] or h == screen[1] - 40
