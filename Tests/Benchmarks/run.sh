#!/usr/bin/env bash
# All measurements, one after the other: `make bench` at full size, `make bench-smoke` so small that it takes seconds and
# shows only that they still run.
#
#     run.sh full|smoke PYTHON FEED MODEL
#
# With MARTLET_FEEDS, a folder of recorded days, the full size takes these as well.
set -euo pipefail
cd "$(dirname "$0")/../.."
size=$1 python=$2 feed=$3 model=$4
bin=.build/release/martlet
export PYTHONPATH=python

heading() { printf '\n== %s\n' "$1"; }

# Prints the days to measure: the repository's feed, and what can be converted.
days() {
    echo "$feed"
    [ "$size" = full ] && [ -n "${MARTLET_FEEDS:-}" ] || return 0
    local goog=$MARTLET_FEEDS/lobster/LOBSTER_SampleFile_GOOG_2012-06-21_10.zip
    local bitcoin=$MARTLET_FEEDS/binance/usdm_btcusdt_20240808.gz
    if [ -f "$goog" ]; then
        [ -f .build/goog.dbn.zst ] || $bin convert --from lobster "$goog" --out .build/goog.dbn.zst >&2
        echo .build/goog.dbn.zst
    fi
    if [ -f "$bitcoin" ]; then
        [ -f .build/btcusdt.dbn.zst ] || $bin convert --from binance "$bitcoin" --out .build/btcusdt.dbn.zst >&2
        echo .build/btcusdt.dbn.zst
    fi
}

if [ "$size" = smoke ]; then
    passes=2 decodes=3 tcp="--rounds 1 --ticks 2000" latency="--rounds 1 --ticks 2000" peer="--rounds 1 --ticks 1000"
    ring="--runs 3 --microseconds 200 --items 80" allocations=4000
else
    passes=21 decodes=101 tcp="--rounds 11" latency="--rounds 9 --ticks 20000" peer="--rounds 5" ring="--runs 101" allocations=200000
fi

while read -r day; do
    heading "decoding the ten-level books: $day"
    .build/release/DBNBench --passes $decodes "$day"
    heading "rate from memory: $day"
    $bin bench score "$day" --model "$model" --passes $passes
    heading "CPU and throughput over TCP: $day"
    $bin bench tcp "$day" --model "$model" --records-per-packet 1,50 $tcp
    heading "latency at a fixed rate: $day"
    # As an operator who minds latency runs it, with a core for its thread, and as it comes.
    [ "$(nproc)" -lt 2 ] ||
        $bin bench latency "$day" --model "$model" --rate 10000 --idle spin --own-core $(($(nproc) - 1)) $latency
    $bin bench latency "$day" --model "$model" --rate 10000 --idle backoff $latency
    heading "beside a program in Python: $day"
    $bin bench peer "$day" --model "$model" --python "$python" --records-per-packet 1,50 $peer
done < <(days)

heading "allocations of the whole process, libzmq included"
"$python" Tests/Benchmarks/allocations.py $bin "$model" $allocations

heading "features"
.build/release/FeatureBench
heading "models"
if [ "$size" = smoke ]; then
    "$python" -m martlet.bench_models --out .build/smoke-models --only a_mlp
    for file in .build/smoke-models/*.onnx; do $bin model bench "$file" --steps 500; done
else
    "$python" -m martlet.bench_models --out .build/peer-models
    for file in .build/peer-models/*.onnx; do $bin model bench "$file"; done
fi
heading "rings beside others"
[ .build/ring-peers -nt Tests/Benchmarks/RingPeers/ring_peers.cpp ] ||
    g++ -std=c++20 -O3 -march=x86-64-v3 -pthread Tests/Benchmarks/RingPeers/ring_peers.cpp -o .build/ring-peers
# A busy machine may leave no run undisturbed: that is said with a code of its own, and is no fault of the program.
status=0
"$python" Tests/Benchmarks/RingPeers/compare.py .build/release/ring-bench .build/ring-peers $ring || status=$?
case $status in
0) ;;
75) echo "rings: no figures" ;;
*) exit $status ;;
esac
