"""The package as a whole: its README, the program, and the types."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import distilbert_engine

HERE = Path(__file__).parent


def python(*arguments, **options):
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


def test_first_example_of_the_readme_runs(tmp_path):
    readme = (HERE.parent / "README.md").read_text("utf-8")
    code, printed = re.search(r"```python\n(.*?)```\n+```text\n(.*?)```", readme, re.S).groups()
    found = python("-c", code, cwd=tmp_path)
    assert (found.stdout, found.returncode) == (printed, 0), found.stderr


def test_notebook_shows_its_results():
    notebook = json.loads((HERE.parent / "examples/explain.ipynb").read_text("utf-8"))
    names, shown = {}, []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            *statements, last = ast.parse("".join(cell["source"])).body
            exec(compile(ast.Module(statements, []), "explain.ipynb", "exec"), names)
            shown.append(eval(compile(ast.Expression(last.value), "explain.ipynb", "eval"), names))
    prediction, explanation, evaluation = shown
    assert prediction.label == "happiness"
    assert "<img" in explanation._repr_html_()
    assert "<iframe" in evaluation._repr_html_()


def test_module_is_the_program(tmp_path):
    found = python("-m", "distilbert_engine", "classify", "--json", "We won!", cwd=tmp_path)
    assert '"label":"happiness"' in found.stdout.replace(" ", ""), found.stderr
    found = python("-m", "distilbert_engine", "classify", "--precision", "f8", "text")
    assert found.returncode == 2
    assert "possible values" in found.stderr
    found = python("-m", "distilbert_engine", "classify", "--model", "/no/such", "text", cwd=tmp_path)
    assert found.returncode == 2


def test_public_names_have_docstrings():
    for name in distilbert_engine.__all__:
        value = getattr(distilbert_engine, name)
        if name not in ("__version__", "BUNDLED_MODEL"):
            assert value.__doc__, name


def test_types(tmp_path):
    pytest.importorskip("mypy")
    settings = HERE.parent / "pyproject.toml"
    cache = ("--cache-dir", tmp_path / "cache")
    found = python("-m", "mypy", "--config-file", settings, *cache, "-p", "distilbert_engine", cwd=tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr


def test_stubs_agree_with_the_module(tmp_path):
    pytest.importorskip("mypy")
    settings = HERE.parent / "pyproject.toml"
    found = python("-m", "mypy.stubtest", "distilbert_engine", "--mypy-config-file", settings, cwd=tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr
