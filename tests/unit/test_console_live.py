"""Live figures: drawn once per tick however many watch, sent when they changed, quiet when nobody is there."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping

import pytest

from tillkeeper.faces.console import live
from tillkeeper.faces.console.live import Live


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "TICK_SECONDS", 0.02)
    monkeypatch.setattr(live, "_REST_SECONDS", 0.02)


class Drawing:
    """Counts the ticks in one part and keeps the other still."""

    def __init__(self) -> None:
        self.drawn: list[str] = []
        self.fail = False

    async def __call__(self, language: str) -> Mapping[str, str]:
        self.drawn.append(language)
        if self.fail:
            self.fail = False
            raise ConnectionError("away")
        return {"clock": f"{language} {len(self.drawn)}", "still": "the same\nalways"}


async def events(stream: AsyncGenerator[bytes, None], count: int) -> list[tuple[str, str]]:
    """The next named events."""
    seen: list[tuple[str, str]] = []
    async with asyncio.timeout(30):
        while len(seen) < count:
            text = (await anext(stream)).decode()
            if text.startswith("event: "):
                name, data = text.removesuffix("\n\n").split("\n")
                seen.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return seen


async def test_what_did_not_change_is_sent_once() -> None:
    hub = Live(Drawing())
    async with hub.running():
        stream = hub.watch("en")
        seen = await events(stream, 4)
        await stream.aclose()
    assert [name for name, _ in seen].count("still") == 1
    assert ("still", "the same\nalways") in seen
    clocks = [text for name, text in seen if name == "clock"]
    assert len(set(clocks)) == len(clocks) == 3


async def test_many_watchers_cost_one_drawing_a_tick() -> None:
    drawing = Drawing()
    hub = Live(drawing)
    async with hub.running():
        streams = [hub.watch("en") for _ in range(50)]
        results = await asyncio.gather(*[events(stream, 3) for stream in streams])
        assert hub.watchers == 50
        drawn = len(drawing.drawn)
        for stream in streams:
            await stream.aclose()
    assert all(len(seen) == 3 for seen in results)
    assert drawn <= 6
    assert hub.watchers == 0


async def test_nobody_watching_draws_nothing() -> None:
    drawing = Drawing()
    hub = Live(drawing)
    async with hub.running():
        await asyncio.sleep(0.1)
        assert drawing.drawn == []
        stream = hub.watch("zh-CN")
        await events(stream, 1)
        await stream.aclose()
        await asyncio.sleep(0.05)
        before = len(drawing.drawn)
        await asyncio.sleep(0.1)
        assert len(drawing.drawn) == before
    assert set(drawing.drawn) == {"zh-CN"}


async def test_each_language_is_drawn_for_its_watchers() -> None:
    hub = Live(Drawing())
    async with hub.running():
        english, chinese = hub.watch("en"), hub.watch("zh-CN")
        seen = await asyncio.gather(events(english, 2), events(chinese, 2))
        await english.aclose()
        await chinese.aclose()
    assert all(text.startswith("en") for name, text in seen[0] if name == "clock")
    assert all(text.startswith("zh-CN") for name, text in seen[1] if name == "clock")


async def test_a_tick_that_fails_is_followed_by_another(caplog: pytest.LogCaptureFixture) -> None:
    drawing = Drawing()
    drawing.fail = True
    hub = Live(drawing)
    async with hub.running():
        stream = hub.watch("en")
        assert await events(stream, 1)
        await stream.aclose()
    assert "could not be drawn" in caplog.text


async def test_a_quiet_stream_says_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_PING_SECONDS", 0.02)
    hub = Live(Drawing())  # not running: no tick ever comes
    stream = hub.watch("en")
    async with asyncio.timeout(30):
        assert await anext(stream) == b"retry: 2000\n\n"
        assert await anext(stream) == b": still here\n\n"
        assert await anext(stream) == b": still here\n\n"
    await stream.aclose()
