#!/bin/sh
# Training speed and memory beside PyTorch: the same network, in alternation on this machine.
#
#   scripts/compare_training.sh [ROUNDS] [--bf16]
#
# PyTorch is taken from $PYTHON (default python3); without it: pip install torch numpy.
set -eu
cd "$(dirname "$0")/.."
rounds=${1:-5}
[ $# -gt 0 ] && shift
python=${PYTHON:-python3}
"$python" -c 'import torch' 2>/dev/null || {
    echo "$python has no PyTorch. Make one that has: python3 -m venv v && v/bin/pip install torch numpy, then PYTHON=v/bin/python $0" >&2
    exit 2
}
cargo build --quiet --release --features native --example training_speed
ours=${CARGO_TARGET_DIR:-target}/release/examples/training_speed
results=$(mktemp)
trap 'rm -f "$results"' EXIT
round=0
while [ "$round" -lt "$rounds" ]; do
    round=$((round + 1))
    echo "ours $("$ours" "$@")" | tee -a "$results"
    echo "torch $("$python" scripts/training_speed.py "$@")" | tee -a "$results"
done
awk '
    { speed[$1, ++n[$1]] = $2; if ($3 > peak[$1]) peak[$1] = $3 }
    function median(who,   i, j, t, k) {
        k = n[who]
        for (i = 1; i <= k; i++) for (j = i + 1; j <= k; j++)
            if (speed[who, j] < speed[who, i]) { t = speed[who, i]; speed[who, i] = speed[who, j]; speed[who, j] = t }
        return speed[who, int((k + 1) / 2)]
    }
    END {
        a = median("ours"); b = median("torch")
        printf "characters/s: ours %d, PyTorch %d, ratio %.2f\npeak MiB: ours %d, PyTorch %d, ratio %.2f\n", \
            a, b, a / b, peak["ours"], peak["torch"], peak["ours"] / peak["torch"]
    }' "$results"
