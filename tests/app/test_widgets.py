"""The widgets, touched in a real window, in the looks that technicians choose."""

from __future__ import annotations

import asyncio
import gc
import io
from pathlib import Path
from weakref import ref

import pytest
import segno
from kivy.core.text import Label as Drawing
from kivy.metrics import dp
from kivy.uix.floatlayout import FloatLayout
from PIL import Image

from tech_app.core.shaping import drawn
from tech_app.ui.camera import PictureFiles, code_in
from tech_app.ui.insets import insets
from tech_app.ui.theme import EDGE_DP, GAP_DP, TARGET_DP, theme
from tech_app.ui.widgets import (
    Banner,
    ButtonRow,
    Card,
    Chip,
    Choice,
    Column,
    Field,
    Page,
    Photo,
    PushButton,
    Row,
    Sheet,
    Signature,
    Snackbar,
    Text,
    Timer,
    TopBar,
    TouchCard,
)
from tests.support.window import LOOKS, PHONE, Look, box, opened, use

LONG = "Mannerheimintie 12 B 34, 00100 Helsinki: ring twice, the dog is friendly"
THAI = "กดกริ่งสองครั้ง สุนัขใจดี โปรดโทรหาลูกค้าก่อนเข้าไปในบ้านทุกครั้ง"
ARABIC = "رنّ الجرس مرتين (الكلب ودود)، ثم اتصل بالعميل Ana Sousa قبل الدخول"
NARROW = Look(width=320, height=640, font_scale=1.3)
RIGHT_TO_LEFT = Look(language="ar")


def gallery() -> Page:
    """One of each, with long words."""
    page = Page(TopBar("Today, with a title that is too long", on_back=lambda: None, actions=[PushButton(icon="menu")]))
    page.show(
        [
            Banner(LONG, kind="warn", action="Show", on_dismiss=lambda: None),
            Card(Row(Text(LONG, role="strong"), Chip("On the way", kind="accent")), Text(THAI), Text(ARABIC)),
            TouchCard(Text(LONG, most_lines=2), Chip("Waits", kind="warn", icon="cloud_off")),
            Field("Code", hint="ABCD", text="K7", multiline=True),
            Timer(245),
        ],
        [ButtonRow(PushButton("Call", icon="call"), PushButton("Navigate to", icon="navigate")), PushButton(LONG)],
    )
    return page


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
async def test_nothing_is_cut_and_nothing_overlaps(look: Look) -> None:
    """No text is wider or higher than its place, no widget reaches out of what it lies in or over the one beside it."""
    use(look)
    async with opened(gallery(), look) as driver:
        await driver.frames(3)
        texts = driver.of(Text)
        assert len(texts) > 10
        for text in texts:
            assert all(text.measure(line) <= text.width + 1 for line in text.lines), text.text
            drawn = text.canvas.children[-1].size
            assert drawn[1] <= text.height + 1, text.text
        for widget in driver.widgets():
            inside = [child for child in widget.children if child.width and child.height]
            for child in inside:
                if not isinstance(widget, Page) and type(widget).__name__ != "ScrollView":
                    assert _within(box(child), box(widget)), f"{child} sticks out of {widget}"
            for n, child in enumerate(inside):
                assert not any(_overlap(box(child), box(other)) for other in inside[:n]), f"{child} lies over another"


@pytest.mark.parametrize("look", [PHONE, NARROW], ids=lambda look: look.name)
async def test_what_is_touched_is_large(look: Look) -> None:
    """Every button and every card that is touched is at least 56 dp high and wide."""
    async with opened(gallery(), look) as driver:
        for widget in [*driver.of(PushButton), *driver.of(TouchCard)]:
            assert widget.height >= dp(TARGET_DP), widget
            assert widget.width >= dp(TARGET_DP), widget


async def test_a_button_acts_when_it_is_let_go_of() -> None:
    """Once for each touch; not when the finger slid off, nor when it is disabled."""
    taps: list[str] = []
    button = PushButton("Start", on_tap=lambda: taps.append("tap"))
    column = Column(button, PushButton(icon="call", on_tap=lambda: taps.append("call")))
    async with opened(column) as driver:
        await driver.tap("Start")
        assert taps == ["tap"]
        x, y = button.to_window(*button.center)
        await driver.drag([(x, y), (x, y + 300)])
        button.disabled = True
        await driver.tap("Start")
        assert taps == ["tap"]
        await driver.tap(column.children[0])
        assert taps == ["tap", "call"]


async def test_screens_are_mirrored_for_arabic() -> None:
    """What comes first is on the right, arrows turn, text begins at the right edge."""
    for look, first_is_left in ((PHONE, True), (RIGHT_TO_LEFT, False)):
        use(look)
        first, text = PushButton("1", icon="back"), Text("Ana")
        async with opened(Page(), look) as driver:
            page = driver.of(Page)[0]
            page.show([Row(first, PushButton("2")), text])
            await driver.frames(3)
            second = driver.find("2").parent
            assert (first.x < second.x) is first_is_left
            assert (first.sign.x < first.words.x) is first_is_left
            left = text.canvas.children[-1].pos[0]
            assert (left == pytest.approx(dp(EDGE_DP), abs=1)) is first_is_left
            assert (first.sign.text == PushButton(icon="forward").sign.text) is False


async def test_buttons_go_under_each_other_where_words_are_long() -> None:
    """So that no word is broken in two."""
    for look, stacked in ((PHONE, False), (NARROW, True)):
        use(look)
        row = ButtonRow(PushButton("Call", icon="call"), PushButton("Navigate to", icon="navigate"))
        async with opened(Column(row, size_hint_y=1), look) as driver:
            await driver.frames(3)
            assert row.stacked is stacked
            assert all(len(button.words.lines) == 1 for button in row.children)


@pytest.mark.parametrize("look", [PHONE, RIGHT_TO_LEFT], ids=lambda look: look.language)
async def test_what_is_typed_is_shaped(look: Look) -> None:
    """In the field itself, as everywhere else; where one reads from the right the cursor goes from the right, and a
    touch finds the letter under it."""
    use(look)
    field = Field("Note", multiline=True)
    async with opened(Column(field, size_hint_y=1), look) as driver:
        entry = field.input
        for text in ("Broken lock", "ดื่มน้ำที่บ้าน", "القفل مكسور"):
            await driver.type("Note", text)
            assert field.text == text
            shown = Drawing(text=drawn(text), font_name=entry.font_name, font_size=entry.font_size, color=(1, 1, 1, 1))
            shown.refresh()
            assert entry._lines_labels[0].size == shown.texture.size
            assert entry._lines_labels[0].pixels == shown.texture.pixels
            width = entry._get_row_width(0)
            turned = text == "القفل مكسور"
            assert entry.cursor_offset() == (0 if turned else width)
            left = entry.x + entry.padding[0] + (look is RIGHT_TO_LEFT) * (entry.width - 2 * entry.padding[0] - width)
            column, _ = entry.get_cursor_from_xy(left + 2, entry.top - entry.padding[1] - 5)
            assert column == (len(text) if turned else 0)
        field.error = "Too short"
        await driver.frames()
        assert driver.sees("Too short")
        await driver.type("Note", "x")
        assert not driver.sees("Too short")


async def test_a_card_is_touched_as_a_whole() -> None:
    """Also on the words in it; a button in it acts by itself."""
    taps: list[str] = []
    card = TouchCard(
        Text("Leaking tap"), PushButton("Call", on_tap=lambda: taps.append("call")), on_tap=lambda: taps.append("card")
    )
    async with opened(Column(card, size_hint_y=1)) as driver:
        await driver.tap("Leaking tap")
        await driver.tap("Call")
        assert taps == ["card", "call"]


async def test_a_text_is_drawn_shaped() -> None:
    """Line by line, joined and turned as `core.shaping` says, within its width."""
    text = Text("القفل مكسور والباب الثاني لا يفتح أبدا ونحن في الانتظار منذ ساعة")
    async with opened(Column(text, size_hint_y=1)) as driver:
        await driver.frames(3)
        assert len(text.lines) == 2
        shown = Drawing(font_name=text.font, font_size=text.size_px, halign="left")
        shown.text = "\n".join(drawn(line, True) for line in text.lines)
        shown.refresh()
        assert text.canvas.children[-1].texture.pixels == shown.texture.pixels


async def test_the_phone_s_own_bars_hide_nothing() -> None:
    """Title and actions keep clear of them, also when they come or go while a screen is shown."""
    page = Page(TopBar("Today"))
    page.show([], [PushButton("Start")])
    async with opened(page) as driver:
        for top, bottom in ((0, 0), (60, 40), (0, 0)):
            insets.use(top, bottom)
            await driver.frames(3)
            assert box(driver.find("Today"))[3] <= page.top - top
            assert box(driver.find("Start").parent)[1] == pytest.approx(dp(GAP_DP) + bottom, abs=1)


async def test_a_sheet_asks_one_thing() -> None:
    """A touch on a choice closes it and answers; beside it, or back, it closes without an answer."""
    chosen: list[str] = []
    root = FloatLayout()
    async with opened(root) as driver:
        for how in ("choice", "beside", "cancel"):
            sheet = Sheet("Why?", [Choice("home", "Nobody home"), Choice("way", "No way in")], chosen.append)
            sheet.open(animation=False)
            await driver.frames(3)
            assert driver.sees("Why?")
            if how == "choice":
                await driver.tap("No way in")
            elif how == "beside":
                await driver.tap_at(200, 900)
            else:
                await driver.tap("Cancel")
            await driver.until(lambda: not driver.sees("Why?"), "the sheet's end")
        assert chosen == ["way"]


async def test_a_sheet_is_brighter_than_what_it_lies_over() -> None:
    """The screen is dimmed, the sheet is not."""
    async with opened(Page()) as driver:
        before = (await driver.picture()).getpixel((200, 100))
        Sheet("Why?", [Choice("home", "Nobody home")]).open(animation=False)
        await driver.frames(3)
        picture = await driver.picture()
        assert sum(picture.getpixel((200, 100))) < sum(before) / 2
        assert picture.getpixel((10, picture.height - 100)) == tuple(round(255 * part) for part in theme.card[:3])


async def test_a_tap_can_be_taken_back_for_a_while() -> None:
    """The snackbar's action is called once, and it is gone then; a newer one takes its place, a touch puts it away."""
    undone: list[str] = []
    root = FloatLayout()
    async with opened(root) as driver:
        Snackbar("Arrived", action="Undo", on_action=lambda: undone.append("arrived")).show(root)
        Snackbar("Started", action="Undo", on_action=lambda: undone.append("started")).show(root)
        await driver.frames(3)
        assert not driver.sees("Arrived")
        await driver.tap("Undo")
        assert undone == ["started"]
        assert not driver.sees("Started")
        Snackbar("Ended", action="Undo", on_action=lambda: undone.append("ended")).show(root)
        await driver.tap("Ended")
        assert not driver.sees("Ended")
        assert undone == ["started"]
        Snackbar("Done", seconds=0.05).show(root)
        await driver.until(lambda: not driver.sees("Done"), "its end")


async def test_a_signature_is_what_the_finger_drew() -> None:
    """Where it went the picture is dark, elsewhere white; strokes are taken back one by one, a stroke past the edge
    stays in the field."""
    pad = Signature()
    async with opened(Column(Text("Sign"), pad, size_hint_y=1)) as driver:
        left, bottom, right, top = box(pad)
        middle = (bottom + top) / 2
        await driver.drag([(left + 40, middle), (right + 100, middle)])
        await driver.drag([(left + 60, bottom + 20), (left + 60, top - 20)])
        assert pad.count == 2
        assert all(0 <= x <= 1 and 0 <= y <= pad.height / pad.width for stroke in pad.strokes for x, y in stroke)
        picture = Image.open(io.BytesIO(pad.png())).convert("L")
        scale = picture.width / pad.width
        assert picture.height == pytest.approx(pad.height * scale, abs=1)
        assert picture.getpixel((int(200 * scale), picture.height // 2)) < 100
        assert picture.getpixel((int(60 * scale), picture.height // 4)) < 100
        assert picture.getpixel((int(200 * scale), picture.height // 4)) == 255
        shown = await driver.picture()
        assert sum(shown.getpixel((int(left + 200), int(shown.height - middle)))) < 300
        pad.undo()
        assert pad.count == 1
        pad.clear()
        assert pad.empty


async def test_a_theme_that_changes_is_seen_at_once() -> None:
    """Everything that is on the screen is painted again, and no widget that has gone is kept for it."""
    async with opened(gallery()) as driver:
        light = (await driver.picture()).getpixel((2, 500))
        theme.use("dark")
        dark = (await driver.picture()).getpixel((2, 500))
        assert sum(dark) < sum(light) / 2
    gone = ref(Text("gone"))
    gc.collect()
    assert gone() is None


async def test_a_photo_is_shown_small_and_can_be_thrown_away() -> None:
    """In its proportions."""
    jpeg = io.BytesIO()
    Image.new("RGB", (400, 300), (10, 160, 60)).save(jpeg, "JPEG")
    thrown: list[bool] = []
    photo = Photo(jpeg.getvalue(), on_remove=lambda: thrown.append(True))
    page = Page()
    async with opened(page) as driver:
        page.show([photo])
        await driver.frames(3)
        width, height = photo.view.canvas.children[-1].size
        assert width / height == pytest.approx(4 / 3, abs=0.02)
        await driver.tap("Remove photo")
        assert thrown == [True]


async def test_a_desktop_chooses_a_file_for_a_photo(tmp_path: Path) -> None:
    """The file's bytes; nothing when it is left without a choice, or there is no picture."""
    (tmp_path / "plate.jpg").write_bytes(b"picture")
    (tmp_path / "notes.txt").write_bytes(b"no picture")
    async with opened(FloatLayout()) as driver:
        taking = asyncio.ensure_future(PictureFiles(tmp_path).take())
        await driver.until(lambda: driver.sees("Choose a picture"))
        assert not driver.sees("notes.txt")
        await driver.tap("plate.jpg")
        assert await asyncio.wait_for(taking, 5) == b"picture"
        await driver.until(lambda: not driver.sees("Choose a picture"))
        for folder in (tmp_path, tmp_path / "nowhere"):
            taking = asyncio.ensure_future(PictureFiles(folder).take())
            await driver.until(lambda: driver.sees("Cancel"))
            assert driver.sees("There is no picture in") is (folder != tmp_path)
            await driver.tap("Cancel")
            assert await asyncio.wait_for(taking, 5) is None
            await driver.until(lambda: not driver.sees("Cancel"))


def test_a_code_in_a_photo_is_read() -> None:
    """As a camera takes it: large, tilted, among other things; a photo without one says nothing."""
    code = io.BytesIO()
    segno.make("https://doorstep.example/#K7QF3M2A").save(code, kind="png", scale=12, border=4)
    photo = Image.new("RGB", (3000, 4000), (150, 140, 120))
    photo.paste(Image.open(code).convert("RGB").rotate(7, expand=True, fillcolor="white"), (900, 1500))
    taken = io.BytesIO()
    photo.save(taken, "JPEG")
    assert code_in(taken.getvalue()) == "https://doorstep.example/#K7QF3M2A"
    blank = io.BytesIO()
    Image.new("RGB", (300, 300)).save(blank, "PNG")
    assert code_in(blank.getvalue()) is None
    assert code_in(b"no picture") is None


Box = tuple[float, float, float, float]


def _within(inner: Box, outer: Box) -> bool:
    return all((inner[0] >= outer[0] - 1, inner[1] >= outer[1] - 1, inner[2] <= outer[2] + 1, inner[3] <= outer[3] + 1))


def _overlap(one: Box, other: Box) -> bool:
    across = min(one[2], other[2]) - max(one[0], other[0])
    along = min(one[3], other[3]) - max(one[1], other[1])
    return across > 1 and along > 1
