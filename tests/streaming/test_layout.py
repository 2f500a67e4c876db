"""What the columns of a stream are, read from its description."""

import numpy as np
import pytest

from bci_music.data.channels import not_eeg
from bci_music.messages import UserError
from bci_music.streaming.layout import read_layout, rejoined


def describe(labels, kinds=None, units=None, places=None, extra=""):
    """Description XML as liblsl gives it."""
    channels = ""
    for i, label in enumerate(labels):
        kind = "EEG" if kinds is None else kinds[i]
        unit = "uV" if units is None else units[i]
        place = "" if places is None else "<location><X>{}</X><Y>{}</Y><Z>{}</Z></location>".format(*places[i])
        channels += f"<channel><label>{label}</label><type>{kind}</type><unit>{unit}</unit>{place}</channel>"
    return f'<?xml version="1.0"?><info><name>n</name><desc><channels>{channels}</channels>{extra}</desc></info>'


TEN = [f"E{i + 1}" for i in range(10)]


def read(labels, n=None, **options):
    given = {k: options.pop(k) for k in ("kinds", "units", "places", "extra") if k in options}
    return read_layout(describe(labels, **given), "amp", len(labels) if n is None else n, **options)


def test_eeg_is_kept_in_order_and_the_rest_is_excluded_by_type_and_by_label():
    labels = ["HEOG", *TEN, "AUX1", "TRIG", "Acc X"]
    kinds = ["EEG"] + ["eeg"] * 9 + ["misc", "EEG", "EEG", "ACC"]
    layout = read(labels, kinds=kinds)
    assert layout.labels == tuple(TEN[:9])
    np.testing.assert_array_equal(layout.columns, np.arange(1, 10))
    assert layout.excluded == ("HEOG (EOG)", "E10 (MISC)", "AUX1 (AUX)", "TRIG (TRIG)", "Acc X (ACC)")
    assert layout.contiguous == slice(1, 10)


@pytest.mark.parametrize("label", ["Fp1", "Cz", "A1", "M2", "E125", "Fc5.", "T7", "EEG 001", "AF3", "Iz", "TP9", "P08"])
def test_electrodes_count_as_eeg(label):
    assert not_eeg(label) is None


@pytest.mark.parametrize(
    "label",
    ["EOG", "VEOG", "heogl", "EOG-1", "ECG", "EKG", "EMG1", "AUX 3", "aux_1", "TRIG", "Trigger", "STI 014", "Status",
     "ACC_X", "accz", "Gyro Y", "Marker", "COUNTER", "MISC1", "Battery"],
)  # fmt: skip
def test_other_channels_do_not(label):
    assert not_eeg(label)


def test_each_channel_has_its_own_unit():
    layout = read(TEN, units=["V"] * 5 + ["-6"] * 5)
    np.testing.assert_array_equal(layout.to_uv, [1e6] * 5 + [1] * 5)
    assert layout.unit == "mixed"
    assert read(TEN, units=["counts"] * 10, unit="mV").to_uv[0] == 1000


def test_positions_are_metres_and_all_or_none():
    places = [(10.0 * i, 20.0, 30.0) for i in range(10)]
    np.testing.assert_allclose(read(TEN, places=places).positions_m[3], [0.03, 0.02, 0.03])
    assert read(TEN).positions_m is None
    assert read(TEN, places=[("nan", "nan", "nan")] * 10).positions_m is None


def test_a_simulated_stream_says_so():
    assert read(TEN, extra="<simulated>true</simulated>").simulated
    assert not read(TEN).simulated


def test_an_unlabelled_stream_takes_its_names_from_the_montage():
    names = tuple(f"E{i + 1}" for i in range(12))
    bare = '<info><name>n</name><desc></desc></info>'
    layout = read_layout(bare, "amp", 14, unit="uV", montage_labels=names)
    assert layout.labels == names
    assert len(layout.excluded) == 2
    with pytest.raises(UserError, match="montage:"):
        read_layout(bare, "amp", 14, unit="uV")
    with pytest.raises(UserError, match="montage names 12"):
        read_layout(bare, "amp", 10, unit="uV", montage_labels=names)


@pytest.mark.parametrize(
    ("labels", "options", "says"),
    [
        (TEN, {"n": 12}, "describes 10 channels but sends 12"),
        (TEN[:7], {}, "7 EEG channels, at least 8"),
        ([*TEN[:9], "E1"], {}, "two channels 'E1'"),
        ([*TEN[:9], ""], {}, "no label for channel 10"),
        (TEN, {"units": ["furlong"] * 10}, "'furlong'"),
        (TEN, {"units": [""] * 10}, "does not give its unit"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(labels, options, says):
    with pytest.raises(UserError, match=says) as caught:
        read(labels, **options)
    assert "'amp'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_same_channels_in_another_order_are_put_back():
    before, now = read(TEN), read(TEN[::-1])
    after = rejoined(before, now)
    assert after.labels == before.labels
    np.testing.assert_array_equal(after.columns, np.arange(10)[::-1])
    assert "another order" in after.notes[0]
    assert rejoined(before, read(TEN)).notes == ()


def test_vanished_channels_and_new_ones():
    after = rejoined(read(TEN), read([*TEN[:4], "X1", *TEN[5:]], units=["mV"] * 10))
    assert after.labels == tuple(TEN)
    assert after.columns[4] == -1
    assert after.contiguous is None
    assert after.to_uv[0] == 1000
    assert "X1 (new)" in after.excluded
    assert any("E5 are gone" in n for n in after.notes)
    assert any("X1" in n for n in after.notes)


def test_a_description_that_attacks_the_parser_is_refused():
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><info><desc>&b;</desc></info>'
    with pytest.raises(UserError, match="cannot be read"):
        read_layout(bomb, "amp", 10)


def test_the_least_number_of_channels_is_what_the_pack_needs():
    assert len(read(TEN[:7], min_channels=7).labels) == 7
    with pytest.raises(UserError, match="10 EEG channels, at least 11"):
        read(TEN, min_channels=11)
