import sys

import pytest

from rlgen.core.trust import Untrusted, check


def test_a_module_is_named_with_its_file_and_not_imported(tmp_path, monkeypatch):
    (tmp_path / "hostile_module.py").write_text("raise SystemExit('imported')")
    (tmp_path / "hostile_package").mkdir()
    (tmp_path / "hostile_package" / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    for module, file in (("hostile_module", "hostile_module.py"), ("hostile_package.part", "__init__.py")):
        with pytest.raises(Untrusted, match=rf"run-1 would import .*'{module}' from .*{file}, .*--trust"):
            check("run-1", module)
        assert module not in sys.modules


@pytest.mark.parametrize("module", ["no_such_module", "json.no_such_part", "", "..", "a b", "no\0", "x" * 10_000])
def test_a_module_that_cannot_be_found_is_refused_all_the_same(module):
    with pytest.raises(Untrusted, match="would import"):
        check("run-1", module)


@pytest.mark.parametrize("module", [None, "json"])
def test_what_is_imported_already_needs_no_permission(module):
    check("run-1", module)
