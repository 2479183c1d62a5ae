#!/bin/sh
# Builds the fuzz target of modules ONNX and Inference with libFuzzer and AddressSanitizer and runs it.
#   run.sh [SECONDS]      default 20
# The seeds are the golden models and, where MARTLET_ONNX_SUITE names them, ONNX's own test cases. New inputs are kept in
# the build folder; a failing input is written to failures/ and belongs into a unit test.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
build="$root/.build/fuzz/ONNX"
protobuf="$root/.build/checkouts/swift-protobuf"
mkdir -p "$build/corpus" "$build/seeds" "$here/failures"
[ -d "$protobuf" ] || swift package --package-path "$root" resolve
cat > "$build/module.modulemap" <<MAP
module CPlatform { umbrella header "$root/Sources/CPlatform/include/CPlatform.h" export * }
MAP
level=
[ "$(uname -m)" != x86_64 ] || level="-march=x86-64-v3"
flags="-O -wmo -parse-as-library -package-name martlet -swift-version 6 -enable-upcoming-feature ExistentialAny
    -enable-upcoming-feature InternalImportsByDefault -enable-upcoming-feature MemberImportVisibility
    -enable-experimental-feature Lifetimes -Xcc -fmodule-map-file=$build/module.modulemap -I $build"
cd "$build"
module() {
    name=$1 && shift
    # shellcheck disable=SC2086 # The flags are many words.
    swiftc $flags "$@" -module-name "$name" -emit-module -emit-module-path "$name.swiftmodule" -emit-object -o "$name.o"
}
# The library is not what is tested, and building it takes a minute: once is enough.
if [ ! SwiftProtobuf.o -nt "$protobuf/Package.swift" ]; then
    swiftc -O -wmo -parse-as-library -swift-version 6 -enable-upcoming-feature ExistentialAny -suppress-warnings \
        -package-name swift_protobuf \
        -module-name SwiftProtobuf -emit-module -emit-module-path SwiftProtobuf.swiftmodule \
        -emit-object -o SwiftProtobuf.o "$protobuf"/Sources/SwiftProtobuf/*.swift
fi
# shellcheck disable=SC2086 # No level is no word.
clang -O1 -fsanitize=address $level -I "$root/Sources/CPlatform/include" -c "$root/Sources/CPlatform/CPlatform.c" -o CPlatform.o
module ONNX -sanitize=fuzzer,address "$root"/Sources/ONNX/*.swift "$root"/Sources/ONNX/Protobuf/*.swift
module Inference -sanitize=fuzzer,address ${level:+-Xcc "$level"} "$root"/Sources/Inference/*.swift
# shellcheck disable=SC2086
swiftc $flags ${level:+-Xcc "$level"} -sanitize=fuzzer,address -module-name FuzzONNX "$here"/*.swift \
    Inference.o ONNX.o SwiftProtobuf.o CPlatform.o -o fuzz
cp "$root"/Tests/InferenceTests/Golden/*.onnx "$build/seeds/"
if [ -n "${MARTLET_ONNX_SUITE:-}" ]; then
    find "$MARTLET_ONNX_SUITE/node" -name model.onnx -size -17 | while read -r file; do
        cp "$file" "$build/seeds/$(basename "$(dirname "$file")").onnx"
    done
fi
# The Swift runtime's own backtraces take minutes under AddressSanitizer and would hang a failing run.
SWIFT_BACKTRACE=enable=no ASAN_OPTIONS=symbolize=0 \
    exec ./fuzz -max_total_time="${1:-20}" -max_len=32768 -rss_limit_mb=2048 -malloc_limit_mb=1024 -timeout=20 \
    -detect_leaks=0 -print_final_stats=1 -artifact_prefix="$here/failures/" "$build/corpus" "$build/seeds"
