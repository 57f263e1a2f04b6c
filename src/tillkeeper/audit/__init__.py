"""Audit: what people and keys did, written in the transaction that does it, sealed within a second, proven to anybody.

Nothing here is changed or deleted; who could do so all the same, because the database is theirs, cannot do it unseen.
"""

from tillkeeper.audit.anchors import Anchor, AnchorError, ObjectAnchor, Objects, anchors_of
from tillkeeper.audit.events import actions, append, find, note_change, of, search
from tillkeeper.audit.findings import Fault, Part
from tillkeeper.audit.fingerprint import fingerprint_before
from tillkeeper.audit.keys import Restore, Ring, find_ring
from tillkeeper.audit.prove import Proof, ProofError, prove
from tillkeeper.audit.restored import note_restore
from tillkeeper.audit.seal import Sealer
from tillkeeper.audit.standing import standing, unsealed
from tillkeeper.audit.tally import Tally
from tillkeeper.audit.types import Event, Filter, Head, Page, Result, Standing
from tillkeeper.audit.verify import Report, verify

__all__ = [
    "Anchor",
    "AnchorError",
    "Event",
    "Fault",
    "Filter",
    "Head",
    "ObjectAnchor",
    "Objects",
    "Page",
    "Part",
    "Proof",
    "ProofError",
    "Report",
    "Restore",
    "Result",
    "Ring",
    "Sealer",
    "Standing",
    "Tally",
    "actions",
    "anchors_of",
    "append",
    "find",
    "find_ring",
    "fingerprint_before",
    "note_change",
    "note_restore",
    "of",
    "prove",
    "search",
    "standing",
    "unsealed",
    "verify",
]
