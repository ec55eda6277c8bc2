#!/bin/sh
# The harness's short form: every subject is there with a time above 0; what it does not know is refused. No time is judged.
# SPDX-License-Identifier: MIT
set -u
here=$(cd "$(dirname "$0")" && pwd)
passed=0 failed=0
verdict() { # NAME STATUS
  if [ "$2" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "failed: $1"; fi
}
json=$("$here/kernels" "$1" --quick --json)
verdict "the short form ends well" $?
complete() { awk '/"work"/ { n++; if ($0 !~ /"seconds": [0-9.e-]+, "quartiles": \[[0-9.e-]+, [0-9.e-]+\], "of_copy": [0-9.]+, "times_peer"/ || $0 ~ /"seconds": 0,/) bad = 1 } END { exit n != 22 || bad }'; }
echo "$json" | complete
verdict "eleven items at each of two shapes, each with its time" $?
if echo "$json" | grep -v '"one-hot"' | complete; then noticed=1; else noticed=0; fi
verdict "a missing item is noticed" $noticed
text=$("$here/kernels" "$1" --quick --jsn 2>&1)
[ $? = 2 ] && [ "${text#*unknown option}" != "$text" ]
verdict "an unknown option is refused" $?
json=$("$here/training" "$1" --quick --json)
verdict "the short form of training ends well" $?
[ "$(echo "$json" | grep -c -E '"seconds": [0-9.]*[1-9][0-9.e-]*, "quartiles"')" = 14 ] && [ "$(echo "$json" | grep -c '"peak_bytes": [1-9]')" = 3 ]
verdict "fourteen times and three peaks of memory, none of them 0" $?
"$here/training" "$1" --only=nothing >/dev/null 2>&1
[ $? = 2 ]
verdict "an item that there is not is refused" $?
echo "tally: $passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
