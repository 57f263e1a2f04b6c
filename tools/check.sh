#!/bin/sh
# Style, types, floors, house rules. Runs all of them, two at a time, and says at the end which failed.
set -u
cd "$(dirname "$0")/.."
said=$(mktemp -d)
trap 'rm -rf "$said"' EXIT
trap 'exit 130' INT TERM

run() { # name, command...
    name=$1
    shift
    "$@" >"$said/$name" 2>&1 || touch "$said/$name.failed"
}

(run mypy .venv/bin/mypy) &
(
    run ruff .venv/bin/ruff check --quiet .
    run format .venv/bin/ruff format --check --quiet .
    run house_rules .venv/bin/python tools/house_rules.py
    run columns .venv/bin/python -m tools.columns
    run floors .venv/bin/lint-imports
    run policies .venv/bin/python -m tillkeeper access check
) &
wait

failed=
for name in ruff format house_rules columns floors policies mypy; do
    if [ -e "$said/$name.failed" ]; then
        failed="$failed $name"
        printf '== %s\n' "$name"
        cat "$said/$name"
    fi
done
if [ -n "$failed" ]; then
    printf 'make check: failed:%s (make format puts ruff right where it can)\n' "$failed"
    exit 1
fi
echo "make check: ruff, format, mypy, floors, house rules, declared columns and policies are kept."
