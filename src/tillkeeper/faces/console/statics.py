"""The few files a browser loads: our style sheet, script and mark, and htmx from its wheel; compressed once, cached for ever."""

import gzip
import hashlib
from importlib.resources import files
from typing import Final

import msgspec

_TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_OURS: Final = ("console.css", "live.js", "passkey.js", "edit.js", "mark.svg")


class Static(msgspec.Struct, frozen=True):
    """One file. Its address carries a digest of its content, so it never changes."""

    url: str
    media_type: str
    plain: bytes
    zipped: bytes


def read_statics() -> dict[str, Static]:
    """All files by name."""
    ours = {name: files(__package__).joinpath("static", name).read_bytes() for name in _OURS}
    htmx = files("js_lib_htmx").joinpath("static", "htmx", "htmx.min.js").read_bytes()
    return {name: _static(name, content) for name, content in {**ours, "htmx.js": htmx}.items()}


def _static(name: str, content: bytes) -> Static:
    digest = hashlib.sha256(content).hexdigest()[:16]
    media_type = _TYPES[name.rpartition(".")[2]]
    return Static(f"/static/{digest}/{name}", media_type, content, gzip.compress(content, 9, mtime=0))
