#!/bin/sh
# Builds the fuzz target of module DBN with libFuzzer and AddressSanitizer and runs it.
#   run.sh [SECONDS]      default 20
# New inputs are kept in the build folder; a failing input is written to failures/ and belongs into a unit test.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
build="$root/.build/fuzz/DBN"
mkdir -p "$build/corpus" "$here/failures"
flags="-O -parse-as-library -package-name martlet -swift-version 6 -enable-upcoming-feature ExistentialAny
    -enable-upcoming-feature InternalImportsByDefault -enable-upcoming-feature MemberImportVisibility
    -enable-experimental-feature Lifetimes -sanitize=fuzzer,address -Xcc -fmodule-map-file=$root/Sources/CZstd/module.modulemap
    -I $build"
cd "$build"
# shellcheck disable=SC2086 # The flags are many words.
swiftc $flags -module-name MarketData -emit-module -emit-object -wmo "$root"/Sources/MarketData/*.swift \
    -o MarketData.o -emit-module-path MarketData.swiftmodule
# shellcheck disable=SC2086
swiftc $flags -module-name DBN -emit-module -emit-object -wmo "$root"/Sources/DBN/*.swift \
    -o DBN.o -emit-module-path DBN.swiftmodule
# shellcheck disable=SC2086
swiftc $flags -module-name FuzzDBN "$here/FuzzDBN.swift" DBN.o MarketData.o -lzstd -o fuzz
# The Swift runtime's own backtraces take minutes under AddressSanitizer and would hang a failing run.
SWIFT_BACKTRACE=enable=no ASAN_OPTIONS=symbolize=0 \
    exec ./fuzz -max_total_time="${1:-20}" -max_len=4096 -rss_limit_mb=1024 -timeout=10 -print_final_stats=1 \
    -artifact_prefix="$here/failures/" "$build/corpus" "$here/corpus"
