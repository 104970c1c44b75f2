"""Holds the examples in docs/ci against the schemas of GitHub's and GitLab's files, which check-jsonschema carries."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "ci"


def check(arguments, files):
    command = [sys.executable, "-m", "check_jsonschema", *arguments, *map(str, files)]
    return subprocess.run(command, check=False).returncode == 0


def main():
    github = sorted((EXAMPLES / "github").glob("*.yml"))
    gitlab = sorted((EXAMPLES / "gitlab").glob(".*.yml"))
    if len(github) < 2 or not gitlab:
        sys.exit("examples are missing in docs/ci")
    good = check(["--builtin-schema", "vendor.github-workflows"], github)
    good &= check(["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"], gitlab)
    # A schema that lets everything through would be no check.
    broken = EXAMPLES.parent / "ci.md"
    if check(["--builtin-schema", "vendor.github-workflows", "--force-filetype", "yaml"], [broken]):
        sys.exit("the schema takes what is no workflow")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
