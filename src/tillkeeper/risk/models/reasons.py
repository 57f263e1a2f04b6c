"""Why a model gave its score, in words: the features that raised it most, from its contributions."""

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np

from tillkeeper.risk.features import Feature
from tillkeeper.risk.models.own import with_own
from tillkeeper.risk.models.scoring import Matrix, Scorer
from tillkeeper.risk.words import in_words

SHOWN: Final = 4
LEAST: Final = 0.05
"""Of the sum of all that raised the score: a feature that gave less is no reason."""

_FORMS: Final = {"zh": "{meaning}：{value}", "en": "{meaning}: {value}"}

_Words = tuple[Mapping[str, Feature], str, str]
"""What features there are, the reference currency, the language."""


class ModelReason(msgspec.Struct, frozen=True):
    """One feature that raised a score. `share`: its part of all that raised it, 0..1; `text`: as people read it."""

    feature: str
    value: float | None
    share: float
    text: str


def reasons(
    scorer: Scorer, values: Matrix, reference: str, language: str = "en", count: int = SHOWN
) -> list[list[ModelReason]]:
    """For each row of `values` (columns as the scorer's features) what raised its score, the most telling first.

    `reference`: the rule set's currency; `language`: "zh" or "en".
    """
    raised = np.maximum(scorer.contributions(values)[:, :-1], 0.0)
    known = with_own(scorer.own)
    return [
        _of_row(scorer.features, row, parts, (known, reference, language), count)
        for row, parts in zip(values.tolist(), raised.tolist(), strict=True)
    ]


def _of_row(
    features: tuple[str, ...], row: list[float], parts: list[float], words: _Words, count: int
) -> list[ModelReason]:
    total = sum(parts)
    order = sorted(range(len(parts)), key=lambda n: -parts[n])[:count]
    return [
        ModelReason(
            features[n],
            None if row[n] != row[n] else row[n],
            parts[n] / total,
            _text(features[n], row[n], *words),
        )
        for n in order
        if total > 0 and parts[n] >= LEAST * total
    ]


def _text(name: str, value: float, known: Mapping[str, Feature], reference: str, language: str) -> str:
    feature = known.get(name)
    if feature is None:
        return f"{name}: {value:,.6g}"
    meaning = feature.zh if language == "zh" else feature.en
    return _FORMS[language].format(meaning=meaning, value=in_words(name, value, reference, language, known))
