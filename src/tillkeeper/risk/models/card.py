"""The model card: where a model comes from and what it can do, for programs and for people."""

from typing import Final

import msgspec

from tillkeeper.risk.models.own import Own


class Span(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Payments a model was made or measured with: from, to (UTC, RFC 3339, to excluded), how many, how many of them fraud."""

    begin: str
    end: str
    payments: int
    frauds: int


class Figures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How well it does on payments later than all it was made with; None where it could not be measured.

    `auc`: area under the ROC curve. `ap`: average precision. `card_precision`: share of the 100 riskiest customers a day
    that were defrauded. `recall`: of frauds, at 1 % false alarms. `brier`: mean squared error of the probability.
    """

    auc: float | None = None
    ap: float | None = None
    card_precision: float | None = None
    recall: float | None = None
    brier: float | None = None


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that is to be known about a model. `label_delay_s`: after so many seconds a payment without a report is genuine.

    `importance`: share of the gain by feature, the largest first. `settings`: what the training was told.
    `versions`: of this software and of what trained. `reliability`: (predicted, observed, payments) by tenths, of `tested`.
    `remarks`: of REMARKS, or in words.
    """

    name: str
    made_at: str
    made_by: str
    label_delay_s: int
    trained: Span
    calibrated: Span | None = None
    tested: Span | None = None
    figures: Figures = Figures()
    importance: tuple[tuple[str, float], ...] = ()
    reliability: tuple[tuple[float, float, int], ...] = ()
    settings: dict[str, str | int | float] = {}
    versions: dict[str, str] = {}
    remarks: tuple[str, ...] = ()


REMARKS: Final = {
    "few_frauds": "few frauds to measure with: the figures are coarse",
    "thinned": "genuine payments were thinned to keep the training small; who stayed counts for those who went",
    "unlabelled": "no label was looked at to make it; its figures, if any, are of payments old enough to be judged",
}
_FIGURES: Final = (
    ("AUC ROC", "auc"),
    ("average precision", "ap"),
    ("card precision@100", "card_precision"),
    ("recall at 1 % false alarms", "recall"),
    ("Brier score", "brier"),
)


def _lasting(seconds: float) -> str:
    """A span in days, or in seconds below one."""
    return f"{seconds / 86_400:g} days" if seconds >= 86_400 else f"{seconds:g} s"


def as_text(card: Card, features: tuple[str, ...], sha256: str, own: tuple[Own, ...] = ()) -> str:
    """The card as people read it. `own`: what of the features the installation declared itself."""
    lines = [f"Model {card.name}", f"  made {card.made_at} by {card.made_by}", f"  sha256 {sha256}", ""]
    lines += [
        f"  {title:<12}{_span(span)}"
        for title, span in (
            ("trained", card.trained),
            ("calibrated", card.calibrated),
            ("tested", card.tested),
        )
    ]
    lines.append(f"  a payment without a report is genuine after {_lasting(card.label_delay_s)}")
    lines += ["", "Measured on payments later than all it has learnt from"]
    lines += [f"  {title:<28}{_figure(getattr(card.figures, name))}" for title, name in _FIGURES]
    lines += ["", f"Reads {len(features)} features; the share of what each told:"]
    lines += [f"  {name:<36}{share:7.1%}" for name, share in card.importance]
    if own:
        lines += ["", f"Declared by the installation that made it: {len(own)} of these"]
        lines += [f"  {each.name:<36}{each.en} ({each.fingerprint[:12]})" for each in own]
    if card.reliability:
        lines += ["", "Predicted and observed share of fraud", *_reliability(card)]
    lines += ["", *(f"  {name} = {value}" for name, value in sorted(card.settings.items()))]
    lines += [f"  {name} {version}" for name, version in sorted(card.versions.items())]
    lines += [f"  ! {REMARKS.get(remark, remark)}" for remark in card.remarks]
    return "\n".join(lines)


def _span(span: Span | None) -> str:
    if span is None:
        return "not done"
    return f"{span.begin[:16]} to {span.end[:16]}, {span.payments:,} payments, {span.frauds:,} of them fraud"


def _figure(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4f}"


def _reliability(card: Card) -> list[str]:
    return [f"  {said:9.3%} {seen:9.3%}   {count:,} payments" for said, seen, count in card.reliability]
