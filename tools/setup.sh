#!/bin/sh
# Makes .venv ready: `setup.sh run` for the product, `setup.sh dev` for its tests and checks too.
# `setup.sh demo` is `run` after a look whether the demo's ports are free. A second run does nothing.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

# The newest Python that fits and can make virtual environments; else says what is missing.
find_python() {
    seen=
    for python in python3.13 python3.12 python3.11 python3.14 python3; do
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
        seen=$version
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || continue
        if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
            printf '%s\n' "$python"
            return
        fi
        without_venv=$version
    done
    if [ -n "${without_venv-}" ]; then
        say "Python $without_venv is here, but not its venv module."
        say "Install it (Debian, Ubuntu: apt install python$without_venv-venv), then run the same command again."
    elif [ -n "$seen" ]; then
        say "Tillkeeper needs Python 3.11 or newer; the newest here is $seen."
        say "Install a newer one beside it (python3.13, python3.12 or python3.11 is found by its name), then run the same command again."
    else
        say "Tillkeeper needs Python 3.11 or newer; there is no python3 here."
        say "Install it (Debian, Ubuntu: apt install python3 python3-venv), then run the same command again."
    fi
    exit 2
}

check_ports() {
    "$1" - "${TILL_API_PORT:-8080}" "${TILL_CONSOLE_PORT:-8081}" "${TILL_STATUS_PORT:-8082}" <<'PYTHON'
import socket
import sys

for name, port in zip(("API", "CONSOLE", "STATUS"), map(int, sys.argv[1:])):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            sys.exit(
                f"Port {port} on 127.0.0.1 is taken.\n"
                f"End the program that uses it (ss -ltnp shows which), or choose another port:"
                f" make demo TILL_{name}_PORT={port + 10}"
            )
PYTHON
}

is_ready() { # stamp: nothing it was made from is newer
    [ -x .venv/bin/till ] && [ -f "$1" ] && [ "$1" -nt requirements.lock ] &&
        [ "$1" -nt requirements-dev.lock ] && [ "$1" -nt requirements-spark.lock ] && [ "$1" -nt pyproject.toml ]
}

install() { # lock file, stamp
    if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        say "Making .venv with $("$python" --version) ..."
        "$python" -m venv --clear .venv
    fi
    say "Installing $(grep -c '^[a-z]' "$1") locked packages into .venv (a minute or two the first time) ..."
    pip="env PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 .venv/bin/python -m pip install --quiet"
    $pip --require-hashes --requirement "$1" && $pip --no-deps --no-build-isolation --editable . || {
        say "The packages could not be installed; pip's own words stand above. Is the network there? Then run the same command again."
        exit 2
    }
    .venv/bin/python -c 'import lightgbm' 2>/dev/null || {
        say "LightGBM does not load: models cannot be trained here, everything else works. Mostly the system's OpenMP"
        say "library is missing (Debian, Ubuntu: apt install libgomp1)."
    }
    # Compiled once here (about 8 s) and kept: the first start need not wait for it, nor tests that begin together.
    .venv/bin/python -c 'from tillkeeper.risk import warm_up; warm_up()'
    touch "$2"
}

goal=${1:-run}
if [ "$goal" = dev ]; then
    lock=requirements-dev.lock stamp=.venv/.ready-dev
    # Spark is large and needs Java: where there is none its tests are skipped, and say so.
    ! command -v java >/dev/null || lock=requirements-spark.lock
else
    lock=requirements.lock stamp=.venv/.ready-run
fi
ready=
if is_ready "$stamp" || is_ready .venv/.ready-dev; then
    ready=yes
    python=.venv/bin/python
else
    python=$(find_python)
fi
[ "$goal" != demo ] || check_ports "$python"
[ -n "$ready" ] || install "$lock" "$stamp"
