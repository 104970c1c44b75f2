"""`mlserver infer`, the batch client: a file of requests in, a file of answers out, merged on the way."""

import json
import os
import subprocess
import sys

import values
from harness import call, check, run, same

# The whole file is answered within this time.
RUN_SECONDS_MAX = 25


class Client:
    def __init__(self, place):
        self.place = place


def batch(client, model, requests, *flags):
    """Runs the client; the answers, by the id of their requests."""
    paths = [os.path.join(client.place.folder, f"mlserver-{name}.json") for name in ["in", "out"]]
    with open(paths[0], "w") as file:
        file.writelines(json.dumps(request) + "\n" for request in requests)
    if os.path.exists(paths[1]):
        os.remove(paths[1])
    program = os.path.join(os.path.dirname(sys.executable), "mlserver")
    command = [program, "infer", "-u", client.place.http, "-m", model, "-i", paths[0], "-o", paths[1]]
    done = subprocess.run([*command, *flags], capture_output=True, text=True, timeout=RUN_SECONDS_MAX)
    check(done.returncode == 0, done.stderr[-300:])
    with open(paths[1]) as file:
        answers = [json.loads(line) for line in file]
    wrong = [answer for answer in answers if "outputs" not in answer]
    check(not wrong, wrong[:1])
    return {answer["id"]: answer["outputs"] for answer in answers}


def rows(n_rows):
    return [
        {
            "id": str(n),
            "inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [n, n, n, n]}],
        }
        for n in range(n_rows)
    ]


def are_right(answers, n_rows):
    same(len(answers), n_rows)
    for n in range(n_rows):
        same(answers[str(n)][0]["data"], [3.0 * n - 1] * 4)


@call
def infer_one_by_one(client):
    """A request for each line, by several workers, as JSON."""
    are_right(batch(client, "affine", rows(20), "-w", "4"), 20)


@call
def infer_binary(client):
    """The same with binary tensors."""
    are_right(batch(client, "affine", rows(20), "-w", "4", "-b"), 20)


@call
def infer_in_batches(client):
    """Requests merged by the client; it takes the answer apart again."""
    are_right(batch(client, "affine", rows(20), "-w", "2", "-s", "8"), 20)


@call
def infer_texts(client):
    """BYTES as JSON."""
    asked = {"id": "t", "inputs": [{"name": "x", "shape": [2, 2], "datatype": "BYTES", "data": values.TEXTS}]}
    answers = batch(client, "identity_bytes", [asked])
    same(answers["t"][0]["shape"], [2, 2])


@call
def headers(client):
    """A header decides the version where a rule says so."""
    answers = batch(client, "affine", rows(3), "-H", "x-tenant: acme")
    same([answers[str(n)][0]["data"][0] for n in range(3)], [1.0, 3.0, 5.0])


if __name__ == "__main__":
    run(["mlserver", "tritonclient"], Client)
