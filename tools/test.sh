#!/bin/sh
# Installs what is missing (tools/setup.sh), builds nnc and its tests in build/, and runs all tests. The exit status is
# that of the tests. Arguments go to ctest: tools/test.sh -R runtime
# tools/test.sh --long runs instead the tests that take long: every float through the functions of the runtime.
set -u
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd) || exit 1
. "$root/tools/setup.sh"

setup_all || exit 1
mkdir -p "$root/build" || exit 1
echo "Building nnc and its tests in $root/build"
started=$(date +%s)
if ! setup_build "$root" "$root/build/build.log"; then
    echo "The build failed; all of its output is in build/build.log." >&2
    exit 1
fi
echo "Built in $(($(date +%s) - started)) s."

limit=600
if [ "${1:-}" = --long ]; then
    shift
    limit=7200
    set -- -C Long -L long "$@"
fi
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
CTEST_OUTPUT_ON_FAILURE=1 ctest --test-dir "$root/build" -j "$jobs" --timeout $limit "$@"
status=$?
if [ $status -eq 0 ]; then
    echo "All tests passed."
else
    echo "Some tests failed (see above); tools/test.sh --rerun-failed runs only those." >&2
fi
exit $status
