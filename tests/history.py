"""Were committed lines ever changed? Asked of git, commit by commit."""

import subprocess

# A commit of a test's is signed by nobody, and no hook of the user's looks at it.
OWN = ("commit.gpgsign=false", "core.hooksPath=/dev/null", "user.name=x", "user.email=x@example.org")


def git(repository, *words):
    settings = [word for setting in OWN for word in ("-c", setting)]
    command = ["git", *settings, *words]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True, timeout=60).stdout


def knows(repository, commit):
    """Whether the history reaches back to a commit: that of a shallow clone may not."""
    command = ["git", "merge-base", "--is-ancestor", commit, "HEAD"]
    return not subprocess.run(command, cwd=repository, capture_output=True, check=False, timeout=60).returncode


def edited(repository, folder, since):
    """Where a line of `folder` was changed or taken away after the commit `since`: "<commit> <file>", "" for now."""
    log = git(
        repository, "log", f"{since}..HEAD", "-m", "--first-parent", "--no-renames", "--numstat", "--format=@%h",
        "--", folder,
    )  # fmt: skip
    found, commit = [], ""
    for line in [*log.splitlines(), "@", *git(repository, "diff", "HEAD", "--numstat", "--", folder).splitlines()]:
        if line.startswith("@"):
            commit = line[1:]
        elif line:
            _, deleted, path = line.split("\t")
            found += [f"{commit} {path}"] * (deleted != "0")
    return found
