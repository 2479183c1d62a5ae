"""The 8-bit products' C header, built for every processor that it knows: by the script, which says what cannot be built here."""

import os
import pathlib
import platform
import shutil
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "Tests/CrossCompile/cross_compile.sh"
FORMS = ["plain", "avx2", "avx512vnni", "avxvnni", "neon", "neon-dotprod"]


def run(**environment):
    return subprocess.run([SCRIPT], env=os.environ | environment, capture_output=True, text=True, check=False)


@pytest.mark.skipif(shutil.which("clang") is None, reason="no clang in the path")
def test_every_form_compiles_and_gives_the_same_integers():
    result = run()
    print(result.stdout)
    assert result.returncode == 0, result.stdout + result.stderr
    lines = dict(line.split(": ", 1) for line in result.stdout.splitlines())
    assert list(lines) == FORMS
    if platform.machine() == "x86_64":
        assert lines["plain"] == lines["avx2"] == "compiled, run, same integers"


def test_a_compiler_without_a_target_is_said_by_name():
    result = run(CLANG="/nonexistent/clang")
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == FORMS
    assert all("cannot be compiled here" in line for line in result.stdout.splitlines())
