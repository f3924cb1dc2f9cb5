import pytest

from tests.history import edited, git, knows


@pytest.fixture
def repository(tmp_path):
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    (tmp_path / "records").mkdir()
    commit(tmp_path, "one\ntwo\n")
    return tmp_path


def commit(repository, content, file="a.jsonl"):
    (repository / "records" / file).write_text(content)
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--message=x")
    return git(repository, "rev-parse", "HEAD").strip()


def test_lines_may_be_added(repository):
    first = git(repository, "rev-parse", "HEAD").strip()
    commit(repository, "one\ntwo\nthree\n")
    commit(repository, "new\n", "b.jsonl")
    assert edited(repository, "records", first) == []


@pytest.mark.parametrize("content", ["one\n2\n", "one\n", "", "two\none\n"])
def test_lines_may_not_be_changed(repository, content):
    first = git(repository, "rev-parse", "HEAD").strip()
    changed = commit(repository, content)
    commit(repository, content + "later\n")
    (told,) = edited(repository, "records", first)
    assert changed.startswith(told.split()[0])
    assert told.endswith("records/a.jsonl")


def test_a_line_that_was_changed_and_put_back_was_changed(repository):
    first = git(repository, "rev-parse", "HEAD").strip()
    commit(repository, "one\n2\n")
    commit(repository, "one\ntwo\n")
    assert len(edited(repository, "records", first)) == 2


def test_nor_in_a_branch_that_is_merged(repository):
    first = git(repository, "rev-parse", "HEAD").strip()
    git(repository, "checkout", "--quiet", "-b", "side")
    commit(repository, "1\ntwo\n")
    git(repository, "checkout", "--quiet", "main")
    commit(repository, "main\n", "b.jsonl")
    git(repository, "merge", "--quiet", "--no-edit", "side")
    assert len(edited(repository, "records", first)) == 1


def test_nor_moved_nor_taken_away(repository):
    first = git(repository, "rev-parse", "HEAD").strip()
    git(repository, "mv", "records/a.jsonl", "records/c.jsonl")
    git(repository, "commit", "--quiet", "--message=x")
    assert len(edited(repository, "records", first)) == 1


def test_nor_before_they_are_committed(repository):
    (repository / "records" / "a.jsonl").write_text("one\n")
    assert edited(repository, "records", "HEAD") == [" records/a.jsonl"]


def test_a_history_may_not_reach_far_enough(repository):
    assert knows(repository, "HEAD")
    assert not knows(repository, "0123456789abcdef0123456789abcdef01234567")
