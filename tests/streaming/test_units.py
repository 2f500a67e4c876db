"""Units of voltage as streams spell them."""

import pytest

from bci_music.messages import UserError
from bci_music.streaming.layout import microvolts_per


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("µV", 1), ("μV", 1), ("uV", 1), ("UV", 1), ("microvolts", 1), ("Microvolt", 1), ("-6", 1),
        ("mV", 1e3), ("millivolts", 1e3), ("-3", 1e3), ("V", 1e6), ("volts", 1e6), ("0", 1e6), (" volt ", 1e6),
        ("nV", 1e-3), ("-9", 1e-3),
    ],
)  # fmt: skip
def test_known_spellings(unit, factor):
    assert microvolts_per(unit) == factor


@pytest.mark.parametrize("unit", ["", "au", "counts", "none", "T", "6"])
def test_anything_else_asks_for_the_unit(unit):
    with pytest.raises(UserError, match="unit:") as caught:
        microvolts_per(unit, "Stream 'amp'")
    assert "Stream 'amp'" in str(caught.value)
    assert "\n" not in str(caught.value)
