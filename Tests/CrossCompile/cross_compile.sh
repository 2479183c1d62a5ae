#!/usr/bin/env bash
# Builds every form of CInt8.h, runs those that this machine can, and compares what they give with plain C. One line per form;
# what cannot be built or run here is said by name. Fails if a form does not compile or gives other integers.
#
# CLANG names the compiler; an aarch64 emulator (qemu-aarch64 or qemu-aarch64-static) is used if it is in the path.
set -uo pipefail
cd "$(dirname "$0")"
clang=${CLANG:-clang}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0
expected=

has() { [ "$(uname -m)" = x86_64 ] && grep -qw "$1" /proc/cpuinfo; }

# How to run a form: nothing for "as it is", an emulator, or failure.
runner() {
    case $1 in
    plain) [ "$(uname -m)" = x86_64 ] ;;
    avx2) has avx2 ;;
    avx512vnni) has avx512_vnni && has avx512vl ;;
    avxvnni) has avx_vnni ;;
    neon*) [ "$(uname -m)" = aarch64 ] || command -v qemu-aarch64 || command -v qemu-aarch64-static ;;
    esac
}

# form, architecture as `clang -print-targets` names it, target, flags
check() {
    local form=$1 architecture=$2 target=$3 output emulator actual
    shift 3
    if ! "$clang" -print-targets 2>/dev/null | grep -qE "^ +$architecture +-"; then
        echo "$form: cannot be compiled here, $clang has no $architecture"
        return
    fi
    local flags=(--target="$target" -O2 -std=c11 -ffreestanding -fno-stack-protector -Wall -Wextra -Werror
        -Wno-psabi -I../../Sources/CPlatform/include "$@")
    if ! output=$("$clang" "${flags[@]}" -c int8_forms.c -o "$work/$form.o" 2>&1); then
        echo "$form: does not compile: $(grep -m1 error: <<<"$output")"
        status=1
        return
    fi
    if ! "$clang" --target="$target" -fuse-ld=lld -nostdlib -static "$work/$form.o" -o "$work/$form" 2>/dev/null; then
        echo "$form: compiled; cannot be linked here, so not run"
        return
    fi
    if ! emulator=$(runner "$form"); then
        echo "$form: compiled; this machine cannot run it"
        return
    fi
    actual=$(${emulator:+"$emulator"} "$work/$form")
    expected=${expected:-${actual#* }}
    if [ "$actual" = "$form $expected" ]; then
        echo "$form: compiled, run, same integers"
    else
        echo "$form: differs: $actual, expected $form $expected"
        status=1
    fi
}

check plain x86-64 x86_64-linux-gnu -march=x86-64
check avx2 x86-64 x86_64-linux-gnu -march=x86-64-v3
check avx512vnni x86-64 x86_64-linux-gnu -march=x86-64-v4 -mavx512vnni
check avxvnni x86-64 x86_64-linux-gnu -march=x86-64-v3 -mavxvnni
check neon aarch64 aarch64-linux-gnu
check neon-dotprod aarch64 aarch64-linux-gnu -march=armv8.2-a+dotprod
exit "$status"
