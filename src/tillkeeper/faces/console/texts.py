"""The console's words: one catalogue per language in `texts`, with the same keys in each."""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

LANGUAGES: Final = {"en": "English", "zh-CN": "中文"}
DEFAULT: Final = "en"


class Texts:
    """The words of one language."""

    def __init__(self, language: str, words: Mapping[str, str]) -> None:
        self.language = language
        self.locale = language.replace("-", "_")
        self._words = words

    def __call__(self, key: str, **values: object) -> str:
        """The text of a key, its {places} filled. An unknown key is a fault of ours: KeyError."""
        return self._words[key].format(**values) if values else self._words[key]

    def named(self, group: str, code: str) -> str:
        """The text of a code that data may bring (a state, a failure); unknown ones are shown as they are."""
        return self._words.get(f"{group}.{code}", code)

    def all_keys(self) -> Iterator[str]:
        """Every key of the catalogue."""
        return iter(self._words)


@cache
def read_texts() -> dict[str, Texts]:
    """All catalogues, by language. Read once a process."""
    return {language: Texts(language, dict(_read(language))) for language in LANGUAGES}


def choose(wanted: str | None, accepted: str) -> str:
    """The language for a browser: what its cookie says, else what it accepts (Accept-Language, in its order)."""
    if wanted in LANGUAGES:
        return wanted
    for each in accepted.split(","):
        primary = each.split(";")[0].strip().lower().partition("-")[0]
        for language in LANGUAGES:
            if primary == language.partition("-")[0]:
                return language
    return DEFAULT


def _read(language: str) -> Iterator[tuple[str, str]]:
    """`<language>.toml`, and `<language>.<part>.toml` for parts that grew too long for one file."""
    for file in files(__package__).joinpath("texts").iterdir():
        if file.name.startswith(f"{language}."):
            yield from _flat(tomllib.loads(file.read_text("utf-8")))


def _flat(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield before + key, value
