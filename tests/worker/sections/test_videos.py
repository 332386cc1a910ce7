import html
import re
from collections.abc import Callable

from tests.worker.made_videos import made_videos, with_videos
from worker.blocks import Commands, Figure, PictureGrid, PicturePairs, Table, Text, Tiles
from worker.facts import Facts
from worker.rendering.pages import render_html
from worker.sections.gallery import Gallery
from worker.sections.pairs import Pairs
from worker.sections.sequences import Sequences
from worker.sections.skipped import Skipped
from worker.sections.timeline import Timeline
from worker.sections.videos import Videos

MakeFacts = Callable[..., Facts]


def shown(section: object, facts: Facts) -> tuple:
    return type(section).blocks(section, facts, {})


def test_sections__have_nothing_to_say_without_videos(make_facts: MakeFacts) -> None:
    for section in (Videos(type="videos"), Timeline(type="timeline"), Sequences(type="sequences")):
        assert shown(section, make_facts()) == ()


def test_videos__sums_rows_and_faults(make_facts: MakeFacts) -> None:
    facts = with_videos(make_facts(), made_videos(3, length=2))
    tiles, meanings, table, faults = shown(Videos(type="videos"), facts)
    assert isinstance(tiles, Tiles)
    assert [(tile.value, tile.note) for tile in tiles.tiles] == [
        ("3", "1 with a fault"),
        ("30.0 s", ""),
        ("20", "36 asked for as samples; 1 video not counted"),
        ("6", "in 3 sequences, from 3 videos"),
    ]
    assert table.columns == (
        "Video",
        "Duration",
        "Frames",
        "Sampled",
        "Lost",
        "Near identical",
        "Pool",
        "Selected",
        "Sequences",
    )
    assert table.rows[0] == ("cam 0/000.mp4", "5.00 s", "10", "12", "0", "2", "10", "2", "1")
    assert table.rows[1][2] == "unknown"
    assert table.caption == "Frames by video below day/."
    assert "Lost: could not be decoded." in meanings.text
    assert "Duplicates" not in meanings.text
    assert faults.rows == (("day/cam 0/002.mp4", "frames missing", "3 of 13 <frames>"),)


def test_videos__many_are_cut_and_it_says_so(make_facts: MakeFacts) -> None:
    table = shown(Videos(type="videos"), with_videos(make_facts(), made_videos(70)))[2]
    assert len(table.rows) == 30
    assert table.caption.endswith("Those with the most selected frames; 40 more, see report.json.")
    assert "Sequences" not in table.columns


def test_timeline__says_what_it_shows(make_facts: MakeFacts) -> None:
    for count, way in ((1, "One bar a video"), (25, "One bar a video"), (26, "60 parts of its duration")):
        (figure,) = shown(Timeline(type="timeline"), with_videos(make_facts(), made_videos(count)))
        assert isinstance(figure, Figure)
        assert way in figure.caption
        assert f"Timeline of {count} video" in figure.alt
    assert "Names are below day/." in figure.caption


def test_sequences__list_places_and_commands(make_facts: MakeFacts) -> None:
    facts = with_videos(make_facts(), made_videos(50, length=3))
    text, _, table, commands = shown(Sequences(type="sequences"), facts)
    assert isinstance(commands, Commands)
    assert text.text.startswith("The first 40 of 50 sequences from videos, in pick order;")
    assert table.rows[1] == ("2", "cam 1/001.mp4", "00:00:00.000", "00:00:01.000", "0", "2", "3")
    assert len(commands.commands) == 12
    label, command = commands.commands[2]
    assert label == "3. day/cam 0/002.mp4, 00:00:00.000 to 00:00:04.000"
    assert command == facts.videos.sequences[2].cut


def test_sequences__single_frames_have_a_moment(make_facts: MakeFacts) -> None:
    facts = with_videos(make_facts(), made_videos(2))
    text, _, table, commands = shown(Sequences(type="sequences"), facts)
    assert text.text.startswith("The selection has 2 frames from videos")
    assert table.columns == ("Pick", "Video", "At", "Frame")
    assert table.rows[1][3] == "unknown"
    assert commands.commands[0][1].endswith(".png'")


def test_page__commands_can_be_copied_as_they_are(make_facts: MakeFacts) -> None:
    facts = with_videos(make_facts(), made_videos(2, length=2))
    page = render_html(facts, {})
    found = re.findall(r"<pre><code>(<span>.*?)</code></pre>", page)
    copied = [html.unescape(re.sub(r"</?span>", "", one)) for one in found]
    assert copied == [one.cut for one in facts.videos.sequences]


def test_pictures__of_frames_say_when(make_facts: MakeFacts) -> None:
    facts = make_facts(name="day/cam 0/000-{:04d}-mp4.png".format)
    facts = with_videos(facts, made_videos(1, each=40, pictured=tuple(facts.analysis.pictured())))
    uncounted = facts.videos.frames
    (grid,) = [one for one in shown(Gallery(type="gallery"), facts) if isinstance(one, PictureGrid)]
    assert [picture.moment for picture in grid.pictures[:2]] == ["00:00:00.000", "00:00:00.125"]
    counted = {name: one.model_copy(update={"frame_index": 1234}) for name, one in uncounted.items()}
    facts = facts.model_copy(update={"videos": facts.videos.model_copy(update={"frames": counted})})
    pairs = next(one for one in shown(Pairs(type="pairs"), facts) if isinstance(one, PicturePairs))
    assert pairs.pairs[0].left.moment.endswith(", frame\u00a01,234")
    assert '<span class="moment">' in render_html(facts, {})


def test_skipped__says_what_was_not_embedded_and_what_was_read_in_part(make_facts: MakeFacts) -> None:
    facts = with_videos(make_facts(), made_videos(3))
    texts = [one.text for one in shown(Skipped(type="skipped"), facts) if isinstance(one, Text)]
    assert texts[1].startswith("1 source read in part")
    assert texts[2] == (
        "5 frames were near identical to the one kept before and not embedded: 13.9 % of the sampled frames."
    )
    nothing_skipped = facts.model_copy(update={"counts": facts.counts.model_copy(update={"skipped": {}})})
    blocks = shown(Skipped(type="skipped"), nothing_skipped)
    assert not any(isinstance(one, Table) for one in blocks)
    assert len(blocks) == 2
