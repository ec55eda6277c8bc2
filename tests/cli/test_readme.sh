#!/bin/sh
# The README: its script prints what the README shows, its links lead somewhere, its commands exist. SPDX-License-Identifier: MIT
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1

# block LANGUAGE: the first fenced block with that label (none: a fence alone).
block() { awk -v fence="\`\`\`$1" '!inside && $0 == fence && !done { inside = 1; next } inside && /^```$/ { inside = 0; done = 1 } inside { print }' "$2"; }
# Figures are as wide everywhere, but not the same on every processor.
shape() { sed 's/[0-9]/0/g'; }

block lua "$source/README.md" >smoothing.lua
expect "the script is ten lines or so" 0 "" test "$(wc -l <smoothing.lua)" -le 12
expect "the script runs" 0 "REFUTED" "$program" run smoothing.lua
shape <out >printed
# The block of output follows the one of the script: fences without a label open and close alternately after it.
awk '/^```lua$/ { seen = 1; next } seen && /^```$/ { n++; next } n == 2 { print } n > 2 { exit }' "$source/README.md" | shape >shown
missing=0
while IFS= read -r line; do
  [ -z "$line" ] || grep -qxF -- "$line" printed || { missing=$((missing + 1)); echo "not printed: $line" >>err; }
done <shown
if [ "$(wc -l <shown)" -gt 8 ] && [ $missing -eq 0 ]; then good "every line that is shown is printed"; else bad "every line that is shown is printed"; fi
sed 's/REFUTED/SUPPORTED/' shown >sabotaged
if grep -qxFf printed sabotaged && ! grep -qxF "  SUPPORTED" printed; then good "the comparison can fail"; else bad "the comparison can fail"; fi

for page in README.md docs/building.md docs/findings.md docs/statistics.md docs/streams.md experiments/data/README.md; do
  for link in $(grep -o '](\([^)#]*\)' "$source/$page" | sed 's/](//' | grep -v '^http' | sort -u); do
    if [ -e "$source/$(dirname "$page")/$link" ]; then good "$page: $link"; else bad "$page: $link"; fi
  done
done
for command in $(block sh "$source/README.md" | sed 's/#.*//' | awk '{ print $2 }'); do
  if grep -q "^  $command)" "$source/bootstrap"; then good "bootstrap $command"; else bad "bootstrap $command"; fi
done
for experiment in "$source"/experiments/[0-9]*.lua; do
  name=$(basename "$experiment")
  if grep -q "experiments/$name" "$source/README.md" && grep -q "^## ${name%.lua}" "$source/docs/findings.md"; then good "$name is in the README and the findings"
  else bad "$name is in the README and the findings"; fi
done
finish
