"""What the doctor says of the audit trail's anchors, without verifying: do they hold what the database has last?"""

from collections.abc import AsyncIterator
from typing import Final

from tillkeeper import audit
from tillkeeper.base import limits
from tillkeeper.base.settings import Settings
from tillkeeper.faces.cli.findings import Finding

_VERIFY: Final = "till audit verify; docs/operating/audit.md"


async def anchor_findings(chosen: Settings, standing: audit.Standing) -> AsyncIterator[Finding]:
    """Each anchor beside the newest head. Nothing before there is a head."""
    if standing.head is not None:
        for anchor in audit.anchors_of(chosen.key_folder, chosen.audit_anchors.split()):
            yield await anchor_finding(anchor, standing.head)


async def anchor_finding(anchor: audit.Anchor, head: audit.Head) -> Finding:
    """One anchor beside the newest head."""
    name = f"anchor {anchor.name}"
    try:
        last = await anchor.last(head.trail)
    except audit.AnchorError as error:
        return Finding(name, "wrong", str(error), "without anchors nobody sees a complete rewrite")
    finally:
        await anchor.close()
    if last is None:
        return Finding(name, "wrong", "holds nothing of this trail", _VERIFY)
    told = f"reaches to event {last.size - 1:,}"
    if last.size > head.size or (last.size == head.size and last.root != head.root):
        return Finding(name, "wrong", f"{told}, and the database has it otherwise", _VERIFY)
    late = (head.at - last.at).total_seconds()
    if last.size < head.size and late > anchor.pause + limits.ANCHOR_NEWS_SECONDS:
        return Finding(name, "wrong", f"{told}, {late:.0f} s behind the seal", "the agent's log says why")
    return Finding(name, "fine", told)
