#!/bin/sh
# lsengine evaluate: formats, what it refuses and how, exit codes, JSON, the report. SPDX-License-Identifier: MIT
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1

# Files of every kind, made without NumPy: bytes as numpy.save writes them.
cat >make.lua <<'L'
local function npy(path, descr, shape, body, order)
  local header = ("{'descr': %s, 'fortran_order': %s, 'shape': %s, }"):format(descr:find "^%[" and descr or "'" .. descr .. "'", order or "False", shape)
  header = header .. (" "):rep((64 - (#header + 11) % 64) % 64) .. "\n"
  local f <close> = assert(io.open(path, "wb"))
  f:write("\x93NUMPY\1\0", ("<I2"):pack(#header), header, body)
end
local z, y = { { 2, 0, -1 }, { 0, 3, 0.5 }, { 1, 0.25, 4 }, { 2, 1, 0 }, { 0, -1, 1 }, { 5, 0, 0 } }, { 0, 1, 2, 1, 2, 0 }
local function pack(fmt, rows)
  local out = {}
  for _, row in ipairs(rows) do for _, x in ipairs(type(row) == "table" and row or { row }) do out[#out + 1] = fmt:pack(x) end end
  return table.concat(out)
end
local function columns(rows)
  local out = {}
  for c = 1, #rows[1] do for r = 1, #rows do out[#out + 1] = rows[r][c] end end
  return out
end
npy("logits.npy", "<f4", "(6, 3)", pack("<f", z))
npy("logits-f8.npy", "<f8", "(6, 3)", pack("<d", z))
npy("logits-big.npy", ">f8", "(6, 3)", pack(">d", z))
npy("logits-fortran.npy", "<f4", "(6, 3)", pack("<f", columns(z)), "True")
local half = { [2] = 0x4000, [0] = 0, [-1] = 0xBC00, [3] = 0x4200, [0.5] = 0x3800, [1] = 0x3C00, [0.25] = 0x3400, [4] = 0x4400, [5] = 0x4500 }
local halves = {}
for _, row in ipairs(z) do for _, x in ipairs(row) do halves[#halves + 1] = ("<I2"):pack(half[x]) end end
npy("logits-f2.npy", "<f2", "(6, 3)", table.concat(halves))
for name, kind in pairs{ u1 = { "|u1", "<B" }, i1 = { "|i1", "<b" }, u2 = { ">u2", ">I2" }, i4 = { "<i4", "<i4" }, i8 = { "<i8", "<i8" }, u8 = { ">u8", ">I8" } } do
  npy("labels-" .. name .. ".npy", kind[1], "(6,)", pack(kind[2], y))
end
npy("labels.npy", "<i8", "(6,)", pack("<i8", y))
npy("short.npy", "<i8", "(5,)", pack("<i8", { 0, 1, 2, 1, 2 }))
npy("beyond.npy", "<i8", "(6,)", pack("<i8", { 0, 1, 2, 3, 2, 0 }))
npy("minus.npy", "<i8", "(6,)", pack("<i8", { 0, 1, -1, 1, 2, 0 }))
npy("from-one.npy", "<i8", "(6,)", pack("<i8", { 1, 2, 3, 2, 3, 1 }))
npy("column.npy", "<i8", "(6, 1)", pack("<i8", y))
npy("float-labels.npy", "<f8", "(6,)", pack("<d", y))
npy("one-hot.npy", "<i8", "(6, 3)", pack("<i8", { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 }, { 0, 1, 0 }, { 0, 0, 1 }, { 1, 0, 0 } }))
local bad = { { 2, 0, -1 }, { 0, 3, 0.5 }, { 1, 0 / 0, 4 }, { 2, 1, 0 }, { 0, -1, 1 }, { 5, 0, 0 } }
npy("nan.npy", "<f4", "(6, 3)", pack("<f", bad))
bad[3][2] = math.huge
npy("inf.npy", "<f4", "(6, 3)", pack("<f", bad))
bad[3][2] = -math.huge
npy("masked.npy", "<f4", "(6, 3)", pack("<f", bad))
local p = {}
for i, row in ipairs(z) do
  local sum = 0
  p[i] = {}
  for j, x in ipairs(row) do p[i][j] = math.exp(x) sum = sum + p[i][j] end
  for j in ipairs(row) do p[i][j] = p[i][j] / sum end
end
npy("probabilities.npy", "<f8", "(6, 3)", pack("<d", p))
npy("cube.npy", "<f4", "(2, 3, 3)", pack("<f", z))
npy("empty.npy", "<f4", "(0, 3)", "")
npy("one-column.npy", "<f4", "(6, 1)", pack("<f", { 1, 2, 3, 4, 5, 6 }))
npy("objects.npy", "|O", "(6,)", "\128\3]q")
npy("structure.npy", "[('a', '<f4')]", "(6,)", ("x"):rep(24))
npy("strings.npy", "<U3", "(6,)", ("x"):rep(72))
npy("complex.npy", "<c8", "(6, 3)", ("\0"):rep(144))
npy("negative.npy", "<f4", "(-1, 3)", "")
npy("huge.npy", "<f4", "(2147483647, 2147483647)", "")
npy("overflow.npy", "<f4", "(4294967296, 4294967296)", "")
npy("truncated.npy", "<f4", "(6, 3)", "1234")
local function text(path, s) local f <close> = assert(io.open(path, "wb")) f:write(s) end
local lines, label_lines = { "a,b,c" }, {}
for i, row in ipairs(z) do lines[#lines + 1] = table.concat(row, ",") label_lines[i] = y[i] end
text("logits.csv", table.concat(lines, "\n") .. "\n")
text("labels.csv", table.concat(label_lines, "\n") .. "\n")
text("words.csv", "0\n1\ncat\n1\n2\n0\n")
text("ragged.csv", "1,2,3\n4,5\n")
text("names.txt", "cat & <b>\ndog 'x' `date`\n$HOME @a %d\n")
text("two-names.txt", "a\nb\n")
local ls = require "lsengine"
local files = require "lsengine.c.files"
local t, labels = ls.tensor(z), ls.labels(y)
files.save_npz("save", "all.npz", { "logits", "labels" }, { logits = t, labels = labels })
files.save_npz("save", "other.npz", { "outputs", "extra" }, { outputs = t * 0.5, extra = labels })
files.save_npz("save", "unnamed.npz", { "a", "b" }, { a = t, b = labels })
files.save_npz("save", "single.npz", { "whatever" }, { whatever = t })
-- On a circle by class, two rows a class close together: every neighbour is right. The gallery turns the last two classes about.
local angle = { 0, 1, 2, 1.1, 2.1, 0.1 }
local e, g = {}, {}
for i, a in ipairs(angle) do e[i] = { math.cos(2 * a), math.sin(2 * a) } end
for i, a in ipairs{ 0.05, 1.05, 2.05 } do g[i] = { math.cos(2 * a), math.sin(2 * a) } end
files.save_npz("save", "embeddings.npz", { "embeddings" }, { embeddings = ls.tensor(e) })
files.save_npz("save", "gallery.npz", { "gallery", "gallery_labels" }, { gallery = ls.tensor(g), gallery_labels = ls.labels{ 0, 2, 1 } })
npy("gallery-labels.npy", "<i8", "(3,)", pack("<i8", { 0, 2, 1 }))
npy("narrow.npy", "<f4", "(3, 1)", pack("<f", { 1, 2, 3 }))
L
"$program" run make.lua || exit 1
evaluate() { "$program" evaluate --threads 1 "$@"; }

expect "NPY" 0 "accuracy           0.8333" evaluate --logits logits.npy --labels labels.npy
evaluate --logits logits.npy --labels labels.npy >want 2>&1
for file in logits-f8.npy logits-big.npy logits-fortran.npy logits-f2.npy logits.csv all.npz single.npz unnamed.npz:a; do
  evaluate --logits "$file" --labels labels.npy >got 2>&1
  if [ "$(sed 1d want)" = "$(sed 1d got)" ]; then good "the same numbers from $file"; else cp got "$work/err"; bad "the same numbers from $file"; fi
done
for file in labels-u1.npy labels-i1.npy labels-u2.npy labels-i4.npy labels-i8.npy labels-u8.npy labels.csv all.npz unnamed.npz:b; do
  evaluate --logits logits.npy --labels "$file" >got 2>&1
  if [ "$(sed 1d want)" = "$(sed 1d got)" ]; then good "the same numbers with $file"; else cp got "$work/err"; bad "the same numbers with $file"; fi
done
expect "probabilities" 0 "accuracy           0.8333" evaluate --probabilities probabilities.npy --labels labels.npy
expect "a masked class" 0 "accuracy" evaluate --logits masked.npy --labels labels.npy

# wrong use: 2
expect "no predictions" 2 "evaluate needs --logits or --probabilities" evaluate --labels labels.npy
expect "no labels" 2 "evaluate needs --labels" evaluate --logits logits.npy
expect "both kinds" 2 "--logits or --probabilities, not both" evaluate --logits logits.npy --probabilities probabilities.npy --labels labels.npy
expect "a bare file" 2 "evaluate takes options alone, logits.npy is none" evaluate logits.npy
expect "a misspelt option" 2 "did you mean --labels?" evaluate --logits logits.npy --label labels.npy
expect "a gallery without its labels" 2 "--gallery and --gallery-labels belong together" evaluate --logits logits.npy --labels labels.npy --embeddings logits.npy --gallery logits.npy
expect "a gallery without queries" 2 "--gallery needs --embeddings" evaluate --logits logits.npy --labels labels.npy --gallery logits.npy --gallery-labels labels.npy
expect "names without predictions" 2 "--class-names needs" evaluate --embeddings logits.npy --labels labels.npy --class-names names.txt

# what cannot be right: 1, with the row
expect "probabilities as logits" 1 "holds probabilities, not logits: all numbers lie from 0 to 1 and every row sums to 1. Give it as --probabilities" evaluate --logits probabilities.npy --labels labels.npy
expect "logits as probabilities" 1 "logits.npy: row 1 (from 1), column 1 is 2, no probability. If these are logits, give them as --logits" evaluate --probabilities logits.npy --labels labels.npy
expect "rows that do not match" 1 "logits.npy has 6 rows, short.npy has 5 labels" evaluate --logits logits.npy --labels short.npy
expect "a label out of range" 1 "beyond.npy: row 4 (from 1) has the label 3, logits.npy has 3 classes: 0 … 2" evaluate --logits logits.npy --labels beyond.npy
expect "a label below 0" 1 "minus.npy: row 3 (from 1) has the label -1" evaluate --logits logits.npy --labels minus.npy
expect "labels from 1" 1 "labels seem to count from 1: subtract 1" evaluate --logits logits.npy --labels from-one.npy
expect "labels as a column" 1 "column.npy is 6×1: labels have one axis; in NumPy, labels.ravel()" evaluate --logits logits.npy --labels column.npy
expect "labels as floats" 1 'labels.astype("int64")' evaluate --logits logits.npy --labels float-labels.npy
expect "labels as one-hot rows" 1 "labels.argmax(1)" evaluate --logits logits.npy --labels one-hot.npy
expect "labels as words" 1 'words.csv: row 3 (from 1) is "cat": labels are integers' evaluate --logits logits.npy --labels words.csv
expect "NaN" 1 "nan.npy: row 3 (from 1), column 2 is NaN" evaluate --logits nan.npy --labels labels.npy
expect "infinity" 1 "inf.npy: row 3 (from 1), column 2 is infinite" evaluate --logits inf.npy --labels labels.npy
expect "embeddings with -infinity" 1 "masked.npy: row 3 (from 1), column 2 is -infinite" evaluate --embeddings masked.npy --labels labels.npy
expect "an error has no traceback of the library" 0 "1" sh -c "'$program' evaluate --logits none.npy --labels labels.npy 2>&1 | wc -l"
expect "embeddings of other rows" 1 "logits.npy has 6 rows, one-row.csv has 1" sh -c "echo 1,2,3 >one-row.csv; '$program' evaluate --logits logits.npy --labels labels.npy --embeddings one-row.csv"
expect "three axes" 1 "cube.npy is an array of 3 axes (2×3×3): logits are a matrix" evaluate --logits cube.npy --labels labels.npy
expect "labels as logits" 1 "labels.npy holds 6 integers: that is one axis, as labels have" evaluate --logits labels.npy --labels labels.npy
expect "no rows" 1 "empty.npy is 0×3: it has no numbers" evaluate --logits empty.npy --labels labels.npy
expect "one class" 1 "one-column.npy has one column" evaluate --logits one-column.npy --labels labels.npy
expect "another model's shape" 1 "logits.npy is 6×3, one-row.csv is 1×3" evaluate --logits logits.npy --labels labels.npy --compare one-row.csv
expect "too few names" 1 "two-names.txt has 2 class names (one a line), there are 3 classes" evaluate --logits logits.npy --labels labels.npy --class-names two-names.txt
expect "a member that is not there" 1 "all.npz has no member x; it has logits, labels" evaluate --logits all.npz:x --labels labels.npy
expect "members to choose from" 1 "unnamed.npz has the members a, b: name one, as unnamed.npz:a" evaluate --logits unnamed.npz --labels labels.npy
expect "no such file" 1 "none.npy: No such file or directory" evaluate --logits none.npy --labels labels.npy
expect "a folder" 1 "is not a file" evaluate --logits . --labels labels.npy
expect "a ragged table" 1 "ragged.csv" evaluate --logits ragged.csv --labels labels.npy
expect "no array" 1 "is neither an NPY, NPZ nor IDX file" evaluate --logits make.lua --labels labels.npy
expect "no archive" 1 "is not an NPZ archive" sh -c "cp make.lua broken.npz; '$program' evaluate --logits broken.npz --labels labels.npy"
expect "objects" 1 'NPY elements of type "|O" are not read' evaluate --logits objects.npy --labels labels.npy
expect "strings" 1 'NPY elements of type "<U3" are not read' evaluate --logits logits.npy --labels strings.npy
expect "complex numbers" 1 'NPY elements of type "<c8" are not read' evaluate --logits complex.npy --labels labels.npy
expect "structures" 1 "NPY elements are structures" evaluate --logits structure.npy --labels labels.npy
expect "a negative size" 1 "the NPY header is not a dictionary" evaluate --logits negative.npy --labels labels.npy
expect "a size beyond memory" 1 "huge.npy: " evaluate --logits huge.npy --labels labels.npy
expect "a size beyond numbers" 1 "overflow.npy: " evaluate --logits overflow.npy --labels labels.npy
expect "a truncated file" 1 "it is truncated" evaluate --logits truncated.npy --labels labels.npy

# JSON: alone on standard output, parsed by the library's own reader
cat >parse.lua <<'L'
local r = require "lsengine.c.json".decode(io.open "json.txt":read "a")
assert(r.rows == 6 and r.classes == 3 and math.abs(r.classification.accuracy - 5 / 6) < 1e-12)
assert(r.calibration.ece > 0 and r.calibration.ece_null > 0 and #r.calibration.bins == 15 and #r.classification.classes == 3)
assert(r.classification.confusion[1][1] == 2 and r.selective.max_probability.aurc and r.classification.classes[1].name == "cat & <b>")
assert(r.classification.top_k["2"] ~= nil)
L
evaluate --logits logits.npy --labels labels.npy --class-names names.txt --json --report reports/deep >json.txt 2>err
expect "JSON can be parsed, and has the numbers" 0 "" "$program" run parse.lua

# embeddings, a gallery, another model: the numbers, known beforehand
cat >parse-all.lua <<'L'
local r = require "lsengine.c.json".decode(io.open "json.txt":read "a")
local gallery, text = os.getenv "GALLERY" ~= nil, tostring
local want = gallery and 1 / 3 or 1
assert(math.abs(r.retrieval.recall["1"] - want) < 1e-12, "recall@1 " .. text(r.retrieval.recall["1"]))
assert(r.retrieval.queries == 6 and r.retrieval.gallery == (gallery and 3 or 6), "counts")
assert(r.geometry and r.representation == nil or r.representation.geometry.class_separation > 0.5, "geometry")
if gallery then
  local c = r.comparison
  assert(math.abs(c.accuracy.a - 5 / 6) < 1e-12 and math.abs(c.accuracy.b - 5 / 6) < 1e-12 and c.accuracy.difference == 0, "accuracy")
  assert(c.nll.difference < 0 and c.mcnemar.only_a == 0 and c.mcnemar.only_b == 0, "NLL")
  assert(r.classification.classes[3].name == "$HOME @a %d", "names")
end
L
evaluate --embeddings embeddings.npz --labels labels.npy --json >json.txt 2>err
expect "embeddings alone: every nearest neighbour is right" 0 "" "$program" run parse-all.lua
evaluate --logits logits.npy --labels labels.npy --embeddings embeddings.npz --gallery gallery.npz --gallery-labels gallery.npz --compare other.npz:outputs --class-names names.txt --json >json.txt 2>err
evaluate --logits logits.npy --labels labels.npy --embeddings embeddings.npz --gallery gallery.npz --gallery-labels gallery.npz --compare other.npz:outputs --report all >out 2>err
expect "a gallery, another model, names: the numbers" 0 "" env GALLERY=1 "$program" run parse-all.lua
evaluate --logits logits.npy --labels labels.npy --embeddings embeddings.npz --gallery gallery.npz --gallery-labels gallery-labels.npy --compare other.npz:outputs --class-names names.txt --json >again.txt 2>err
if cmp -s json.txt again.txt; then good "labels of the gallery from a file of their own"; else diff json.txt again.txt >"$work/err"; bad "labels of the gallery from a file of their own"; fi
"$program" evaluate --threads 2 --logits logits.npy --labels labels.npy --embeddings embeddings.npz --gallery gallery.npz --gallery-labels gallery-labels.npy --compare other.npz:outputs --class-names names.txt --json >again.txt 2>err
if cmp -s json.txt again.txt; then good "the same numbers with two threads"; else bad "the same numbers with two threads"; fi
expect "the terminal says what was compared" 0 "b: other.npz:outputs, on the same rows" evaluate --logits logits.npy --labels labels.npy --compare other.npz:outputs
expect "and how many rows the gallery has" 0 "6 queries, 3 rows in the gallery" evaluate --embeddings embeddings.npz --labels labels.npy --gallery gallery.npz --gallery-labels gallery.npz
for part in comparison representation retrieval; do
  if grep -q "<section id=\"$part\"" all/report.html; then good "the report has the part $part"; else bad "the report has the part $part"; fi
done
expect "a gallery of other columns" 1 "the embeddings have 2 columns, narrow.npy has 1" evaluate --embeddings embeddings.npz --labels labels.npy --gallery narrow.npy --gallery-labels gallery-labels.npy
expect "a gallery of other rows" 1 "gallery.npz:gallery has 3 rows, labels.npy has 6 labels" evaluate --embeddings embeddings.npz --labels labels.npy --gallery gallery.npz:gallery --gallery-labels labels.npy
expect "a comparison of embeddings" 2 "--compare needs" evaluate --embeddings embeddings.npz --labels labels.npy --compare other.npz

# the report
if command -v gnuplot >/dev/null 2>&1; then figures=1; else figures=0; fi
check() { if grep -q -- "$2" reports/deep/report.html; then good "$1"; else echo "not in it: $2" >"$work/err"; bad "$1"; fi; }
check "the report shows class names as they are" "cat &amp; &lt;b&gt;"
if grep -qE '<script|src=|url\(|@import|href="?http|cat & <b>' reports/deep/report.html; then bad "the report asks for nothing"; else good "the report asks for nothing"; fi
if [ $figures = 1 ]; then check "the report has figures" '<svg class="lsplot"'; else skipped=$((skipped + 1)); fi
mkdir nothing
expect "without gnuplot figures are left out, and it says so" 0 "figures were left out: the program gnuplot was not found" env PATH="$work/nothing" "$program" evaluate --logits logits.npy --labels labels.npy --report plain
if grep -q "Figures were left out" plain/report.html && ! grep -q "<svg" plain/report.html; then good "the report says so, too"; else bad "the report says so, too"; fi
expect "a folder that cannot be made" 1 "the folder of the report cannot be made: /dev/null/x: Not a directory" evaluate --logits logits.npy --labels labels.npy --report /dev/null/x
expect "the reader of the tests can fail" 1 "" sh -c 'echo "{" >json.txt; "$0" run parse.lua' "$program"
finish
