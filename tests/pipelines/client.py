"""The recipe of docs/python.md, tried for real: a typed client is generated from docs/openapi-admin.json, and drives a
running gateway: what is, a canary, a promotion, what was, and a mistake."""

import importlib
import pathlib
import shutil
import subprocess
import sys
import tempfile

from gateway import Gateway

ROOT = pathlib.Path(__file__).resolve().parents[2]


def generate(folder):
    """As docs/python.md says."""
    tool = shutil.which("openapi-python-client", path=str(pathlib.Path(sys.executable).parent))
    command = [tool, "generate", "--path", str(ROOT / "docs" / "openapi-admin.json"), "--meta", "none"]
    # Without formatters, which need not be there.
    (folder / "generator.yml").write_text("post_hooks: []\n")
    command += ["--config", str(folder / "generator.yml")]
    command += ["--output-path", str(folder / "switchrail_admin"), "--fail-on-warning"]
    if subprocess.run(command, check=False).returncode != 0:
        raise SystemExit("the generator does not take the document as it is")
    sys.path.insert(0, str(folder))


def drive(address):
    client_of = importlib.import_module("switchrail_admin").Client
    models = importlib.import_module("switchrail_admin.models")

    def call(tag, name, *arguments, **named):
        return importlib.import_module(f"switchrail_admin.api.{tag}.{name}").sync(*arguments, client=client, **named)

    client = client_of(base_url=f"http://{address}", raise_on_unexpected_status=True)
    with client:
        assert call("state", "get_health").status == "ok"
        status = call("state", "get_status")
        assert isinstance(status, models.Status) and status.started, status
        (model,) = status.models
        assert (model.name, model.stable) == ("m", 2), model
        assert [version.state for version in model.versions] == ["ready", "ready"], model
        body = models.CanaryBody(version=1, share=0.25, reason="from Python", actor="ann")
        done = call("orders", "canary", "m", body=body)
        assert isinstance(done, models.Done) and done.provisional, done
        model = call("state", "get_model", "m")
        assert {share.version: share.share for share in model.split} == {1: 0.25, 2: 0.75}, model.split
        body = models.PromoteBody(version="1", force=True, reason="known good", confirm=True)
        assert isinstance(call("orders", "promote", "m", body=body), models.Done)
        history = call("state", "get_history", model="m", limit=100)
        canary = [row for row in history.rows if row.action == "canary_started"]
        assert canary and canary[0].actor == "ann" and canary[0].reason == "from Python", history
        explained = call("state", "explain", "m", body=models.ExplainBody())
        assert explained.version == 1, explained
        refused = call("orders", "canary", "m", body=models.CanaryBody(version=9, share=0.5))
        assert isinstance(refused, models.Problem) and refused.code == "version_unknown", refused


def main():
    binary, repository = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        generate(folder)
        with Gateway(binary, folder, ["--model-repository", repository]) as gateway:
            drive(gateway.addresses["admin"])
    print("the generated client drives the gateway")


if __name__ == "__main__":
    main()
