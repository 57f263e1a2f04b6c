"""Monitoring: the key figures now and over time, the money, the database server, its statements, our processes."""

from typing import Any

from litestar import get
from markupsafe import Markup

from tillkeeper.faces.console import charts
from tillkeeper.faces.console.desk import Page, TheDesk, Web
from tillkeeper.faces.console.figures import written
from tillkeeper.faces.console.texts import Texts
from tillkeeper.monitoring import MEASURES, SPANS, Picture, Span, board


@get("/monitoring", action="monitoring.view")
async def monitoring(request: Web, desk: TheDesk) -> Page:
    """Everything measured. What nobody has measured of late says so."""
    wanted = request.query_params.get("span")
    span: Span = next((each for each in SPANS if each == wanted), "hour")
    async with desk.store.tx("console monitoring") as tx:
        found = await board(tx, span, desk.clock)
    texts = desk.renderer(request).texts
    context: dict[str, Any] = {
        "board": found,
        "tiles": [
            (MEASURES[name].words[texts.language], written(each.value, each.unit, texts), each.value)
            for name, each in found.tiles
        ],
        "charts": [_drawn(each, texts) for each in found.pictures],
        "span": span,
        "spans": SPANS,
        "written": lambda value, unit: written(value, unit, texts),
    }
    return await desk.page(request, "monitoring.html", context)


def _drawn(picture: Picture, texts: Texts) -> dict[str, str | Markup]:
    """A chart: its name, the picture, and the words of its axis."""
    words, unit = picture.metric.words[texts.language], picture.metric.unit
    known = [value for value in picture.values if value is not None]
    label = texts("monitoring.chart", name=words, highest=written(max(known, default=None), unit, texts))
    plot, top = charts.curve(picture.values, label)
    return {
        "name": words,
        "plot": plot,
        "top": written(top, unit, texts),
        "half": written(top / 2, unit, texts),
        "last": written(known[-1] if known else None, unit, texts),
    }
