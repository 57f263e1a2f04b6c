#!/bin/sh
# Pins every package with the hashes of all its files, for every platform and Python >= 3.11.
# requirements-dev.lock holds requirements.lock and the tools, requirements-spark.lock also Spark; versions agree (--constraint).
set -eu
cd "$(dirname "$0")/.."
compile() {
    out=$1
    shift
    .venv/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-header --upgrade --output-file "$out" "$@"
}
compile requirements.lock --extra build
compile requirements-dev.lock --extra build --extra dev --constraint requirements.lock
compile requirements-spark.lock --extra build --extra dev --extra spark --constraint requirements-dev.lock
