"""A real MLflow server, real ONNX models logged with mlflow.onnx, and the real program: what is registered there is
imported with its lineage, linked back, and served."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "pipelines"))
from gateway import Gateway, run  # noqa: E402

PATIENCE_S = 120


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """An MLflow server that hands out artifacts itself, as it does unless told otherwise."""

    def __init__(self, folder):
        self.folder, self.port = pathlib.Path(folder), free_port()
        self.address = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        tool = pathlib.Path(sys.executable).parent / "mlflow"
        command = [str(tool), "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        self.log = open(self.folder / "mlflow.log", "w")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, cwd=self.folder, start_new_session=True)
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"{self.address}/health", timeout=2):
                    return self
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.2)
        raise SystemExit("MLflow does not start:\n" + (self.folder / "mlflow.log").read_text()[-3000:])

    def __exit__(self, *_):
        os.killpg(self.process.pid, 15)
        self.process.wait(30)
        self.log.close()


def model(factor, n_weights=4):
    """y = x * factor over rows of four; more weights make a model that is worth keeping outside the file."""
    import onnx
    from onnx import TensorProto, helper

    rows = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 4]) for name in "xy"]
    weights = [helper.make_tensor("w", TensorProto.FLOAT, [4], [float(factor)] * 4)]
    nodes = [helper.make_node("Mul", ["x", "w"], ["y"])]
    if n_weights > 4:
        zeros = bytes(4 * n_weights)
        weights.append(helper.make_tensor("zeros", TensorProto.FLOAT, [n_weights // 4, 4], zeros, raw=True))
        nodes = [
            helper.make_node("ReduceSum", ["zeros"], ["zero"], keepdims=0),
            helper.make_node("Mul", ["x", "w"], ["scaled"]),
            helper.make_node("Add", ["scaled", "zero"], ["y"]),
        ]
    graph = helper.make_graph(nodes, "affine", rows[:1], rows[1:], weights)
    return onnx.helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def register(server):
    """Two versions of `fraud`, the second with its weights outside the file, and the alias `champion` on it."""
    import mlflow

    mlflow.set_tracking_uri(server.address)
    mlflow.set_experiment("fraud")
    runs = []
    for version, external in ((1, False), (2, True)):
        with mlflow.start_run(run_name=f"run {version}") as run_under_way:
            mlflow.log_params({"depth": version, "eta": 0.3})
            mlflow.log_metrics({"accuracy": 0.9 + version / 100, "loss": float("nan")})
            content = model(version, 4096 if external else 4)
            mlflow.onnx.log_model(content, name="model", registered_model_name="fraud", save_as_external_data=external)
            runs.append(run_under_way.info.run_id)
    client = mlflow.MlflowClient()
    client.set_registered_model_alias("fraud", "champion", 2)
    with mlflow.start_run() as run_under_way:
        mlflow.log_text("no model", "model/readme.txt")
        uri = mlflow.get_artifact_uri("model")
    client.create_registered_model("notes")
    client.create_model_version("notes", uri, run_id=run_under_way.info.run_id)
    return client, runs


def ask(address, version):
    body = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}
    url = f"http://{address}/v2/models/fraud/versions/{version}/infer"
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["outputs"][0]["data"]


def refused(binary, *arguments):
    done = subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 1, done
    return done.stderr


def story(binary, folder):
    store = folder / "store"
    with Server(folder) as server:
        client, runs = register(server)
        push = ["push", "--store", store, "--mlflow", server.address, "--json"]
        first = json.loads(run(binary, *push, "models:/fraud/1", "--set", "mlflow.param.depth=told"))
        assert (first["model"], first["version"], first["new"], first["notes"]) == ("fraud", 1, True, []), first
        # By its alias, and with the server named as MLflow's own clients have it.
        second = json.loads(run(binary, "push", "--store", store, "--json", "models:/fraud@champion", MLFLOW_TRACKING_URI=server.address))
        assert (second["version"], second["new"]) == (2, True), second
        again = json.loads(run(binary, *push, "models:/fraud/2", "--model", "fraud"))
        assert (again["version"], again["new"]) == (2, False), again

        shown = json.loads(run(binary, "show", "fraud", "2", "--store", store, "--json"))
        record = shown.get("record", shown)
        lineage = record["lineage"]
        assert lineage["set"]["mlflow.run"] == runs[1], lineage
        assert lineage["set"]["mlflow.param.depth"] == "2", lineage
        assert lineage["set"]["mlflow.alias"] == "champion", lineage
        assert lineage["set"]["mlflow.link"] == f"{server.address}/#/models/fraud/versions/2", lineage
        assert lineage["metrics"] == {"accuracy": 0.92}, lineage
        assert lineage["git"] is None, lineage
        assert len(record["files"]) == 2, "the weights outside the file came with it"
        told = json.loads(run(binary, "show", "fraud", "1", "--store", store, "--json"))
        assert told.get("record", told)["lineage"]["set"]["mlflow.param.depth"] == "told", "what is said here wins"

        # The way back.
        tags = client.get_model_version("fraud", "2").tags
        expected = {"switchrail.model": "fraud", "switchrail.version": "2", "switchrail.digest": second["digest"]}
        assert {key: value for key, value in tags.items() if key.startswith("switchrail.")} == expected, tags

        # What is wrong is told with the remedy.
        assert "not found" in refused(binary, *push, "models:/fraud/9")
        assert "not found" in refused(binary, *push, "models:/fraud@nobody")
        assert "log_model" in refused(binary, *push, "models:/notes/1", "--model", "notes")
        assert "models:/NAME/VERSION" in refused(binary, *push, "models:/fraud/latest")
    assert "cannot reach MLflow" in refused(binary, *push, "models:/fraud/1")

    with Gateway(binary, folder, ["--store", str(store)]) as gateway:
        until = time.monotonic() + PATIENCE_S
        while True:
            status = json.loads(run(binary, "status", "--json", "--admin", gateway.addresses["admin"]))
            states = [version["state"] for model in status["models"] for version in model["versions"]]
            if states == ["ready", "ready"]:
                break
            assert time.monotonic() < until, status
            time.sleep(0.1)
        assert ask(gateway.addresses["http"], 1) == [1, 2, 3, 4]
        assert ask(gateway.addresses["http"], 2) == [2, 4, 6, 8]


def main():
    with tempfile.TemporaryDirectory() as folder:
        story(sys.argv[1], pathlib.Path(folder))
    print("imported from MLflow with lineage, linked back, and served")


if __name__ == "__main__":
    main()
