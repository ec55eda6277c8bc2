#!/bin/sh
# An installed lsengine runs from anywhere, and C programs build against it. SPDX-License-Identifier: MIT
. "$(dirname "$0")/lib.sh"
build=$(dirname "$program")
expect "meson install" 0 "" env DESTDIR="$work/root" meson install -C "$build" --no-rebuild
installed=$(find "$work/root" -type f -name lsengine -perm -u+x | head -1)
prefix=$(dirname "$(dirname "$installed")")
cd / || exit 1
expect "the installed program finds its data" 0 "$prefix/share/lsengine/data" "$installed" doctor
echo 'print(#require "lsengine".data.load "satellite".train)' >"$work/s.lua"
expect "and loads it" 0 "4435" "$installed" run "$work/s.lua"
cat >"$work/use.c" <<'C'
#include <lsengine/loss.h>
#include <stdio.h>
#include <stdlib.h>
int main(void) {
  float z[] = {0, 0};
  int64_t y = 0;
  ls_target t = {.rows = 1, .terms = 1, .term = {{&y, NULL, 1}}};
  ls_cross_entropy_options o = {0};
  ls_cross_entropy_result r;
  ls_err err;
  void *scratch = malloc(ls_cross_entropy_scratch(&t, 1, 2));
  if (scratch == NULL || ls_cross_entropy((ls_cmat){z, 1, 2, 2}, &t, &o, scratch, &r, NULL, NULL, &err) != LS_OK) return 1;
  printf("%.6f\n", r.value);
  free(scratch);
  return 0;
}
C
pc=$(dirname "$(find "$work/root" -name lsengine.pc)")
flags=$(PKG_CONFIG_PATH=$pc PKG_CONFIG_SYSROOT_DIR="$work/root" pkg-config --cflags --libs lsengine)
[ "${3:-none}" = none ] || flags="$flags -fsanitize=$3"
# shellcheck disable=SC2086
expect "a C program builds through pkg-config" 0 "" cc -o "$work/use" "$work/use.c" -I"$prefix/include" -L"$(dirname "$pc")" $flags
expect "and runs" 0 "0.693147" "$work/use"
for header in "$source"/core/include/lsengine/*.h; do
  echo "#include <lsengine/$(basename "$header")>" >"$work/alone.c"
  expect "$(basename "$header") compiles alone" 0 "" cc -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$source/core/include" "$work/alone.c"
done
finish
