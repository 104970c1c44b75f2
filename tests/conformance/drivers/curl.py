"""curl: plain HTTP, without a client library to smooth anything over."""

import gzip
import json
import os
import re
import struct
import subprocess
import zlib

from harness import Absent, Unable, call, check, run, same

# One request may take this long.
CURL_SECONDS_MAX = 20

AFFINE = "/v2/models/affine/infer"
ROW = json.dumps({"id": "7", "inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]})


class Answer:
    """What curl saw last: status, headers by lower-case name, body."""

    def __init__(self, head, body):
        lines = head.decode().strip().split("\r\n\r\n")[-1].split("\r\n")
        self.version, status, *_ = lines[0].split(" ")
        self.status = int(status)
        self.headers = {}
        for line in lines[1:]:
            name, value = line.split(":", 1)
            self.headers[name.strip().lower()] = value.strip()
        self.body = body

    def json(self):
        return json.loads(self.body)


class Curl:
    def __init__(self, place):
        self.place = place
        self.head = os.path.join(place.folder, "curl.head")
        self.sent = os.path.join(place.folder, "curl.sent")

    def run(self, *arguments):
        command = ["curl", "--silent", "--show-error", "--max-time", str(CURL_SECONDS_MAX), *arguments]
        try:
            done = subprocess.run(command, capture_output=True, timeout=CURL_SECONDS_MAX + 5)
        except FileNotFoundError:
            raise Unable("curl is not installed") from None
        text = done.stderr.decode()
        if "does not support" in text:
            raise Unable("this curl was built without HTTP/2")
        check(done.returncode == 0, text)
        return done.stdout

    def ask(self, path, *arguments, sent=None):
        """One request; `sent` is its body, posted as curl posts a file."""
        if sent is not None:
            with open(self.sent, "wb") as file:
                file.write(sent.encode() if isinstance(sent, str) else sent)
            arguments = ["--data-binary", f"@{self.sent}", *arguments]
        body = self.run("--dump-header", self.head, *arguments, self.place.url + path)
        with open(self.head, "rb") as file:
            return Answer(file.read(), body)

    def infer(self, *arguments, sent=ROW, path=AFFINE):
        return self.ask(path, *arguments, sent=sent)


def right(answer):
    same((answer.status, answer.json()["outputs"][0]["data"]), (200, [2.0, 5.0, 8.0, 11.0]))


def refused(answer, status, *words):
    """An error as every client can read it."""
    same((answer.status, answer.headers["content-type"]), (status, "application/json"))
    text = answer.json()["error"]
    for word in words:
        check(word.lower() in text.lower(), f"{word} in {text}")


@call
def health(curl):
    """Live and ready answer 200 with JSON, to GET and HEAD."""
    found = curl.ask("/v2/health/live")
    same((found.status, found.json()["live"]), (200, True))
    found = curl.ask("/v2/health/ready")
    same((found.status, found.json()["ready"]), (200, True))
    same(curl.ask("/v2/health/ready", "--head").status, 200)


@call
def infer_without_content_type(curl):
    """A JSON body is taken with curl's form type, without any type, and with a charset."""
    right(curl.infer())
    right(curl.infer("-H", "Content-Type:"))
    right(curl.infer("-H", "Content-Type: application/json; charset=utf-8"))


@call
def answers_are_plain_json(curl):
    """The content type is application/json without a charset; data is flat; outputs have no parameters."""
    found = curl.infer()
    same(found.headers["content-type"], "application/json")
    (output,) = found.json()["outputs"]
    same(set(output), {"name", "shape", "datatype", "data"})
    same(found.json()["id"], "7")


@call
def served_version(curl):
    """Headers say which version answered."""
    same(curl.infer().headers["switchrail-version"], "2")


@call
def infer_chunked(curl):
    """A body without a length."""
    right(curl.infer("-H", "Transfer-Encoding: chunked"))


@call
def infer_expecting_continue(curl):
    """A large body after 100 Continue."""
    document = json.loads(ROW)
    document["padding"] = "p" * 2_000_000
    right(curl.infer("-H", "Expect: 100-continue", sent=json.dumps(document)))


@call
def infer_over_http2(curl):
    """HTTP/2 with prior knowledge on the same port, as meshes use it."""
    found = curl.infer("--http2-prior-knowledge")
    same(found.version, "HTTP/2")
    right(found)


@call
def unknown_fields(curl):
    """Unknown fields and null are tolerated."""
    document = json.loads(ROW)
    document.update({"model_name": "affine", "outputs": None, "parameters": None, "extra": {"a": [1]}})
    right(curl.infer(sent=json.dumps(document)))


@call
def non_finite_tokens(curl):
    """NaN and Infinity are taken as tokens and as texts; an answer has null, which is JSON."""
    body = '{"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [NaN, "-Infinity", 1]}]}'
    found = curl.infer(sent=body, path="/v2/models/identity_fp32/infer")
    check(b"null" in found.body and b"NaN" not in found.body, found.body)
    same(found.json()["outputs"][0]["data"], [None, None, 1.0])


@call
def infer_binary(curl):
    """Binary tensors by hand, in and out."""
    head = json.dumps(
        {
            "inputs": [
                {"name": "x", "shape": [1, 4], "datatype": "FP32", "parameters": {"binary_data_size": 16}},
            ],
            "parameters": {"binary_data_output": True},
        }
    )
    sent = head.encode() + struct.pack("<4f", 1, 2, 3, 4)
    found = curl.infer("-H", f"Inference-Header-Content-Length: {len(head)}", sent=sent)
    same((found.status, found.headers["content-type"]), (200, "application/octet-stream"))
    length = int(found.headers["inference-header-content-length"])
    described = json.loads(found.body[:length])["outputs"][0]
    same(described["parameters"]["binary_data_size"], 16)
    same(struct.unpack("<4f", found.body[length:]), (2.0, 5.0, 8.0, 11.0))


@call
def infer_with_a_length_for_json(curl):
    """The length header on a body that is JSON only, as the C++ client always sends it, in any case of letters."""
    for name in ["Inference-Header-Content-Length", "INFERENCE-HEADER-CONTENT-LENGTH"]:
        right(curl.infer("-H", f"{name}: {len(ROW)}"))


@call
def infer_raw(curl):
    """A raw request: header length 0, the body is the only input, its shape comes from the model."""
    sent = struct.pack("<4f", 1, 2, 3, 4)
    found = curl.infer("-H", "Inference-Header-Content-Length: 0", sent=sent)
    same(found.status, 200)
    length = int(found.headers["inference-header-content-length"])
    same(struct.unpack("<4f", found.body[length:]), (2.0, 5.0, 8.0, 11.0))


@call
def wrong_lengths(curl):
    """Header lengths and sizes that do not fit are 400."""
    tensor = struct.pack("<4f", 1, 2, 3, 4)

    def sized(size, **more):
        shaped = {"name": "x", "shape": [1, 4], "datatype": "FP32", "parameters": {"binary_data_size": size}}
        return json.dumps({"inputs": [{**shaped, **more}]}).encode()

    for head, told, rest in [
        (sized(16), 100_000, tensor),
        (sized(16), "many", tensor),
        (sized(16), None, tensor + b"left over"),
        (sized(16), None, tensor[:-1]),
        (sized(12), None, tensor[:-4]),
        (sized(-1), None, tensor),
        (sized(2**64), None, tensor),
        (sized(16, data=[1, 2, 3, 4]), None, tensor),
    ]:
        length = len(head) if told is None else told
        refused(curl.infer("-H", f"Inference-Header-Content-Length: {length}", sent=head + rest), 400)
    refused(curl.infer("-H", "Inference-Header-Content-Length: 0", sent=tensor[:-1]), 400)


@call
def compressed_requests(curl):
    """gzip, deflate and identity are taken; the header length is that of the uncompressed JSON."""
    for coding, compress in [("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)]:
        right(curl.infer("-H", f"Content-Encoding: {coding}", sent=compress(ROW.encode())))


@call
def unknown_encodings(curl):
    """Any other encoding is 415 and says which ones are taken."""
    found = curl.infer("-H", "Content-Encoding: br", sent=b"\x0b\x02\x80")
    refused(found, 415, "br")
    same(sorted(re.split(r"\s*,\s*", found.headers["accept-encoding"].lower()))[:2], ["deflate", "gzip"])


@call
def broken_encodings(curl):
    """A compressed body that is cut short, has something behind it, or is none at all is 400."""
    whole = gzip.compress(ROW.encode())
    for sent in [whole[:-4], whole + b"more", ROW.encode()]:
        refused(curl.infer("-H", "Content-Encoding: gzip", sent=sent), 400)


@call
def compressed_answers(curl):
    """An infer answer is compressed if asked for with gzip or deflate; q-values count; br is never chosen."""
    document = {"inputs": [{"name": "x", "shape": [64, 64], "datatype": "FP32", "data": [0.5] * 4096}]}
    sent, path = json.dumps(document), "/v2/models/identity_fp32/infer"
    plain = curl.infer(sent=sent, path=path).body
    decode = {"gzip": gzip.decompress, "deflate": zlib.decompress}
    for accepted, coding in [
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("br, zstd, gzip;q=0.5", "gzip"),
        ("gzip;q=0.1, deflate;q=0.9", "deflate"),
    ]:
        found = curl.infer("-H", f"Accept-Encoding: {accepted}", sent=sent, path=path)
        same((accepted, found.headers.get("content-encoding")), (accepted, coding))
        same(decode[coding](found.body), plain)
    for accepted in ["br", "identity", "gzip;q=0"]:
        found = curl.infer("-H", f"Accept-Encoding: {accepted}", sent=sent, path=path)
        same((accepted, found.headers.get("content-encoding"), found.body == plain), (accepted, None, True))


@call
def nothing_else_is_compressed(curl):
    """Metadata, health, statistics and errors are never compressed: clients cannot read them so."""
    for path in ["/v2", "/v2/health/ready", "/v2/models/affine", "/v2/models/stats", "/v2/models/nobody"]:
        found = curl.ask(path, "-H", "Accept-Encoding: gzip, deflate, br")
        same((path, found.headers.get("content-encoding")), (path, None))
        found.json()


@call
def errors_are_json(curl):
    """Every error has a JSON body with `error`; 405 says what is allowed."""
    refused(curl.ask("/nowhere"), 404)
    refused(curl.ask("/v2/models/nobody"), 404, "nobody")
    refused(curl.ask("/v2/models/affine/versions/9"), 404, "9")
    found = curl.ask(AFFINE)
    refused(found, 405)
    check("POST" in found.headers["allow"], found.headers)
    refused(curl.infer(sent="{not json"), 400)
    refused(curl.infer(sent=""), 400)
    refused(curl.infer(sent="[" * 100_000), 400)


@call
def connections_survive_errors(curl):
    """One connection serves a request after a mistake."""
    with open(curl.sent, "w") as file:
        file.write(ROW)
    url = curl.place.url
    out = curl.run(
        "-o", os.devnull, "-o", os.devnull, "--write-out", "%{http_code} %{num_connects}\n",
        "--data-binary", f"@{curl.sent}", url + "/v2/models/nobody/infer", url + AFFINE,
    )  # fmt: skip
    same(out.decode().split("\n")[:2], ["404 1", "200 0"])


@call
def index(curl):
    """The index is a POST with an empty body; ready filters; a named repository is 501."""
    found = curl.ask("/v2/repository/index", "-X", "POST")
    same(found.status, 200)
    check({"name": "affine", "version": "2", "state": "READY"} in found.json(), found.body)
    found = curl.ask("/v2/repository/index", sent='{"ready": true}')
    same({entry["state"] for entry in found.json()}, {"READY"})
    refused(curl.ask("/v2/repository/other/index", "-X", "POST"), 501)


@call
def list_of_models(curl):
    """GET /v2/models names the models, as KServe has it."""
    found = curl.ask("/v2/models").json()
    names = [m["name"] if isinstance(m, dict) else m for m in found["models"]]
    check("affine" in names, names)


@call
def request_ids(curl):
    """x-request-id comes back."""
    same(curl.infer("-H", "x-request-id: abc-1").headers["x-request-id"], "abc-1")


@call
def load_and_unload_a_version(curl):
    """Our own routes load and unload one version; success is exactly 200."""
    same(curl.ask("/v2/repository/models/affine/versions/1/load", "-X", "POST").status, 200)
    refused(curl.ask("/v2/repository/models/affine/versions/2/unload", "-X", "POST"), 400, "2")


@call
def generate(curl):
    """generate and generate_stream, for language models."""
    for action in ["generate", "generate_stream"]:
        refused(curl.ask(f"/v2/models/affine/{action}", sent='{"text_input": "a"}'), 501)
    raise Absent("no tokens are streamed; models answer tensors")


@call
def shared_memory(curl):
    """Shared memory: the list of regions is empty, nothing can be registered."""
    found = curl.ask("/v2/systemsharedmemory/status")
    same((found.status, found.json()), (200, []))
    sent = '{"key": "/k", "offset": 0, "byte_size": 4}'
    refused(curl.ask("/v2/systemsharedmemory/region/r/register", sent=sent), 501)
    raise Absent("callers share no memory with the gateway")


@call
def openapi(curl):
    """The gateway describes its routes."""
    found = curl.ask("/v2/openapi.json").json()
    check(found["openapi"].startswith("3."), found["openapi"])
    check("/v2/models/{model}/infer" in found["paths"] or len(found["paths"]) > 10, list(found["paths"]))


@call
def tensorflow_serving(curl):
    """TensorFlow Serving's own example: a row by curl -d."""
    found = curl.ask("/v1/models/affine:predict", "-d", '{"instances": [[1.0, 2.0, 3.0, 4.0]]}')
    same((found.status, found.json()), (200, {"predictions": [[2.0, 5.0, 8.0, 11.0]]}))


@call
def scrape(curl):
    """Prometheus reads the metrics: each protocol's requests are counted."""
    text = curl.run(f"http://{curl.place.metrics}/metrics").decode()
    for protocol in ["oip_rest", "tfs_rest"]:
        series = rf'^switchrail_requests_total{{[^}}]*model="affine"[^}}]*protocol="{protocol}"[^}}]*}} [1-9]'
        check(re.search(series, text, re.MULTILINE), f"no requests of {protocol}")


if __name__ == "__main__":
    run([], Curl)
