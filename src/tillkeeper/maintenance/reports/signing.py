"""Signs a report and looks at the signature: Ed25519 by the key ring of the audit trail, as JSON and as page.

JSON: `{"report":…,"signature":…}`; the signature covers the very bytes of `report`. Page: its last line is a comment with
the signature of all bytes before it. Each form has a preamble of its own, so that no signature serves for another.
"""

import re
from typing import Final, Literal

import msgspec

from tillkeeper.audit import Ring
from tillkeeper.maintenance.reports.types import Document, Signature, Signed

Verdict = Literal["holds", "changed", "stranger", "unreadable"]
"""changed: not what was signed; stranger: signed, but by no key of this ring."""

_JSON: Final = b"tillkeeper report 1 json\n"
_PAGE: Final = b"tillkeeper report 1 page\n"
_MARK: Final = re.compile(rb"\n<!-- signature (ak_[0-9a-f]{16}) ([0-9a-f]{64}) ([0-9a-f]{128}) -->\n\Z")


def sign(document: Document, ring: Ring) -> bytes:
    """The report's file."""
    body = msgspec.json.encode(document, order="sorted")
    signature = _signature(_JSON + body, ring)
    return b'{"report":%b,"signature":%b}\n' % (body, msgspec.json.encode(signature))


def sign_page(page: str, ring: Ring) -> bytes:
    """A page with its signature at its end."""
    body = page.rstrip("\n").encode()
    made = _signature(_PAGE + body, ring)
    return body + f"\n<!-- signature {made.key} {made.public} {made.value} -->\n".encode()


def document_of(file: bytes) -> Document:
    """The report in a file. Raises msgspec.MsgspecError when it is none."""
    return msgspec.json.decode(msgspec.json.decode(file, type=Signed).report, type=Document)


def verify(file: bytes, ring: Ring) -> Verdict:
    """Whether a file, JSON or page, is as one of our keys signed it."""
    if (found := _MARK.search(file)) is not None:
        key, public, value = (part.decode() for part in found.groups())
        return _judge(_PAGE + file[: found.start()], Signature(key, public, value), ring)
    try:
        signed = msgspec.json.decode(file, type=Signed, strict=True)
        msgspec.json.decode(signed.report, type=Document)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return "unreadable"
    return _judge(_JSON + bytes(signed.report), signed.signature, ring)


def _signature(data: bytes, ring: Ring) -> Signature:
    return Signature(ring.current.id, ring.current.public, ring.sign(data).hex())


def _judge(data: bytes, signature: Signature, ring: Ring) -> Verdict:
    """Whether it holds. The public key that the file brings is for those who have no ring; it must be that of ours."""
    place = ring.place(signature.key)
    if place is None:
        return "stranger"
    if signature.public != ring.keys[place].public:
        return "changed"
    try:
        value = bytes.fromhex(signature.value)
    except ValueError:
        return "unreadable"
    return "holds" if ring.signed(signature.key, data, value) else "changed"
