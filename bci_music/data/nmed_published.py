"""What the published NMED-T and NMED-H data sets hold, and where they are: names, lengths, listeners, songs."""

from __future__ import annotations

from dataclasses import dataclass

SFREQ_HZ = 125.0
N_ROWS = 125
T_LISTENERS = tuple(f"S{n:02d}" for n in (*range(2, 18), 19, 20, 21, 23))
H_LISTENERS = 12  # per stimulus; 48 in all
H_REPEATS = ("a", "b")
_T_SAMPLES = (34795, 33891, 34469, 36797, 36114, 34478, 36454, 36513, 36712, 37221)
_T_SONGS = (
    ("First Fires", "Bonobo"), ("Oino", "LA Priest"), ("Tiptoes", "Daedelus"), ("Careless Love", "Croquet Club"),
    ("Lebanese Blonde", "Thievery Corporation"), ("Canopée", "Polo & Pan"), ("Doing Yoga", "Kazy Lambist"),
    ("Until the Sun Needs to Rise", "Rüfüs du Sol"), ("Silent Shout", "The Knife"),
    ("The Last Thing You Should Do", "David Bowie"),
)  # fmt: skip
_H_SONGS = ("Ainvayi Ainvayi", "Daaru Desi", "Haule Haule", "Malang")
_H_SECONDS = (266.2, 265.6, 263.0, 271.9)
_H_VERSIONS = (("orig", ""), ("rev", "reversed"), ("phase", "phase-scrambled"), ("meas", "measure-shuffled"))


@dataclass(frozen=True)
class Published:
    """One stimulus as published.

    Attributes
    ----------
    title : str
        With the version in brackets, where it is not the original.
    name : str
        Name of the song; its versions share it.
    seconds : float
        Length of the EEG, exact for NMED-T, within a second for NMED-H.
    folder : str
        Name of the archive of NMED-H that holds it.
    """

    number: int
    title: str
    name: str
    artist: str
    seconds: float
    folder: str = ""


@dataclass(frozen=True)
class DataSet:
    """A published data set: its page, where single files lie, and what its clean EEG consists of."""

    kind: str
    name: str
    page: str
    stimuli: dict[int, Published]
    listeners: int  # per stimulus
    repeats: tuple[str, ...]

    def file_name(self, number: int, repeat: str) -> str:
        """Name of the .mat file of one stimulus."""
        return f"song{number}_{repeat}_Imputed.mat" if repeat else f"song{number}_Imputed.mat"

    def variable(self, number: int, repeat: str, what: str = "data") -> str:
        """Name of a variable in it: ``data21``, ``subs21_a`` ..."""
        return f"{what}{number}_{repeat}" if repeat else f"{what}{number}"

    def where(self, number: int) -> str:
        """Address to fetch the EEG of a stimulus from."""
        folder = self.stimuli[number].folder
        name = f"CleanEEG_aggregatedByStimulus_{folder}.zip" if folder else self.file_name(number, "")
        return f"https://stacks.stanford.edu/file/druid:{self.page.rsplit('/', 1)[1]}/{name}"


def _t_stimuli() -> dict[int, Published]:
    return {
        21 + i: Published(21 + i, title, title, artist, n / SFREQ_HZ)
        for i, ((title, artist), n) in enumerate(zip(_T_SONGS, _T_SAMPLES, strict=True))
    }


def _h_stimuli() -> dict[int, Published]:
    found = {}
    for v, (folder, version) in enumerate(_H_VERSIONS):
        for i, name in enumerate(_H_SONGS):
            number = 21 + 4 * v + i
            title = f"{name} ({version})" if version else name
            found[number] = Published(number, title, name, "", _H_SECONDS[i], folder)
    return found


NMED_T = DataSet("nmed-t", "NMED-T", "https://purl.stanford.edu/jn859kj8079", _t_stimuli(), len(T_LISTENERS), ("",))
NMED_H = DataSet("nmed-h", "NMED-H", "https://purl.stanford.edu/sd922db3535", _h_stimuli(), H_LISTENERS, H_REPEATS)
DATA_SETS = {d.kind: d for d in (NMED_T, NMED_H)}


def published_version(stimulus_id: str) -> str:
    """Version of its song that a published stimulus is: "orig", "rev", "phase" or "meas"; empty for any other id."""
    kind, _, number = stimulus_id.partition("/")
    if kind not in DATA_SETS or not number.isdecimal():
        return ""
    stimulus = DATA_SETS[kind].stimuli.get(int(number))
    return "" if stimulus is None else stimulus.folder or "orig"
