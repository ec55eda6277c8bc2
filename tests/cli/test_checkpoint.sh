#!/bin/sh
# Trainings that are killed, interrupted, or have no room for their checkpoints. SPDX-License-Identifier: MIT
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1

# Dropout, mixing, augmentation, an average, early stopping that looks on; a checkpoint after every second step.
cat >train.lua <<'L'
local ls = require "lsengine"
local o = ls.options{ file = "run.ckpt.npz", epochs = 12, wait = 0.0 }
local rng = ls.rng(42)
local data = ls.data.load "digits":split{ validation = 200 }
local model = ls.nn.mlp({ 64, 64, 10 }, { rng = rng, dropout = 0.2 })
local clock = require "lsengine.c.system".clock
local history = ls.train(model, data.train, {
  epochs = o.epochs, batch = 50, rng = rng, optimizer = ls.optim.adamw{ lr = 3e-3 }, schedule = ls.optim.cosine{ warmup = 1 },
  mix = ls.mix.either{ ls.mix.mixup{ alpha = 0.4, probability = 0.8 }, ls.mix.cutmix{ alpha = 1, mode = "row" } }, allow = { "stacked-softening" },
  target = ls.target.uniform(0.1), augment = { ls.augment.shift{ pixels = 1 }, ls.augment.erase{ probability = 0.3 } },
  average = { decay = 0.95 }, validation = data.validation, early_stopping = { metric = "nll", patience = 50 },
  checkpoint = o.file ~= "" and { file = o.file, every_steps = 2 } or nil,
  on_batch = o.wait > 0 and function()
    local till = clock() + o.wait
    while clock() < till do end
  end or nil,
})
local numbers = {}
for i, entry in ipairs(history) do numbers[i] = ("%a %a"):format(entry.loss, entry.nll) end
print("hash " .. model:hash() .. " " .. rng:raw() .. " " .. require "lsengine.c.nn".hash_text(table.concat(numbers, " ")))
L
run() { "$program" run --quiet train.lua "$@"; }

started=$(date +%s%N)
run --set file= >plain.txt 2>err || bad "the training that is left alone"
ended=$(date +%s%N)
run >with.txt 2>err
if cmp -s plain.txt with.txt && grep -q hash plain.txt; then good "checkpoints change nothing"; else bad "checkpoints change nothing"; fi
run >again.txt 2>err
if cmp -s plain.txt again.txt; then good "a finished training is not done again"; else bad "a finished training is not done again"; fi

# A reproducible sequence of moments: kill -9 between the start and a little past the end of a whole run.
whole=$(( (ended - started) / 1000000 + 20 ))
seed=12345
draw() { seed=$(( (seed * 1103515245 + 12345) % 2147483648 )); moment=$(( seed / 65536 % $1 )); }

killed=0
wrong=0
continued=0
i=0
while [ $i -lt 50 ]; do
  i=$((i + 1))
  rm -f run.ckpt.npz
  for round in 1 2; do # every fifth training is killed again as it goes on
    if [ $round -eq 2 ] && [ $((i % 5)) -ne 0 ]; then continue; fi
    draw "$whole"
    "$program" run --quiet train.lua >killed.txt 2>err & # itself, not a shell around it
    pid=$!
    sleep "$(printf '%d.%03d' $((moment / 1000)) $((moment % 1000)))"
    kill -9 $pid 2>/dev/null && killed=$((killed + 1))
    wait $pid 2>/dev/null
  done
  if [ -e run.ckpt.npz ]; then continued=$((continued + 1)); fi
  if ! run >after.txt 2>err || ! cmp -s plain.txt after.txt; then
    wrong=$((wrong + 1))
    cat err after.txt
  fi
  if [ -e run.ckpt.npz.part ]; then wrong=$((wrong + 1)) && echo "run.ckpt.npz.part is left"; fi
done
echo "$killed kills in 50 trainings, $continued of which had a checkpoint to go on from"
if [ $wrong -eq 0 ]; then good "killed trainings go on to the same bits"; else bad "killed trainings go on to the same bits: $wrong do not"; fi
if [ $continued -ge 25 ]; then good "many had a checkpoint"; else bad "many had a checkpoint: $continued"; fi

# Ctrl-C
rm -f run.ckpt.npz
"$program" run --quiet train.lua --set wait=0.01 >out 2>err &
pid=$!
n=0
while [ ! -e run.ckpt.npz ] && [ $n -lt 200 ]; do sleep 0.05; n=$((n + 1)); done
sleep 0.5
kill -INT $pid
wait $pid
status=$?
if [ $status -eq 130 ] && [ -e run.ckpt.npz ]; then good "Ctrl-C ends with 130"; else bad "Ctrl-C ends with $status"; fi
run >after.txt 2>err
if cmp -s plain.txt after.txt; then good "an interrupted training goes on to the same bits"; else bad "an interrupted training goes on to the same bits"; fi

# a training that is half way, whose checkpoint must survive whatever follows
cat >half.lua <<'L'
local text = io.open("train.lua"):read "a"
text = text:gsub("on_batch = .- or nil,\n", "on_batch = function(step) if step == 61 then error 'half way' end end,\n", 1)
io.open("broken.lua", "w"):write(text)
L
"$program" run half.lua
rm -f run.ckpt.npz
expect "a training breaks off half way" 1 "half way" "$program" run --quiet broken.lua
cp run.ckpt.npz half.npz
survives() {
  if cmp -s run.ckpt.npz half.npz; then good "$1: the older checkpoint is whole"; else bad "$1: the older checkpoint is whole"; fi
  if [ -e run.ckpt.npz.part ]; then bad "$1: nothing half written is left"; else good "$1: nothing half written is left"; fi
}
limited() { (ulimit -f 8 && run); }
expect "a limit on files' sizes" 1 "train.lua:7: train: run.ckpt.npz cannot be written: File too large" limited
survives "a limit on files' sizes"

mkdir small
if mount -t tmpfs -o size=400k tmpfs small 2>/dev/null; then
  cp half.npz small/run.ckpt.npz
  dd if=/dev/zero of=small/filler bs=1k count=300 2>/dev/null
  expect "a disk that is full" 1 "train: small/run.ckpt.npz cannot be written: No space left on device" run --set file=small/run.ckpt.npz
  if cmp -s small/run.ckpt.npz half.npz; then good "a full disk: the older checkpoint is whole"; else bad "a full disk: the older checkpoint is whole"; fi
  if [ -e small/run.ckpt.npz.part ]; then bad "a full disk: nothing half written is left"; else good "a full disk: nothing half written is left"; fi
  rm small/filler
  mount -o remount,ro small
  expect "a folder that is read only" 1 "train: small/run.ckpt.npz cannot be written: Read-only file system" run --set file=small/run.ckpt.npz
  expect "a new file in a folder that is read only" 1 "train: small/new.npz cannot be written: Read-only file system" run --set file=small/new.npz
  if cmp -s small/run.ckpt.npz half.npz; then good "read only: the older checkpoint is whole"; else bad "read only: the older checkpoint is whole"; fi
  mount -o remount,rw small
  run --set file=small/run.ckpt.npz >after.txt 2>err
  if cmp -s plain.txt after.txt; then good "with room again it goes on to the same bits"; else bad "with room again it goes on to the same bits"; fi
  umount small
else
  mkdir closed
  cp half.npz closed/run.ckpt.npz
  chmod 555 closed
  if [ "$(id -u)" -ne 0 ]; then
    expect "a folder that is read only" 1 "train: closed/run.ckpt.npz cannot be written: Permission denied" run --set file=closed/run.ckpt.npz
    if cmp -s closed/run.ckpt.npz half.npz; then good "read only: the older checkpoint is whole"; else bad "read only: the older checkpoint is whole"; fi
  fi
  chmod 755 closed
fi
expect "a folder that is a file" 1 "train: half.npz/run.ckpt.npz cannot be written: Not a directory" run --set file=half.npz/run.ckpt.npz

# another training, damage
expect "a file of another training" 1 "train: run.ckpt.npz belongs to another training: epochs is 12 there and 13 here" run --set epochs=13
survives "another training"
head -c 5000 half.npz >run.ckpt.npz
expect "a file that is cut short" 1 "train: run.ckpt.npz is not an NPZ archive" run
cp half.npz run.ckpt.npz

# two trainings with one file: the lock of the other one's part
if command -v flock >/dev/null; then
  : >run.ckpt.npz.part
  flock run.ckpt.npz.part sleep 3 &
  pid=$!
  sleep 0.3
  expect "another process writes the file" 1 "another process writes it: two trainings must not have one checkpoint" run
  kill $pid 2>/dev/null
  wait $pid 2>/dev/null
  rm -f run.ckpt.npz.part
fi
run >after.txt 2>err
if cmp -s plain.txt after.txt; then good "after all that it goes on to the same bits"; else bad "after all that it goes on to the same bits"; fi
finish
