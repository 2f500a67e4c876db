from bci_music.compose.songbook import new_song
from bci_music.evaluation.music.pictures import draw_songs


def test_a_picture_of_every_song(tmp_path):
    from matplotlib.image import imread

    specs = [new_song("ambient", 1), new_song("rock", 1), new_song("rock", 2)]
    picture = imread(draw_songs(tmp_path / "deep" / "songs.png", specs, seconds=4.0))
    assert picture.shape[1] > 2 * picture.shape[0] > 400
    halves = picture[: picture.shape[0] // 2, :, :3], picture[picture.shape[0] // 2 :, :, :3]
    assert all(half.std() > 0.15 for half in halves)
    right_below = halves[1][40:, int(0.55 * picture.shape[1]) :]
    assert right_below.min() > 0.99  # three songs, four places
