#!/usr/bin/env bash
# Builds the wheel, installs it into a new virtual environment, and runs the package's tests there. Arguments are passed
# to pytest. Packages that tests need come from PyPI; tests of other libraries are skipped where these are not installed:
# PYTHON_PACKAGES adds some, such as "polars duckdb pyspark ray transformers torch".
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
work=${CARGO_TARGET_DIR:-$root/target}/python
python=${PYTHON:-python3}
mkdir -p "$work"

if [ ! -x "$work/tools/bin/maturin" ]; then
  "$python" -m venv "$work/tools"
  "$work/tools/bin/pip" install --quiet --disable-pip-version-check "maturin>=1.9,<2"
fi
# The tests' own packages are kept; the wheel is new. They are downloaded while it is built.
if [ ! -x "$work/environment/bin/python" ]; then
  "$python" -m venv "$work/environment"
fi
"$work/environment/bin/pip" install --quiet --disable-pip-version-check \
  pytest mypy numpy pyarrow tqdm ${PYTHON_PACKAGES:-} &
packages=$!
rm -rf "$work/wheels"
"$work/tools/bin/maturin" build --profile "${CARGO_PROFILE:-release}" --interpreter "$python" --locked --out "$work/wheels"
wait "$packages"
"$work/environment/bin/pip" install --quiet --disable-pip-version-check --force-reinstall --no-deps "$work"/wheels/*.whl

# The first example of the README, in an environment with nothing but the wheel.
rm -rf "$work/empty"
"$python" -m venv --without-pip "$work/empty"
"$work/environment/bin/pip" --python "$work/empty/bin/python" install --quiet --disable-pip-version-check \
  --no-index --no-deps "$work"/wheels/*.whl
sed -n '/^```python$/,/^```$/p' README.md | sed '1d;/^```$/,$d' >"$work/example.py"
(cd "$work" && env -i "$work/empty/bin/python" -I example.py)

# Away from the sources, so that the installed package is the one that is tested.
cd "$work"
exec "$work/environment/bin/python" -m pytest --rootdir "$root/crates/python" -q -p no:cacheprovider "$root/crates/python/tests" "$@"
