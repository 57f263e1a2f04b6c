"""What numba compiles is compiled once, before the first test: its twenty seconds of processor are no test's own.

In a fresh clone every process of a run would do it, all at the same time, and within the time limit of a test.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Final

_PROGRAM: Final = "from tillkeeper.risk.engine import warm_up; warm_up()"
_COMPILED: Final = ("arrays", "series", "windows")  # modules of the package risk


def compile_once() -> None:
    """Fill numba's cache, unless what lies there is as new as the sources."""
    if not all(map(_is_compiled, _COMPILED)):
        # What is wrong there the tests will say.
        subprocess.run([sys.executable, "-c", _PROGRAM], check=False)


def _is_compiled(module: str) -> bool:
    package = importlib.util.find_spec("tillkeeper")
    assert package is not None
    assert package.origin is not None
    folder = Path(package.origin).parent / "risk"
    kept = [each.stat().st_mtime for each in (folder / "__pycache__").glob(f"{module}.*.nbi")]
    return max(kept, default=0.0) >= (folder / f"{module}.py").stat().st_mtime
