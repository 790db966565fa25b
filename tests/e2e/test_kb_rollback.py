"""`helpdesk kb rollback` in a folder: documents are what they were, the bucket's way round, and what cannot be done is said."""

import json

import pytest

from harness import ticket


def kb(stack, *args, code=0):
    done = stack.run("kb", *args)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def revision(stack):
    return json.loads(kb(stack, "status", "--json").stdout)[0]["revision"]


@pytest.fixture
def page(embedded):
    path = embedded.kb / "rollback-by-test.md"
    yield path
    path.unlink(missing_ok=True)
    embedded.sync()


def test_a_document_and_the_base_go_back(embedded, page):
    asked = ticket(subject="Quagga mode", description="How do I switch quagga mode on?")
    page.write_text("# Quagga mode\n\nQuagga mode is switched on with the bassoon.\n")
    embedded.sync()
    then = revision(embedded)
    page.write_text("# Quagga mode\n\nQuagga mode is switched on with the trombone.\n")
    other = embedded.kb / "another-by-test.md"
    other.write_text("# Another\n\nNot there before.\n")
    embedded.sync()
    assert "trombone" in json.dumps(embedded.ask(asked))

    planned = kb(embedded, "rollback", "--all", "--to", str(then), "--dry-run").stdout
    assert "would be: 1 written, 0 restored, 1 removed, 0 left" in planned and page.name in planned
    assert "say --yes" in kb(embedded, "rollback", "--all", "--to", str(then), code=2).stderr
    assert "trombone" in page.read_text() and other.exists()

    assert "1 written, 0 restored, 0 removed" in kb(embedded, "rollback", page.name, "--to", str(then)).stdout
    assert "bassoon" in page.read_text() and other.exists()
    draft = json.dumps(embedded.ask(asked))
    assert "bassoon" in draft and "trombone" not in draft
    between = revision(embedded)
    report = json.loads(kb(embedded, "rollback", "--all", "--to", str(then), "--yes", "--json").stdout)
    assert [(step["action"], step["key"], step["done"]) for step in report["documents"]] == [("remove", other.name, True)]
    assert not other.exists() and report["revision"] == report["revision_before"] + 1 == between + 1
    assert "0 written, 0 restored, 0 removed" in kb(embedded, "rollback", "--all", "--to", str(then), "--yes").stdout

    assert "0 written, 1 restored, 0 removed" in kb(embedded, "rollback", other.name, "--to", str(between)).stdout
    assert other.read_text() == "# Another\n\nNot there before.\n"
    assert [change["kind"] for change in json.loads(kb(embedded, "history", other.name, "--json").stdout)] == ["put", "removed", "put"]
    other.unlink()


def test_settings_that_are_not_those_of_the_base_change_nothing(embedded, page, tmp_path):
    page.write_text("# Old\n\nThe text before.\n")
    embedded.sync()
    then = revision(embedded)
    page.write_text("# New\n\nThe text behind.\n")
    embedded.sync()
    before = revision(embedded), embedded.sql("SELECT object_key, uri, revision FROM kb_documents ORDER BY 1")
    (tmp_path / "other.md").write_text("# Another folder\n\nNothing of the base.\n")
    for settings in ({"HELPDESK_KB_SOURCE": str(tmp_path)}, {"HELPDESK_KB_SOURCE": str(embedded.kb), "HELPDESK_KB_PUBLIC_URL": "https://elsewhere/"}):
        for what in (["--all", "--dry-run"], ["--all"], ["--all", "--yes"], [page.name], [page.name, "--dry-run"]):
            done = embedded.run("kb", "rollback", *what, "--to", str(then), env=settings)
            assert done.returncode == 1 and "take the settings of kb-sync" in done.stderr, (what, done)
    assert "would be: 1 written" in kb(embedded, "rollback", "--all", "--to", str(then), "--dry-run").stdout
    assert (revision(embedded), embedded.sql("SELECT object_key, uri, revision FROM kb_documents ORDER BY 1")) == before
    assert "say --yes" in kb(embedded, "rollback", page.name, "--to", "0", code=2).stderr and page.exists()
    assert "removed" in kb(embedded, "rollback", page.name, "--to", "0", "--yes").stdout and not page.exists()


def test_what_cannot_be_done_changes_nothing(embedded, page):
    page.write_text("# Old\n\nThe text before.\n")
    embedded.sync()
    then = revision(embedded)
    page.write_text("# New\n\nThe text behind.\n")
    embedded.sync()
    embedded.sql("UPDATE kb_history SET content = NULL WHERE object_key = %s AND revision <= %s", page.name, then)
    for what in ([page.name], ["--all", "--yes"]):
        said = kb(embedded, "rollback", *what, "--to", str(then), code=1).stderr
        assert f"{page.name}: what it was at revision {then} is not kept" in said and "kb.history-for" in said, said
    assert "behind" in page.read_text()
    for args, said in [(["x.md", "--to", str(then)], "knows no document"), (["x.md", "--to", "99999999"], "not yet at"),
                       (["x.md", "--to", str(then), "--source", "nobody"], "no source"), (["x.md", "--to", str(then), "--tenant", "nobody"], "no source")]:
        assert said in kb(embedded, "rollback", *args, code=1).stderr
    for args in (["--to", "1"], ["x.md"], ["x.md", "--all", "--to", "1"], ["x.md", "--to", "one"], ["x.md", "y.md", "--to", "1"]):
        assert kb(embedded, "rollback", *args, code=2).stderr
    assert "for rollback" in kb(embedded, "status", "--all", code=2).stderr
