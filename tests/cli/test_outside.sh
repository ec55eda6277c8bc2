#!/bin/sh
# Schemes of one's own against an installed lsengine alone: those of tests/outside, and what `lsengine new scheme` writes. SPDX-License-Identifier: MIT
. "$(dirname "$0")/lib.sh"
build=$(dirname "$program")
expect "meson install" 0 "" env DESTDIR="$work/root" meson install -C "$build" --no-rebuild
installed=$(find "$work/root" -type f -name lsengine -perm -u+x | head -1)
PKG_CONFIG_PATH=$(dirname "$(find "$work/root" -name lsengine-module.pc)")
PKG_CONFIG_SYSROOT_DIR=$work/root
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR
cp -r "$source/tests/outside" "$work/outside"
for scheme in near_misses seen_so_far; do
  cd "$work/outside/$scheme" || exit 1
  expect "the Lua scheme $scheme" 0 "passed" "$installed" run test.lua
done
# Modules in C: with the system's own Lua headers beside the prefix's, so that the sysroot is for lsengine alone.
unset PKG_CONFIG_SYSROOT_DIR
sed -i "s|^prefix=.*|prefix=$(dirname "$(dirname "$installed")")|" "$PKG_CONFIG_PATH/lsengine-module.pc"
cd "$work/outside/by_distance" || exit 1
expect "a C scheme is set up" 0 "" meson setup build
expect "and built" 0 "" ninja -C build
LUA_CPATH="./build/?.so;;"
export LUA_CPATH
expect "the C scheme by_distance" 0 "passed" "$installed" run test.lua
unset LUA_CPATH
cd "$work" || exit 1
expect "new scheme" 0 "mine/test.lua" "$installed" new scheme mine
expect "is not written over" 2 "mine/mine.lua is there already" "$installed" new scheme mine
expect "a name that is none" 2 "small letters, digits and _ are required" "$installed" new scheme "My scheme"
expect "a built-in name" 2 "sord is a scheme of lsengine's own" "$installed" new scheme sord
expect "new without a name" 2 "lsengine new scheme NAME" "$installed" new scheme
cd "$work/mine" || exit 1
expect "its test" 0 "passed" "$installed" run test.lua
expect "its experiment" 0 "claim 2" "$installed" run --quiet --seeds 2 experiment.lua
cd "$work" || exit 1
expect "new scheme --c" 0 "quick/meson.build" "$installed" new scheme quick --c
cd "$work/quick" || exit 1
expect "is set up" 0 "" meson setup build
expect "is built" 0 "" ninja -C build
expect "its test" 0 "passed" "$installed" run test.lua
finish
