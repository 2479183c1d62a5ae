#!/bin/sh
# Builds the fuzzer of wire messages, with MarketData and Wire instrumented as well, and runs it.
# Usage: Tests/Fuzz/Wire/run.sh [SECONDS], 20 by default. Inputs that crash stay in Tests/Fuzz/Wire/failures/.
set -eu
cd "$(dirname "$0")/../../.."
seconds=${1:-20}
out=.build/fuzz-wire
here=Tests/Fuzz/Wire
mkdir -p "$out/corpus" "$here/failures"
flags="-O -swift-version 6 -sanitize=fuzzer,address -parse-as-library -enable-experimental-feature Lifetimes
    -enable-upcoming-feature ExistentialAny -enable-upcoming-feature InternalImportsByDefault
    -enable-upcoming-feature MemberImportVisibility -package-name martlet -I $out -I Sources/CCrypto"
module() {
    # shellcheck disable=SC2086 # The flags are words.
    swiftc $flags -wmo -module-name "$1" -emit-module -emit-module-path "$out/$1.swiftmodule" \
        -c "Sources/$1"/*.swift -o "$out/$1.o"
}
module MarketData
module Wire
# shellcheck disable=SC2086
swiftc $flags "$here/FuzzWire.swift" "$out/MarketData.o" "$out/Wire.o" -lcrypto -o "$out/fuzz"
# The golden messages are the seeds.
sed -n 's/^ "\([a-z_]*\)": "\([0-9a-f]*\)",*$/\1 \2/p' Tests/WireTests/Golden/wire.json | while read -r name hex; do
    printf '%s' "$hex" | xxd -r -p > "$out/corpus/$name"
done
# One run with leak detection costs more than it finds: nothing here allocates for long.
"$out/fuzz" -max_total_time="$seconds" -max_len=2048 -detect_leaks=0 -print_final_stats=1 \
    -artifact_prefix="$here/failures/" "$out/corpus"
