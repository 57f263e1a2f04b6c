"""A run in lines and as a live picture, for people at a terminal."""

from collections.abc import Iterator
from datetime import datetime
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tillkeeper.maintenance.runs import Light, Run, RunState, RunView, StepView

_SENTENCES: Final[dict[RunState, str]] = {
    "waiting": "It waits for its time and its last checks; nothing was changed yet.",
    "running": "Maintenance is under way; shops are open and payments go on.",
    "paused": "It rests and waits for a person; shops are open.",
    "undoing": "Something was not right: everything is being put back as it was.",
    "succeeded": "Done: everything was changed as planned.",
    "undone": "Everything that can be is as it was before.",
    "aborted": "It was stopped, and everything that can be is as it was before.",
    "failed": "Something could not be put back: a person must look now.",
}
_LIGHTS: Final = {"pass": "green", "fail": "bold red", "inconclusive": "yellow"}
_STATES: Final = {"done": "green", "undone": "yellow", "kept": "yellow", "failed": "red", "running": "cyan"}


def row(run: Run) -> tuple[str, ...]:
    """A run as a row of a table."""
    return (
        run.public,
        run.state,
        run.asked_by,
        _moment(run.asked_at),
        _moment(run.begun_at),
        _moment(run.ended_at),
    )


def headline(seen: RunView) -> str:
    """A run in one line that a shop owner understands."""
    why = f" ({seen.pause_reason})" if seen.pause_reason else ""
    return f"{seen.run.public} {seen.run.state}: {_SENTENCES[seen.run.state]}{why}"


def outline(seen: RunView) -> Iterator[str]:
    """All of a run."""
    yield headline(seen)
    yield f"Goal      {seen.plan.goal}"
    yield f"Asked     {_moment(seen.run.asked_at)} by {seen.run.asked_by}; begun {_moment(seen.run.begun_at)}; ended {_moment(seen.run.ended_at)}"
    for step in seen.steps:
        yield f"Step {step.place + 1:<4} {step.state:<8} {step.title}  {_how(step)}".rstrip()
    for light in seen.lights:
        yield f"Guardrail {light.verdict:<12} {light.measure}  {light.said}".rstrip()
    for event in seen.events:
        where = "" if event.step is None else f" step {event.step + 1}"
        said = event.detail.get("said") or ""
        yield (
            f"{event.seq:>5}  {event.at:%H:%M:%S.%f}"[:-3]
            + f"  {event.by:<10} {event.kind}{where}  {said}".rstrip()
        )


class Picture:
    """The live picture of a run; where the output is no terminal, a line whenever something changes."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._said = ""

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def draw(self, seen: RunView, rate: float | None) -> None:
        """How it stands now."""
        if self._console.is_terminal:
            self._live.update(_drawn(seen, rate), refresh=True)
            return
        line = _in_short(seen)
        if line != self._said:
            self._said = line
            self._console.print(line, soft_wrap=True)


def _in_short(seen: RunView) -> str:
    at = seen.at_work
    where = f"step {at.place + 1} {at.title}" if at else f"{len(seen.steps)} steps"
    lights = ", ".join(f"{light.measure} {light.verdict}" for light in seen.lights)
    return f"{seen.run.state}: {where}; guardrails: {lights or 'not looked at yet'}"


def _drawn(seen: RunView, rate: float | None) -> RenderableType:
    steps = Table.grid(padding=(0, 2))
    for step in seen.steps:
        bar = ProgressBar(total=1.0, completed=step.share, width=24)
        state = Text(step.state, style=_STATES.get(step.state, "dim"))
        steps.add_row(f"{step.place + 1}", step.title, state, bar, _how(step))
    lights = Text("Guardrails  ")
    for light in seen.lights:
        lights.append(f"● {light.measure} {_value(light)}   ", style=_LIGHTS[light.verdict])
    if not seen.lights:
        lights.append("not looked at yet", style="dim")
    pace = "payments/s not known" if rate is None else f"{rate:.1f} payments/s"
    return Group(Text(seen.plan.goal, style="bold"), Text(headline(seen)), Text(pace), steps, lights)


def _how(step: StepView) -> str:
    """How far, how long, and what it says."""
    parts = []
    if step.state in {"running", "undoing"}:
        parts.append(f"{step.share:.0%}")
    if step.seconds is not None:
        parts.append(f"{step.seconds:.1f} s")
    if step.attempts > 1:
        parts.append(f"{step.attempts} attempts")
    if step.said:
        parts.append(step.said)
    return " · ".join(parts)


def _value(light: Light) -> str:
    return light.verdict if light.value is None else f"{light.value:g}"


def _moment(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else "-"
