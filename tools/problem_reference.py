"""Print docs/reference/problems.md: every problem code, its status and what it means. `--write` puts it in place."""

import sys
from pathlib import Path

from tillkeeper.base.results import PROBLEMS

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "problems.md"

_HEAD = """# Problem codes

Made by `python tools/problem_reference.py --write` from `src/tillkeeper/base/results.py`; a test keeps it fresh.

A refused request is answered with problem details (RFC 9457, `application/problem+json`): `type`
(`urn:tillkeeper:problem:<code>`), `title`, `status`, `code`, `detail` (what to do about it) and `field` (the input at fault, or
null). `approval` is there only where a second person must agree: the id of the question. Codes are stable. A payment that exists but came to nothing carries the same codes in `failure.code`, with HTTP 201.

| code | status | meaning |
|---|---|---|
"""


def page() -> str:
    """The whole page."""
    return _HEAD + "".join(
        f"| `{code}` | {status} | {title} |\n" for code, (status, title) in PROBLEMS.items()
    )


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(page(), "utf-8")
    else:
        sys.stdout.write(page())
