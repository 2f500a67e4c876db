"""The report's promises: words that follow from the numbers, a page that needs nothing else, nothing left unsaid."""

import base64
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import image

from bci_music.eeg.montage import Montage
from bci_music.evaluation.report import maps, wording
from bci_music.evaluation.report.markdown import markdown_table
from bci_music.evaluation.report.seed_paper import ABLATIONS, SYSTEMS, missing, slot
from bci_music.evaluation.report.verdict import SIMULATED, fingerprint, main_result, stands, verdict
from bci_music.evaluation.report.write import EvaluationReport, write_report
from bci_music.messages import UserError
from bci_music.metrics.metric import Control

pytestmark = pytest.mark.learning


@pytest.fixture(scope="module")
def page(rows, tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    write_report(rows, out)
    return out


class Reader(HTMLParser):
    """Collects tags, attributes, ids and the words of a page; an unclosed or crossed tag is an error."""

    VOID = {"meta", "br", "path", "use", "image"}

    def __init__(self):
        super().__init__()
        self.open, self.attributes, self.ids, self.words = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)


@pytest.fixture(scope="module")
def read(page):
    reader = Reader()
    reader.feed((page / "report.html").read_text())
    assert reader.open == []
    return reader


def test_the_page_asks_nothing_of_anyone(page, read):
    text = (page / "report.html").read_text()
    assert len(text.encode()) < 3_000_000
    assert "<script" not in text
    assert not re.search(r"https?:|//[a-z]|@import", re.sub(r"base64,[^\"]*", "", text))
    for _, name, value in read.attributes:
        if name in ("src", "href", "xlink:href"):
            assert value.startswith(("#", "data:image/png;base64,"))
        assert not name.startswith("on")


def test_every_name_in_the_page_is_its_own_and_is_found(read):
    assert len(read.ids) == len(set(read.ids))
    pointed = {v[1:] for _, name, v in read.attributes if name in ("href", "xlink:href") and v.startswith("#")}
    pointed |= {found for _, _, v in read.attributes for found in re.findall(r"url\(#([^)]*)\)", v)}
    assert pointed
    assert pointed <= set(read.ids)


def test_colours_of_drawings_follow_dark_and_light(page):
    text = (page / "report.html").read_text()
    assert "prefers-color-scheme: light" in text
    drawings = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    assert len(drawings) >= 6
    for drawing in drawings:
        assert not re.search(r"(fill|stroke): #", drawing)
        assert "var(--text)" in drawing


def test_every_drawing_and_table_says_its_protocol(page):
    text = (page / "report.html").read_text()
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", text, flags=re.DOTALL)
    assert len(captions) == text.count("<svg")
    assert all("imulated EEG" in caption and "split" in caption for caption in captions)
    assert text.count('<p class="caption">') == text.count("<table>")
    assert "What the model weighs (not brain activity)" in text
    assert "what it weighs, not brain activity" in text


def test_simulated_is_stated_first_and_again(read):
    words = " ".join(read.words)
    assert SIMULATED in words
    assert words.index("▲ simulated EEG") < words.index(SIMULATED) < words.index("Channel-oriented, time-block split")


def test_what_was_published_stands_under_a_heading_of_its_own(read):
    words = " ".join(read.words)
    assert "published: real EEG, random split, another generator" in words
    assert words.index("here: simulated EEG, time-block split") < words.index("published: real EEG")
    assert ".487" in words


def test_what_was_not_run_is_named(rows, read, row):
    assert missing(rows, ABLATIONS, "ablation") == ["Encoder fixed"]
    assert "Ablations that were not run: “Encoder fixed”." in " ".join(read.words)
    few = [row()]
    sentence = " ".join(s.text for s in verdict(few))
    for line in (*SYSTEMS[1:], *ABLATIONS):
        assert line.title in sentence
        assert line.title in markdown_table([*few, row("block", "Block tokens", kind="ablation")])


def test_json_holds_every_row_and_the_words(page, rows):
    report = EvaluationReport.model_validate_json((page / "report.json").read_text())
    assert list(report.results) == rows
    assert report.simulated
    assert report.missing["ablations"] == ("Encoder fixed",)
    json.loads((page / "report.json").read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_words_from_outside_cannot_become_markup(tmp_path, row):
    evil = "<b onclick=alert(1)>"
    attention = {evil: [1 / 125] * 125}
    made = row(title=evil, data=evil, song_attention=attention, generator=evil, provenance={"note": evil})
    write_report([made], tmp_path)
    assert evil not in (tmp_path / "report.html").read_text()


def test_a_bare_row_still_makes_a_page(tmp_path, row):
    bare = row().model_copy(update={"metrics": ()})
    write_report([bare], tmp_path)
    assert "Rows that were not run" in (tmp_path / "report.html").read_text()


def test_a_row_of_a_split_and_an_ablation_alone_make_a_page(tmp_path, row, metric):
    """What `ablate --only` of one of each gives: fewer songs on one test side, so metrics of other names."""
    few = row("split-song", "Channel-oriented", kind="split", split="song")
    few = few.model_copy(update={"metrics": (metric("4-way-song-name", "4-way song name"),)})
    ablation = row("no-pretraining", "No pretraining", kind="ablation")
    write_report([ablation, few], tmp_path)
    assert "No pretraining" in (tmp_path / "report.html").read_text()


def test_no_rows_is_an_error_in_one_sentence(tmp_path):
    with pytest.raises(UserError, match="bci-music evaluate"):
        write_report([], tmp_path)


def test_attention_must_fit_the_montage(tmp_path, row):
    with pytest.raises(UserError, match="3 channels"):
        write_report([row(song_attention={"Song 1": [0.2, 0.3, 0.5]})], tmp_path)


def test_above_means_the_whole_interval(metric):
    assert stands(metric(value=0.2, half=0.04))
    assert not stands(metric(value=0.05, half=0.04))
    assert not stands(metric(value=0.2, ci95=None))
    assert not stands(metric(value=0.2, before=0.19))
    assert stands(metric(value=0.2, controls={}))
    assert not stands(metric(value=0.2, controls={}, chance=None))


def test_lower_can_be_better(metric):
    controls = {"mismatched": Control(value=5.0, ci95=(4.5, 5.5))}
    assert stands(metric(value=3.0, half=0.5, better="lower", controls=controls))
    assert not stands(metric(value=7.0, half=0.5, better="lower", controls=controls))


def test_a_fingerprint_speaks_against_a_split_however_high_it_scores(row, metric):
    high = metric(value=0.6, before=0.37)
    assert fingerprint(high)
    assert not fingerprint(metric(value=0.6, before=0.021))
    rows = [row(), row("random", "Channel-oriented", 0.61, "split", "random", before=0.37)]
    sentence = next(s for s in verdict(rows) if "random split" in s.text)
    assert sentence.mark == "against"
    assert "the recording is recognised" in sentence.text


@given(value=st.floats(0, 1), half=st.floats(0.001, 0.3), control=st.floats(0, 1))
def test_the_verdict_never_says_more_than_the_intervals(value, half, control, row, metric):
    made = row().model_copy(update={"metrics": (metric(value=value, half=half, before=control, chance=0.02),)})
    sentence = next(s for s in verdict([made]) if s.text.startswith("Channel-oriented, time-block"))
    clear = value - half > max(0.02, control) + half / 4
    assert (sentence.mark == "for") == clear
    assert sentence.mark == "for" or "not above" in sentence.text


def test_ours_leads_and_rows_without_shared_space_are_compared_in_the_embedders(rows):
    assert main_result(rows[::-1]).name == "ours"
    sentence = " ".join(s.text for s in verdict(rows))
    assert "above CBraMod, LaBraM, EEGPT, EEG2Mel and Linear EEG (both in the embedder's space)" in sentence
    assert "Audio oracle" not in sentence


def test_another_k_is_drawn_under_its_own_name_but_not_compared(tmp_path, row, metric):
    fewer = metric("38-way", "38-way identification", 0.9)
    rival = row("cbramod", "CBraMod").model_copy(update={"metrics": (fewer,)})
    split = row("song", "Channel-oriented", kind="split", split="song").model_copy(update={"metrics": (fewer,)})
    rows = [row(), rival, split]
    sentence = " ".join(s.text for s in verdict(rows))
    assert "On the song split 38-way identification, is .900" in sentence
    assert "against the other decoders" not in sentence
    write_report(rows, tmp_path)
    assert (tmp_path / "report.html").read_text().count(">38-way identification<") >= 2


def test_a_weak_row_is_not_called_better(row):
    rows = [row(value=0.1), row("cbramod", "CBraMod", 0.12), row("eegpt", "EEGPT", 0.3)]
    sentence = next(s for s in verdict(rows) if "against the other decoders" in s.text)
    assert sentence.mark == "against"
    assert "not told apart from CBraMod" in sentence.text
    assert "below EEGPT" in sentence.text


def test_the_reason_why_something_is_missing_is_stated(tmp_path, row, metric):
    reason = "there is no EEG from before the music"
    lacking = metric(controls={"mismatched": Control(value=0.02, ci95=(0.01, 0.03))}, missing={"before_song": reason})
    write_report([row().model_copy(update={"metrics": (lacking,)})], tmp_path)
    assert f"EEG before the song ({reason})" in (tmp_path / "report.html").read_text()
    assert f"EEG before the song ({reason})" in markdown_table([row().model_copy(update={"metrics": (lacking,)})])


def test_markdown_is_a_table_with_its_controls(rows, row):
    text = markdown_table(rows)
    tables = [block for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 3
    for block in tables:
        assert len({line.count("|") - line.count("\\|") for line in block.splitlines()}) == 1
    ours = next(line for line in text.splitlines() if line.startswith("| Channel-oriented"))
    assert "**.214** [.174, .254]; .020 / .020 / .020; 412 / 24; p < .001" in ours
    assert ".487" not in ours  # which is the paper's encoder's
    paper = markdown_table([row("paper", "The paper's encoder")])
    assert ".487" in next(line for line in paper.splitlines() if line.startswith("| The paper's encoder"))
    assert "Simulated EEG" in text


@pytest.mark.parametrize(("name", "expected"), [
    ("50-way", "50-way"), ("38-way", "50-way"), ("50-way-clap", "50-way-clap"), ("14-way-song-name", "14-way"),
    ("10-way-within-song", None), ("13-way-song-name-clap", "14-way-clap"), ("clap-score", "clap"), ("ssim", None),
])
def test_figures_find_their_column(name, expected):
    assert slot(name) == expected


@given(value=st.floats(-1e5, 1e5))
def test_numbers_are_written_so_that_they_can_be_read_back(value):
    back = float(wording.number(value).replace("−", "-").replace(",", ""))
    assert back == pytest.approx(value, abs=0.0006 if abs(value) < 1 else 0.006 * abs(value))


def test_a_control_of_its_own_kind_is_shown(tmp_path, row, metric):
    clips = {"random_clips": Control(value=9.0), "before_song": Control(value=8.0)}
    fad = metric("fad", "Fréchet audio distance", 3.0, 0.5, controls=clips, better="lower", chance=None)
    made = row().model_copy(update={"metrics": (metric(), fad)})
    write_report([made], tmp_path)
    assert "– · 8.00 · – · random clips 9.00" in (tmp_path / "report.html").read_text()
    assert "– / 8.00 / – / random clips 9.00" in markdown_table([made])


def test_maps_show_where_the_attention_lies():
    montage = Montage.nmed()
    for name, side in (("E45", "left"), ("E108", "right")):
        shares = np.full(125, 0.004)
        shares[montage.names.index(name)] = 0.5
        drawing = maps.scalp_maps({"Song": shares.tolist()}, montage, "map", "Map")
        data = base64.b64decode(re.search(r"base64,([^\"]*)", drawing)[1])
        alpha = image.imread(io.BytesIO(data), format="png")[..., 3]
        half = alpha.shape[1] // 2
        assert (alpha[:, :half].sum() > alpha[:, half:].sum()) == (side == "left")


@pytest.mark.parametrize("kind", ["latent-queries", "channel-tokens"])
def test_the_map_of_the_electrodes_is_named_for_what_the_encoder_gives(tmp_path, row, kind):
    """Also where no map was tested by removing electrodes."""
    made = row(song_attention={"Song 1": [1 / 125] * 125}, provenance={"config": {"encoder": {"kind": kind}}})
    write_report([made], tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert ("attention times the size" in text) is (kind == "latent-queries")
