"""One reading of units and helper columns for streams and files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bci_music.data.channels import microvolts, not_eeg, split_channels, uv_per_unit
from bci_music.messages import UserError

EMOTIV = (
    "Timestamp", "Counter", "Interpolate", "AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4",
    "F8", "AF4", "HardwareMarker",
)  # fmt: skip
OTHERS = {
    "emotiv edf": ("COUNTER", "INTERPOLATED", "RAW_CQ", "GYROX", "GYROY", "MARKER", "SYNC", "TIME_STAMP_s", "CQ_AF3",
                   "EQ.AF3", "MOT.Q0", "OriginalTimestamp", "BatteryPercent"),
    "unicorn": ("Accelerometer X", "Gyroscope Z", "Battery Level", "Counter", "Validation Indicator"),
    "openbci": ("Sample Index", "Accel Channel 0", "Timestamp (Formatted)", "Analog Channel 2"),
    "muse": ("Right AUX", "Left AUX"),
    "cognionics": ("Packet Counter", "TRIGGER", "ACC32"),
    "clinic": ("EEG EKG1-REF", "EEG ROC-REF", "EEG LOC-REF", "PHOTIC-REF", "PULSE RATE", "RESP1", "EOG left", "-",
               "--3"),
}  # fmt: skip


@pytest.mark.parametrize("unit", [
    "µV", "μV", "uV", "UV", "microV", "Micro Volts", "micro-volts", ".V", "?V", "\ufffdV", "ÂµV", "Î¼V", "\x83ÊV", "æV",
    "mkV", "мкВ", " uV \x00", "-6", "-6.0",
])  # fmt: skip
def test_every_spelling_of_microvolts(unit):
    assert uv_per_unit(unit) == 1.0


OF_VOLTAGE = [("nV", 1e-3), ("mV", 1e3), ("MV", 1e3), ("V", 1e6), ("volts", 1e6), ("0", 1e6)]


@pytest.mark.parametrize(("unit", "factor"), OF_VOLTAGE)
def test_other_units_of_voltage(unit, factor):
    assert uv_per_unit(unit) == factor


@pytest.mark.parametrize("unit", ["", "counts", "uA", "T", "%", "6", "uV^2", "None"])
def test_what_is_no_voltage_has_no_factor(unit):
    assert uv_per_unit(unit) is None


@given(st.text())
def test_any_text_has_a_factor_of_the_table_or_none(unit):
    assert uv_per_unit(unit) in (None, 1.0, 1e3, 1e6, 1e-3)


def test_an_unknown_unit_is_read_as_microvolts_with_a_note_and_the_users_wins():
    assert microvolts(["uV", "mV"], "x") == ([1.0, 1e3], "uV", [])
    factors, unit, notes = microvolts(["counts", ""], "stream 'amp'")
    assert (factors, unit) == ([1.0, 1.0], "counts")
    assert len(notes) == 1
    assert notes[0].startswith("stream 'amp' states counts, no unit where a voltage is expected: read as µV")
    assert microvolts(["counts", "V"], "x", "mV") == ([1e3, 1e3], "mV", [])
    with pytest.raises(UserError, match="'furlong' is no unit"):
        microvolts(["uV"], "x", "furlong")


def test_helper_columns_typed_as_eeg_are_excluded():
    keep, aside = split_channels(EMOTIV, ["EEG"] * 18)
    assert [EMOTIV[k] for k in keep] == list(EMOTIV[3:17])
    assert aside == ("Timestamp (COUNT)", "Counter (COUNT)", "Interpolate (COUNT)", "HardwareMarker (TRIG)")


@pytest.mark.parametrize("label", [label for labels in OTHERS.values() for label in labels])
def test_what_else_amplifiers_send_beside_eeg(label):
    assert not_eeg(label, "EEG")


@pytest.mark.parametrize("label", [
    "Fp1", "FPZ", "EEG Fp1-REF", "EEG T3-LE", "C3-M2", "FP1-F7", "M1", "A2", "E129", "I1", "Iz", "CB1", "T1", "AFF1h",
    "EEG 001", "EXG Channel 0", "Ch1", "TP9", "Ref", "1",
])  # fmt: skip
def test_electrodes_stay(label):
    assert not_eeg(label, "EEG") is None
    assert not_eeg(label, "GYRO") == "GYRO"
