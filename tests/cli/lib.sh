# What the tests of the command line share. SPDX-License-Identifier: MIT
# Usage: . lib.sh; case_ "name" status command…; the output is in $work/out, $work/err; finish at the end.
set -u
program=$1
source=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0
skipped=0
# What a sanitizer finds, a leak too, has a status of its own: the program's error is 1.
export ASAN_OPTIONS=halt_on_error=1:abort_on_error=0:exitcode=99 UBSAN_OPTIONS=halt_on_error=1:exitcode=99:print_stacktrace=1

good() { passed=$((passed + 1)); echo "ok      $1"; }
bad() { failed=$((failed + 1)); echo "FAILED  $1"; sed 's/^/        /' "$work/out" "$work/err" 2>/dev/null | head -20; }

# expect NAME STATUS PATTERN COMMAND…: the exit status, and a fixed string in what was printed ('' for any).
expect() {
  name=$1; status=$2; pattern=$3
  shift 3
  "$@" >"$work/out" 2>"$work/err" </dev/null
  got=$?
  if [ "$got" -ne "$status" ]; then
    echo "status $got, want $status" >>"$work/err"
    bad "$name"
  elif [ -n "$pattern" ] && ! cat "$work/out" "$work/err" | grep -qF -- "$pattern"; then
    echo "not printed: $pattern" >>"$work/err"
    bad "$name"
  else
    good "$name"
  fi
}

finish() {
  echo "tally: $passed passed, $failed failed, $skipped skipped"
  [ "$failed" -eq 0 ]
}
