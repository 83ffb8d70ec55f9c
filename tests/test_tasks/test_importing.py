"""References to a user's own code: what they find, what they refuse, and what reaches a worker."""

import pickle
import subprocess
import sys

import cloudpickle
import pytest
import torch

from schemas.errors import SpecError
from tasks.model.importing import call, imported

NET = """
import torch
import blocks
from blocks import Block

WIDTH = 3


class Net(torch.nn.Module):
    class Head(torch.nn.Linear):
        pass

    def __init__(self, width, depth=1):
        super().__init__()
        self.layers = torch.nn.Sequential(*[Block(width) for _ in range(depth)])
        self.head = self.Head(width, WIDTH)

    def forward(self, x):
        return blocks.scaled(self.head(self.layers(x)))
"""
BLOCKS = """
import torch


class Block(torch.nn.Linear):
    def __init__(self, width):
        super().__init__(width, width)

    def forward(self, x):
        return super().forward(x).tanh()


def scaled(x):
    return 2 * x
"""


@pytest.fixture
def base(tmp_path):
    (tmp_path / "nets.py").write_text(NET)
    (tmp_path / "blocks.py").write_text(BLOCKS)
    return tmp_path


def elsewhere(value, tmp_path, code):
    """What `code` prints of `value` in a process that cannot import from the user's folder."""
    file = tmp_path / "value.pickle"
    file.write_bytes(cloudpickle.dumps(value))
    program = f"import pickle; v = pickle.load(open({str(file)!r}, 'rb')); {code}"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd="/", check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("reference", ["nets.py:Net", "nets:Net"])
def test_a_model_reaches_a_process_that_does_not_have_its_files(base, tmp_path, reference):
    torch.manual_seed(0)
    model = call(reference, base, "model", {"width": 4, "depth": 2})
    printed = elsewhere(
        model, tmp_path, "import torch; print(float(v(torch.ones(4)).sum().detach()))"
    )
    assert float(printed) == pytest.approx(float(model(torch.ones(4)).sum().detach()), rel=1e-6)
    assert str(base) not in sys.path


def test_without_the_registration_the_other_process_cannot_read_it(base, tmp_path):
    # The negative control: the same class, imported as Python imports it.
    program = (
        f"import sys; sys.path.insert(0, {str(base)!r}); import cloudpickle, nets;"
        f"cloudpickle.dump(nets.Net(4), open({str(tmp_path / 'named')!r}, 'wb'))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    read = f"import pickle; pickle.load(open({str(tmp_path / 'named')!r}, 'rb'))"
    done = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True, cwd="/")
    assert done.returncode != 0
    assert "No module named 'nets'" in done.stderr


def test_modules_that_import_each_other_travel(tmp_path):
    (tmp_path / "odd.py").write_text(
        "import even\nLOCAL = {}\ndef odd(n):\n    return n > 0 and even.even(n - 1)\n"
    )
    (tmp_path / "even.py").write_text(
        "import odd\ndef even(n):\n    return n == 0 or odd.odd(n - 1)\n"
    )
    function = imported("odd:odd", tmp_path, "model")
    assert elsewhere(function, tmp_path, "print(v(7), v(8))") == "True False"
    again = pickle.loads(cloudpickle.dumps(imported("odd:even", tmp_path, "model")))
    assert again.odd.even is again


def test_modules_of_a_package_reach_another_process(tmp_path):
    package = tmp_path / "zoo" / "inner"
    package.mkdir(parents=True)
    (tmp_path / "zoo" / "__init__.py").write_text("SCALE = 5\n")
    (package / "deep.py").write_text("from .. import SCALE\nfrom . import near\n"
                                     "def value():\n    return SCALE * near.TWO\n")  # fmt: skip
    (package / "near.py").write_text("TWO = 2\n")
    function = imported("zoo.inner.deep:value", tmp_path, "model")
    assert elsewhere(function, tmp_path, "print(v())") == "10"


def test_dotted_names_and_installed_modules(base):
    head = imported("nets.py:Net.Head", base, "model")
    assert head.__qualname__ == "Net.Head"
    assert imported("torch.nn:Linear", base, "model") is torch.nn.Linear
    assert "torch.nn" not in cloudpickle.list_registry_pickle_by_value()
    assert head.__module__ in cloudpickle.list_registry_pickle_by_value()


def test_our_own_packages_are_never_pickled_whole(tmp_path):
    (tmp_path / "user.py").write_text("from tasks.objective import Split\n")
    imported("user.py:Split", tmp_path, "model")
    assert not {"tasks", "tasks.objective"} & cloudpickle.list_registry_pickle_by_value()


def test_the_same_file_gives_the_same_class_until_it_changes(base):
    first = imported("nets.py:Net", base, "model")
    block = imported("blocks:Block", base, "model")
    assert imported("nets.py:Net", base, "model") is first
    assert imported("./nets.py:Net", base, "model") is first
    assert type(first(2).layers[0]) is block  # a sibling is one module, too
    (base / "nets.py").write_text(NET.replace("WIDTH = 3", "WIDTH = 7"))
    changed = imported("nets.py:Net", base, "model")
    assert changed is not first
    assert changed(2).head.out_features == 7


def test_a_changed_sibling_is_read_again(base):
    assert imported("nets.py:blocks", base, "model").scaled(1) == 2
    (base / "blocks.py").write_text(BLOCKS.replace("2 * x", "3 * x"))
    assert imported("nets.py:blocks", base, "model").scaled(1) == 3


def test_files_and_siblings_of_one_stem_do_not_collide(tmp_path):
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "model.py").write_text("from part import NAME\n")
        (folder / "part.py").write_text(f"NAME = {name!r}\n")
    for reference in ("model.py:NAME", "model:NAME"):
        for name in ("a", "b", "a"):
            assert imported(reference, tmp_path / name, "model") == name
            assert imported(f"{name}/model.py:NAME", tmp_path, "model") == name


def test_a_nearer_sibling_comes_before_one_beside_the_spec(tmp_path):
    (tmp_path / "inner").mkdir()
    for folder, name in ((tmp_path, "outer"), (tmp_path / "inner", "inner")):
        (folder / "near.py").write_text(f"NAME = {name!r}\n")
        (folder / "reads.py").write_text("from near import NAME\n")
    assert imported("reads.py:NAME", tmp_path, "model") == "outer"
    assert imported("inner/reads.py:NAME", tmp_path, "model") == "inner"
    assert imported("inner.reads:NAME", tmp_path, "model") == "outer"


def test_a_builder_may_import_its_neighbour_when_it_is_called(tmp_path):
    (tmp_path / "lazy.py").write_text("def build():\n    import late\n    return late.value\n")
    (tmp_path / "late.py").write_text("def value():\n    return 11\n")
    value = call("lazy.py:build", tmp_path, "model", {})
    assert elsewhere(value, tmp_path, "print(v())") == "11"


def test_nothing_is_written_beside_the_users_files(base):
    before = sorted(path.name for path in base.iterdir())
    imported("nets.py:Net", base, "model")
    assert sorted(path.name for path in base.iterdir()) == before


BROKEN = {
    "broken.py": "X = 1\nraise KeyError('seven')\n",
    "syntax.py": "def f(:\n",
    "needs.py": "import a_package_that_is_not_there\n",
    "relative.py": "from .nets import Net\n",
    "script.py": "import sys\nsys.exit(2)\n",
    "random.py": "X = 1\n",
    "quiet.py": "raise RuntimeError\n",
}

# reference → what the one line must match
REFUSED = {
    "": r"got ''; expected package\.module:name or path/to/file\.py:name",
    "nets": r"got 'nets'; expected package",
    "nets.Net": r"did you mean 'nets:Net'\?",
    "nets.py": r"such as 'nets\.py:Net'",
    "nets.py:": r"got 'nets\.py:'; expected",
    ":Net": r"got ':Net'; expected",
    "nets.py:Net()": r"expected package",
    "my-nets:Net": r"'my-nets' is no module's name",
    "netz.py:Net": r"no file 'netz\.py' in .*; did you mean 'nets\.py'\?",
    "no/such.py:Net": r"no file 'no/such\.py' in .*nets\.py",
    "./nets:Net": r"no file './nets'.*did you mean 'nets\.py'\?",
    "folder.py:Net": r"folder\.py is a directory; expected a Python file",
    "netz:Net": r"no module 'netz' beside the spec or installed; did you mean 'nets'\?",
    "torch.nnn:Linear": r"no module 'torch\.nnn' in torch; did you mean 'nn'\?",
    "qqqqqqqq:Net": r"no module 'qqqqqqqq'.*; name a file as",
    "nets.py:Nett": r"nets\.py has no 'Nett'; did you mean 'Net'\?",
    "nets:Qqqqqq": r"nets has no 'Qqqqqq'; it defines Net$",
    "nets.py:Net.Haed": r"nets\.py:Net\.Haed has no 'Haed'; did you mean 'Head'\?",
    "broken.py:X": r"importing broken\.py raised KeyError: 'seven' \(broken\.py, line 2\); mend",
    "broken:X": r"importing broken raised KeyError: 'seven' \(broken\.py, line 2\); mend",
    "syntax.py:f": r"raised SyntaxError: .* \(syntax\.py, line 1\)",
    "needs.py:X": r"No module named 'a_package_that_is_not_there'.*; install it, or put it beside",
    "needs:X": r"No module named 'a_package_that_is_not_there'.*; install it, or put it beside",
    "relative.py:Net": r"relative import.*; name it as package\.module:name",
    "script.py:X": r"raised SystemExit: 2 .*__main__",
    "quiet.py:X": r"raised RuntimeError \(quiet\.py, line 1\)",
    "random:X": r"the name 'random' is taken by .*random\.py; .*as random\.py:name",
    "tasks.mine:X": r"the name 'tasks' is taken by .*; .*as tasks/mine\.py:name",
}


@pytest.mark.parametrize("reference", REFUSED)
def test_a_reference_that_names_nothing_is_refused_in_one_line(base, reference):
    for name, text in BROKEN.items():
        (base / name).write_text(text)
    (base / "folder.py").mkdir()
    (base / "tasks").mkdir()
    (base / "tasks" / "mine.py").write_text("X = 1\n")
    with pytest.raises(SpecError, match=REFUSED[reference]) as caught:
        imported(reference, base, "model")
    assert str(caught.value).startswith("model: ")
    assert "\n" not in str(caught.value)
    assert str(base) not in sys.path


def test_the_remedy_for_a_taken_name_works(base):
    (base / "random.py").write_text("X = 5\n")
    assert imported("random.py:X", base, "model") == 5


def test_a_file_that_was_mended_is_imported(base):
    (base / "broken.py").write_text("raise ValueError('a\\nb')\n")
    with pytest.raises(SpecError, match="raised ValueError: a "):
        imported("broken.py:X", base, "model")
    (base / "broken.py").write_text("X = 5\n")
    assert imported("broken.py:X", base, "model") == 5


CALLS = {
    "nets.py:WIDTH": ({}, r"nets\.py:WIDTH is of type int, which cannot be called; name a class"),
    "nets.py:Net": (
        {"widht": 4},
        r"has no argument 'widht'; it takes \(width, depth=1\); did .*'wi",
    ),
    "nets:Net": (
        {},
        r"nets:Net: missing a required argument: 'width'; it takes \(w.*1\)$",
    ),
    "blocks.py:Block": (
        {"width": -4},
        r"Block raised RuntimeError: .* \(blocks\.py, line 7\); mend it or its arguments",
    ),
}


@pytest.mark.parametrize("reference", CALLS)
def test_a_call_that_fails_is_one_line(base, reference):
    arguments, expected = CALLS[reference]
    with pytest.raises(SpecError, match=expected) as caught:
        call(reference, base, "model", arguments)
    assert str(caught.value).startswith("model: ")
    assert "\n" not in str(caught.value)


def test_a_callable_without_a_signature_is_called(base):
    assert call("builtins:dict", base, "model", {"a": 1}) == {"a": 1}
