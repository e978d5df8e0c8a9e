"""What a hint has to type: the command `rollproof`, for the target of this command line."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from rollproof import home
from rollproof.cli import verify_commands
from rollproof.cli.command_line import COMMANDS
from rollproof.cli.lazy import At
from rollproof.cli.verify_commands import pytest_words
from rollproof.errors import UsageProblem
from tests.conftest import ROOT

_OF_A_COMMAND = re.compile(
    r"\brollback (service|database|full|emergency|resume|status)\b|\binit --\w|\bbundle --\w"
)


@pytest.fixture(autouse=True)
def nobody_named_a_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home, "_named", [])
    monkeypatch.setattr("sys.argv", ["rollproof"])
    # The command of this environment is found, as by a shell in which it is activated.
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    home.started.cache_clear()


def test_a_missing_package_is_installed_as_the_suite_was(monkeypatch: pytest.MonkeyPatch) -> None:
    assert home.install_hint().endswith(
        f"--python={sys.executable} --requirement={home.HOME / 'operators.lock'}"
    )
    monkeypatch.setattr(home, "INSTALLED", True)
    wheel = f"'./rollproof-{home.version()}-py3-none-any.whl[pictures,milvus]'"
    assert home.install_hint().endswith(f": uv tool install --force {wheel}")


TARGETED = ["capture", "rollback emergency COMMIT", "verify phase1 phase2", "report FOLDER"]
# What names a target already, and what takes none.
UNTARGETED = [
    "gate abc --target PROFILE",
    "report one --target=…",
    "verify --help",
    "init --project NAME",
    "verify-bundle x",
]


@pytest.mark.parametrize(
    "line", [["--target=a b.toml"], ["--target", "a b.toml"], ["--target=x", "--target=a b.toml"]]
)
@pytest.mark.parametrize("command", [*TARGETED, *UNTARGETED])
def test_a_hint_names_the_target_of_the_command_line(
    command: str, line: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it the next command has none, or worse, another one: that of the environment."""
    monkeypatch.setenv("ROLLPROOF_TARGET", "other.toml")
    monkeypatch.setattr("sys.argv", ["rollproof", "plan", *line, "--json"])
    plain = f"rollproof {command}"
    named = f"{plain} --target='{Path.cwd()}/a b.toml'" if command in TARGETED else plain
    assert home.typed(command) == named
    monkeypatch.setattr("sys.argv", ["rollproof", "plan", "--json"])
    assert home.typed(command) == plain
    # A worker of pytest has a command line of its own, and is given the profile.
    home.name_target("a b.toml")
    assert home.typed(command) == named
    home.name_target("")
    monkeypatch.setattr("sys.argv", ["pytest", *line])
    assert home.typed(command) == plain


def test_a_command_that_a_shell_does_not_find_is_hinted_by_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    home.started.cache_clear()
    assert home.typed("capture") == f"{Path(sys.executable).with_name('rollproof')} capture"


@pytest.mark.parametrize("line", [[], ["rollproof", "plan", "--target"]])
def test_no_target_is_named_where_there_is_none(line: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", line)
    assert home.typed("capture") == "rollproof capture"


@pytest.mark.parametrize(
    "name", ["two  blanks", "it's", "a\N{NO-BREAK SPACE}b", "caf\udce9", "line\nend", "a\\b", "é$x"]
)
def test_any_path_is_pasted_as_it_is(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages put a text on one line, and one blank for several: another folder may have that name."""
    monkeypatch.setattr("sys.argv", ["rollproof", f"--target={tmp_path}/{name}/x.toml"])
    told = " ".join(home.typed("capture").split())
    assert told.isprintable()
    print_it = f"printf %s {told.partition(' capture ')[2]}"
    shown = subprocess.run(["bash", "-c", print_it], capture_output=True, check=True, timeout=60).stdout
    assert shown == os.fsencode(f"--target={tmp_path}/{name}/x.toml")


@pytest.mark.parametrize("room", ["fixtures", "reports", "rollback_actions"])
def test_no_hint_is_made_before_its_target_is_known(room: str) -> None:
    """Modules are imported before a run of checks, or its worker, knows its profile."""
    found = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path in sorted((ROOT / room).rglob("*.py"))
        for call in _at_import(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not found


def _at_import(node: ast.AST) -> Iterator[ast.Call]:
    """Yield the calls that make a hint when a module is imported."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and _makes_a_hint(node.func.id):
        yield node
    inner: list[ast.AST] = [*ast.iter_child_nodes(node)]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        inner = [*node.args.defaults, *filter(None, node.args.kw_defaults), *node.decorator_list]
    elif isinstance(node, ast.Lambda):
        inner = []
    for one in inner:
        yield from _at_import(one)


def _makes_a_hint(name: str) -> bool:
    return name == "typed" or name.endswith("_hint")


@pytest.mark.parametrize("room", ["checks", "fixtures", "reports", "rollback_actions"])
def test_a_command_ends_its_hint_or_its_clause(room: str) -> None:
    """Prose behind a command would be pasted as its arguments."""
    found = [
        f"{path.relative_to(ROOT)}:{text.lineno}"
        for path in sorted((ROOT / room).rglob("*.py"))
        for text in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(text, ast.JoinedStr)
        for value, behind in pairwise(text.values)
        if isinstance(value, ast.FormattedValue) and [*_at_import(value.value)]
        if isinstance(behind, ast.Constant) and not str(behind.value).startswith((";", " ;", ",", "\n"))
    ]
    assert not found


def test_who_takes_no_target_is_told_none() -> None:
    """The commands that do not have that option are those that a hint leaves it out of."""
    taken = {name: _takes_a_target(name) for name in COMMANDS}
    assert {name for name, takes in taken.items() if not takes} == home._WITHOUT_TARGET


def _takes_a_target(name: str) -> bool:
    at = COMMANDS[name]
    if not isinstance(at, At) or at.verbatim:
        return True
    return any("--target" in one.opts and not getattr(one, "hidden", False) for one in at.load(name).params)


def _texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the texts of a module, with their nodes' ids, but docstrings, which no user reads."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield id(node), node.value


def bare_commands(source: str) -> list[str]:
    """Return the texts of a module that tell a person a command, but not by `typed`: none can be pasted."""
    tree = ast.parse(source)
    by_typed = {
        id(below)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "typed"
        for below in ast.walk(node)
    }
    return [text for node, text in _texts(tree) if node not in by_typed and _OF_A_COMMAND.search(text)]


def test_a_command_in_a_text_is_as_it_is_typed() -> None:
    found = {
        str(path.relative_to(ROOT)): bare_commands(path.read_text(encoding="utf-8"))
        for room in ("checks", "fixtures", "reports", "rollback_actions", "rollproof")
        for path in sorted((ROOT / room).rglob("*.py"))
        # The examples below a command's help are completed there.
        if path.parent.name != "cli"
    }
    assert not {path: texts for path, texts in found.items() if texts}


@pytest.mark.parametrize(
    "source",
    [
        'hint = "resume it (rollback resume)"',
        'hint = f"init --project {project} --file docker-compose.yml"',
        'hint = f"that is of store {store}: rollback database {store}"',
    ],
)
def test_every_bare_command_is_found(source: str) -> None:
    assert bare_commands(source)
    assert not bare_commands(f"hint = typed({source.partition(' = ')[2]})")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("--taget", "--target with a value"),
        ("--incidnet=a", "--incident with a value"),
        ("--no-gat", "--no-gate"),
        ("--target", "--target with a value"),
    ],
)
@pytest.mark.usefixtures("elsewhere")
def test_an_option_of_the_suite_that_is_misspelt_or_has_no_value_is_told(word: str, meant: str) -> None:
    with pytest.raises(UsageProblem) as refused:
        pytest_words(["phase1", word])
    assert (refused.value.expected, refused.value.observed) == (meant, repr(word))


@pytest.mark.usefixtures("elsewhere")
def test_options_of_pytest_are_its_own() -> None:
    words = ["--durations=3", "--trace", "--strict", "--basetemp=x", "--pyargs", "--tb=short"]
    assert pytest_words(["phase1", *words])[-len(words) :] == words


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder without a profile, of somebody who has set nothing."""
    monkeypatch.delenv("ROLLPROOF_TARGET", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("typed", "rest"),
    [
        ([], ["-m", "verification"]),
        (["phase1"], ["-m", "phase1"]),
        (["phase1", "phase2", "-q"], ["-m", "phase1 or phase2", "-q"]),
        (["-m", "severity"], ["-m", "severity"]),
        (["-mseverity"], ["-mseverity"]),
        (["--migration", "HEAD", "-k", "x"], ["-m", "verification", "--migration=HEAD", "-k", "x"]),
        (["phase4", "--target", "a b.toml"], ["-m", "phase4", "--target=a b.toml"]),
        (
            ["--target=a.toml", "--baseline", "b", "-n", "2"],
            ["-m", "verification", "--target=a.toml", "--baseline=b", "-n", "2"],
        ),
    ],
)
def test_verify_is_pytest(typed: list[str], rest: list[str]) -> None:
    ours = [f"--rootdir={ROOT}", f"--config-file={ROOT / 'pyproject.toml'}", "-p", "rollproof.plugin"]
    assert pytest_words(typed) == [*ours, *rest]


def test_a_phase_is_a_phase_though_a_file_has_its_name(elsewhere: Path) -> None:
    (elsewhere / "phase1").mkdir()
    (elsewhere / "test_mine.py").touch()
    assert pytest_words(["phase1", "test_mine.py"])[-3:] == ["-m", "phase1", "test_mine.py"]


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(("word", "near"), [("phas2", "phase2"), ("everything", "phase1")])
def test_a_word_that_is_no_phase_is_told(word: str, near: str) -> None:
    with pytest.raises(
        UsageProblem, match=rf"observed '{word}'[\s\S]*HINT: rollproof verify {near} --target PROFILE"
    ):
        pytest_words([word])


@pytest.mark.usefixtures("elsewhere")
def test_verify_takes_the_place_of_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _, words: started.append(words))
    verify_commands.verify(["phase1"])
    assert started == [[sys.executable, "-P", "-m", "rollproof.verification", *pytest_words(["phase1"])]]
