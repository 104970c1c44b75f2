"""TensorFlow Serving's REST API, asked by plain requests as its own examples do."""

import base64
import gzip
import json
import math

import requests

from harness import call, check, run, same


class Client:
    def __init__(self, place):
        self.root = place.url + "/v1/models"
        self.session = requests.Session()

    def get(self, path):
        return self.session.get(self.root + path)

    def post(self, path, body, **named):
        return self.session.post(self.root + path, data=json.dumps(body), **named)

    def predict(self, model, body, **named):
        answer = self.post(f"/{model}:predict", body, **named)
        same((answer.status_code, answer.text if answer.status_code != 200 else ""), (200, ""))
        return answer.json()

    def close(self):
        self.session.close()


def b64(data):
    return {"b64": base64.b64encode(data).decode()}


@call
def status(client):
    """The status lists the versions as AVAILABLE."""
    found = client.get("/affine").json()["model_version_status"]
    told = {(entry["version"], entry["state"], entry["status"]["error_code"]) for entry in found}
    same(told, {("1", "AVAILABLE", "OK"), ("2", "AVAILABLE", "OK")})


@call
def status_of_a_version(client):
    """The status of a version and of a label is of that version."""
    for path in ["/affine/versions/1", "/affine/labels/old"]:
        (entry,) = client.get(path).json()["model_version_status"]
        same((entry["version"], entry["state"]), ("1", "AVAILABLE"))


@call
def status_for_kserve(client):
    """The same document is what KServe's protocol V1 asks for."""
    found = client.get("/affine").json()
    same((found["name"], found["ready"]), ("affine", True))


@call
def list_of_models(client):
    """GET /v1/models names the models."""
    found = client.get("").json()["models"]
    check("affine" in found, found)


@call
def metadata(client):
    """The metadata holds a signature made from the model."""
    found = client.get("/affine/metadata").json()
    same((found["model_spec"]["name"], found["model_spec"]["version"]), ("affine", "2"))
    signature = found["metadata"]["signature_def"]["signature_def"]["serving_default"]
    same(signature["method_name"], "tensorflow/serving/predict")
    described = signature["inputs"]["x"]
    same(described["dtype"], "DT_FLOAT")
    same([d["size"] for d in described["tensor_shape"]["dim"]], ["-1", "4"])


@call
def predict_rows(client):
    """Row form: instances in, predictions out, plain values for one tensor."""
    found = client.predict("affine", {"instances": [[1, 2, 3, 4], [0, 0, 0, 0]]})
    same(found, {"predictions": [[2.0, 5.0, 8.0, 11.0], [-1.0, -1.0, -1.0, -1.0]]})


@call
def predict_rows_of_objects(client):
    """Row form: objects for several inputs and several outputs."""
    found = client.predict("multi", {"instances": [{"a": [1.5, 2.5], "b": [3]}, {"a": [0, 0], "b": [-1]}]})
    expected = [
        {"sum": [4.5, 5.5], "negated": [-1.5, -2.5], "doubled": [6]},
        {"sum": [-1.0, -1.0], "negated": [-0.0, -0.0], "doubled": [-2]},
    ]
    same(found["predictions"], expected)


@call
def predict_rows_by_name(client):
    """Row form: objects are taken for one input as well, with the signature's name."""
    body = {"signature_name": "serving_default", "instances": [{"x": [1, 2, 3, 4]}]}
    same(client.predict("affine", body)["predictions"], [[2.0, 5.0, 8.0, 11.0]])


@call
def predict_columns(client):
    """Columnar form: a tensor in, a tensor out."""
    same(client.predict("affine", {"inputs": [[1, 2, 3, 4]]}), {"outputs": [[2.0, 5.0, 8.0, 11.0]]})


@call
def predict_named_columns(client):
    """Columnar form: names for several inputs and outputs."""
    found = client.predict("multi", {"inputs": {"a": [[1.5, 2.5]], "b": [[3]]}})["outputs"]
    same(found, {"sum": [[4.5, 5.5]], "negated": [[-1.5, -2.5]], "doubled": [[6]]})


@call
def predict_texts(client):
    """String tensors are texts."""
    same(client.predict("identity_bytes", {"inputs": [["plain", "Grüße"]]})["outputs"], [["plain", "Grüße"]])


@call
def predict_base64(client):
    """What is no text comes as b64, and goes so from outputs whose name ends in _bytes."""
    blobs = [[b64(b"\x00\xff"), b64(b"plain")]]
    same(client.predict("blobs", {"inputs": blobs})["outputs"], blobs)


@call
def predict_non_finite(client):
    """NaN and infinities are tokens in both directions; floats keep a decimal point."""
    answer = client.post("/identity_fp32:predict", {"inputs": [[math.nan, math.inf], [-math.inf, 1.0]]})
    same(answer.status_code, 200)
    check("NaN" in answer.text and "-Infinity" in answer.text and "1.0" in answer.text, answer.text)
    check(math.isnan(answer.json()["outputs"][0][0]), answer.text)


@call
def predict_a_version(client):
    """A version and a label in the path pin the version."""
    for path in ["/affine/versions/1:predict", "/affine/labels/old:predict"]:
        answer = client.post(path, {"instances": [[1, 2, 3, 4]]})
        same((answer.status_code, answer.json()), (200, {"predictions": [[3.0, 5.0, 7.0, 9.0]]}))


@call
def served_version(client):
    """A header says which version answered; the body has no place for it."""
    answer = client.post("/affine:predict", {"instances": [[1, 2, 3, 4]]})
    same(answer.headers["switchrail-version"], "2")


@call
def compressed_requests(client):
    """A gzip request is inflated."""
    body = gzip.compress(json.dumps({"instances": [[1, 2, 3, 4]]}).encode())
    headers = {"content-encoding": "gzip"}
    answer = client.session.post(client.root + "/affine:predict", data=body, headers=headers)
    same((answer.status_code, answer.json()), (200, {"predictions": [[2.0, 5.0, 8.0, 11.0]]}))


@call
def classify(client):
    """classify answers label and score for each example."""
    answer = client.post("/batch:classify", {"examples": [{"x": [0.5, 3.0, 2.0, 1.0]}]})
    same((answer.status_code, answer.text if answer.status_code != 200 else ""), (200, ""))
    (pairs,) = answer.json()["results"]
    same({str(label): score for label, score in pairs}, {"0": 1.5, "1": 4.0, "2": 3.0, "3": 2.0})


@call
def regress(client):
    """regress answers a number for each example."""
    answer = client.post("/regressor:regress", {"examples": [{"x": [1, 2, 3, 4]}, {"x": [1, 1, 1, 1]}]})
    same((answer.status_code, answer.text if answer.status_code != 200 else ""), (200, ""))
    same(answer.json()["results"], [10.0, 4.0])


@call
def case_of_the_path(client):
    """The fixed words of the path may be written in any case."""
    root = client.root.replace("/v1/models", "/V1/Models")
    answer = client.session.post(root + "/affine:Predict", data='{"instances": [[1, 2, 3, 4]]}')
    same(answer.status_code, 200)


@call
def mistakes_are_named(client):
    """Mistakes are 400 and 404 with an `error`, as TensorFlow Serving has them."""
    both = {"instances": [[1, 2, 3, 4]], "inputs": [[1, 2, 3, 4]]}
    for status, path, body, word in [
        (404, "/nobody:predict", {"instances": [1]}, "nobody"),
        (404, "/affine/versions/9:predict", {"instances": [[1, 2, 3, 4]]}, "9"),
        (400, "/affine:predict", both, "inputs"),
        (400, "/affine:predict", {}, "inputs"),
        (400, "/affine:predict", {"instances": []}, "instances"),
        (400, "/affine:predict", {"instances": [[1, 2], [1]]}, ""),
        (400, "/affine:predict", {"instances": [["a", "b", "c", "d"]]}, ""),
        (400, "/affine:predict", {"signature_name": "other", "instances": [[1, 2, 3, 4]]}, "other"),
        (400, "/affine:wrong", {"instances": [[1, 2, 3, 4]]}, "Malformed request"),
    ]:
        answer = client.post(path, body)
        same((path, answer.status_code), (path, status))
        check(word.lower() in answer.json()["error"].lower(), answer.text)


if __name__ == "__main__":
    run(["requests"], Client)
