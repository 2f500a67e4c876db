"""Montages: positions are MNE's, names as amplifiers write them find their electrode, nothing is invented."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bci_music.eeg import electrodes
from bci_music.eeg.montage import NMED_CHANNELS, Montage, map_channels, shipped_montages
from bci_music.messages import UserError

PHYSIONET = (
    *("Fc5.", "Fc3.", "Fc1.", "Fcz.", "Fc2.", "Fc4.", "Fc6.", "C5..", "C3..", "C1..", "Cz..", "C2..", "C4..", "C6.."),
    *("Cp5.", "Cp3.", "Cp1.", "Cpz.", "Cp2.", "Cp4.", "Cp6.", "Fp1.", "Fpz.", "Fp2.", "Af7.", "Af3.", "Afz.", "Af4."),
    *("Af8.", "F7..", "F5..", "F3..", "F1..", "Fz..", "F2..", "F4..", "F6..", "F8..", "Ft7.", "Ft8.", "T7..", "T8.."),
    *("T9..", "T10.", "Tp7.", "Tp8.", "P7..", "P5..", "P3..", "P1..", "Pz..", "P2..", "P4..", "P6..", "P8..", "Po7."),
    *("Po3.", "Poz.", "Po4.", "Po8.", "O1..", "Oz..", "O2..", "Iz.."),
)


@pytest.mark.parametrize(("name", "source"), sorted(electrodes.TABLES.items()))
def test_shipped_positions_are_those_of_mne(name, source):
    ours, theirs = electrodes.table(name), electrodes.from_mne(source)
    assert list(ours) == list(theirs)
    np.testing.assert_allclose(np.array(list(ours.values())), np.array(list(theirs.values())), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(list(ours.values()), axis=1), 0.095, atol=1e-6)


def test_the_drawing_is_mnes_projection():
    import mne
    from mne.channels.layout import _find_topomap_coords

    montage = Montage.nmed()
    lifted = montage.positions_m + np.array([0, 0, 0.040])
    made = mne.channels.make_dig_montage(dict(zip(montage.names, lifted, strict=True)), coord_frame="head")
    info = mne.create_info(list(montage.names), 100.0, "eeg").set_montage(made)
    theirs = _find_topomap_coords(info, None, sphere=(0, 0, 0, 0.095)) / 0.095
    np.testing.assert_allclose(montage.positions_2d(), theirs, atol=1e-6)
    assert np.linalg.norm(theirs, axis=1).max() < 1.05


def test_the_nmed_layout_is_what_it_should_be():
    montage = Montage.nmed()
    assert montage.names == NMED_CHANNELS
    assert len(montage.names) == 125
    assert montage.names[-1] == "Cz"
    places = dict(zip(montage.names, montage.positions_2d(), strict=True))
    assert np.linalg.norm(places["Cz"]) < 0.1
    regions = dict(zip(montage.names, montage.regions(), strict=True))
    # the net's electrodes at Fz, C3, C4 and Oz are well known
    assert (regions["E11"], regions["E45"], regions["E108"], regions["E75"]) == ("front", "left", "right", "back")
    assert regions["Cz"] == "centre"
    assert set(regions.values()) == {"front", "left", "centre", "right", "back"}


@pytest.mark.parametrize("name", ["nmed", *shipped_montages()])
def test_every_shipped_montage_loads_and_maps_onto_itself(name):
    montage = Montage.load(name)
    channels = map_channels(montage.names, montage)
    np.testing.assert_array_equal(channels.source_index, np.arange(len(montage.names)))
    assert set(channels.how) == {"name"}


def test_biosemi64_is_in_the_amplifiers_order():
    import mne

    assert list(Montage.load("biosemi64").names) == mne.channels.make_standard_montage("biosemi64").ch_names


def test_physionet_names_find_62_electrodes_of_the_net():
    channels = map_channels(PHYSIONET, Montage.nmed())
    assert channels.n_mapped == 62
    mapped = channels.source_index[channels.source_index >= 0]
    assert len(set(mapped.tolist())) == 62
    assert channels.distance_mm[np.isfinite(channels.distance_mm)].max() <= 20
    assert (np.array(channels.how) == "absent").sum() == 63
    assert np.isnan(channels.distance_mm[channels.source_index < 0]).all()
    assert "62 of 125 electrodes mapped" in channels.describe()
    assert channels.how[124] == "name"
    assert channels.source_index[124] == PHYSIONET.index("Cz..")


def test_known_neighbours_of_the_net_are_found():
    montage = Montage.nmed()
    channels = map_channels(PHYSIONET, montage)
    found = {montage.names[i]: PHYSIONET[k].strip(".") for i, k in enumerate(channels.source_index) if k >= 0}
    for net, name in {"E36": "C3", "E104": "C4", "E62": "Pz", "E75": "Oz", "E24": "F3", "E124": "F4"}.items():
        assert found[net].upper() == name.upper()


@pytest.mark.parametrize(
    ("written", "clean"),
    [
        ("Fc5.", "FC5"), ("EEG T3-REF", "T7"), ("EEG Fp1-LE", "FP1"), ("t6", "P8"), ("E001", "E1"), ("VREF", "CZ"),
        (" cz ", "CZ"), ("C3 - A2", "C3"), ("EEG E17", "E17"), ("Af7", "AF7"), ("T10", "T10"), ("EEG F8-Ref", "F8"),
        ("A1", "A1"), ("O2:M1", "O2"),
    ],
)
def test_labels_are_cleaned(written, clean):
    assert electrodes.clean_label(written) == clean


def test_old_ten_twenty_names_with_clinical_dressing_map():
    names = Montage.load("standard1020").names
    old = {"T7": "T3", "T8": "T4", "P7": "T5", "P8": "T6"}
    dressed = map_channels([f"EEG {old.get(name, name)}-REF" for name in names], Montage.nmed())
    plain = map_channels(names, Montage.nmed())
    np.testing.assert_array_equal(dressed.source_index, plain.source_index)
    assert dressed.n_mapped == 19


def test_a_256_channel_net_is_mapped_by_place_not_by_number():
    channels = map_channels(Montage.load("egi256").names, Montage.nmed())
    assert set(channels.how) == {"position"}
    assert channels.n_mapped >= 120


def test_a_biosemi_cap_is_not_taken_for_ear_lobes():
    montage = Montage.nmed()
    channels = map_channels(Montage.load("biosemi128").names, montage)
    assert channels.source_index[montage.names.index("Cz")] == 0  # A1 is the vertex of that cap
    assert channels.n_mapped > 90


def test_the_vertex_a_net_leaves_out_is_known_as_its_reference():
    montage = Montage.nmed()
    left_out = map_channels(Montage.load("egi128").names, montage)
    assert left_out.reference == 124
    assert left_out.source_index[124] == -1
    assert map_channels(Montage.load("egi129").names, montage).reference == -1
    numbered = map_channels([f"E{i}" for i in range(1, 130)], montage)
    assert numbered.source_index[124] == 128
    assert map_channels(PHYSIONET, montage).reference == -1


def test_positions_of_the_stream_serve_where_names_are_unknown():
    montage = Montage.nmed()
    rng = np.random.default_rng(0)
    order = rng.permutation(125)
    tilted = montage.positions_m[order] * 1.1 + np.array([0, 0.01, 0.03])  # a bigger head, another origin
    channels = map_channels([f"ch{i}" for i in range(125)], montage, tilted)
    assert set(channels.how) == {"position"}
    np.testing.assert_array_equal(channels.source_index, np.argsort(order))
    assert np.nanmax(channels.distance_mm) < 2


def test_positions_that_are_missing_are_no_positions():
    with pytest.raises(UserError, match=r"Only 0 of the stream's 32 EEG channels"):
        map_channels([f"ch{i}" for i in range(32)], Montage.nmed(), np.full((32, 3), np.nan))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(PHYSIONET), min_size=12, max_size=70), st.integers(0, 1000))
def test_any_choice_of_names_is_mapped_one_to_one_and_near(names, seed):
    channels = map_channels(names, Montage.nmed()) if len(set(names)) >= 12 else None
    if channels is None:
        return
    used = channels.source_index[channels.source_index >= 0]
    assert len(set(used.tolist())) == len(used)
    assert (channels.distance_mm[channels.source_index >= 0] <= 20).all()


def test_a_montage_from_yaml_with_positions(tmp_path):
    file = tmp_path / "cap.yaml"
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    rows = "\n".join(
        f"  X{i}: [{90 * np.cos(a):.2f}, {90 * np.sin(a):.2f}, {40 * (i % 2):.1f}]" for i, a in enumerate(angles)
    )
    file.write_text(f"name: cap\nnames: [X0..X11]\npositions_mm:\n{rows}\n")
    montage = Montage.load(file)
    assert montage.names == tuple(f"X{i}" for i in range(12))
    np.testing.assert_allclose(np.linalg.norm(montage.positions_m, axis=1), 0.095)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("name: a\nnames: [Fp1, Nix]\ntable: standard\n", "no position for Nix"),
        ("name: a\nnames: [Fp1, Fp1]\ntable: standard\n", "more than once"),
        ("name: a\nnames: [Fp1]\ntable: nothing\n", "is unknown"),
        ("name: a\nnames: [Fp1]\ntabel: standard\n", "did you mean 'table'"),
    ],
)
def test_mistakes_in_a_montage_file_are_one_sentence(tmp_path, content, sentence):
    file = tmp_path / "cap.yaml"
    file.write_text(content)
    with pytest.raises(UserError, match=sentence):
        Montage.load(file)


def test_unknown_montages_and_names_are_refused():
    with pytest.raises(UserError, match="did you mean 'egi128'"):
        Montage.load("egi1288")
    with pytest.raises(UserError, match="no standard montage"):
        Montage.from_names(["Fz", "Kuckuck"])
    assert Montage.from_names(["Fz", "T3"]).positions_m.shape == (2, 3)
