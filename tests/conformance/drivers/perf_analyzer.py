"""perf_analyzer, out of the last tritonclient wheel that holds it and runs with glibc 2.35.

Its wheel brings neither libcudart, which comes from a package beside it, nor libb64, which the system must have.
"""

import glob
import os
import re
import subprocess
import sys
import sysconfig

from harness import Unable, call, check, run

# One measurement takes about a second; this is for a machine that is busy.
RUN_SECONDS_MAX = 60

# Short windows, and a result after the first three of them whatever they say.
QUICK = ["-p", "500", "-r", "3", "-s", "999", "--concurrency-range", "2"]


class Program:
    def __init__(self, place):
        self.place = place
        self.path = os.path.join(os.path.dirname(sys.executable), "perf_analyzer")
        packages = sysconfig.get_path("purelib")
        folders = glob.glob(os.path.join(packages, "nvidia", "cuda_runtime", "lib"))
        folders += filter(None, [os.environ.get("LD_LIBRARY_PATH")])
        self.environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(folders)}

    def start(self, *arguments):
        command = [self.path, *arguments]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=RUN_SECONDS_MAX, env=self.environment
            )
        except OSError as error:
            raise Unable(f"perf_analyzer does not start here: {error.strerror}") from error
        text = done.stdout + done.stderr
        if lacking := re.search(r"(lib\S+): cannot open shared object|version `(GLIBC\S*)' not found", text):
            raise Unable(f"perf_analyzer needs {lacking[1] or lacking[2]}, which this system does not have")
        check(done.returncode == 0, text[-300:])
        return text

    def measure(self, protocol, *arguments):
        address = self.place.http if protocol == "http" else self.place.grpc
        text = self.start("-u", address, "-i", protocol, *QUICK, *arguments)
        found = re.search(r"Client:\s*\n\s*Request count: (\d+)", text)
        check(found and int(found[1]) > 0, text[-400:])
        return text


def has_server_side(text):
    """The server-side part is made of the statistics of the version before and after each window."""
    found = re.search(r"Server:\s*\n\s*Inference count: (\d+)\s*\n\s*Execution count: (\d+)", text)
    check(found and int(found[1]) > 0 and int(found[2]) > 0, text[-400:])


@call
def measure_over_http(program):
    """HTTP with binary tensors, with the server-side statistics."""
    has_server_side(program.measure("http", "-m", "batch", "-b", "2"))


@call
def measure_over_http_as_json(program):
    """HTTP with JSON tensors."""
    formats = ["--input-tensor-format", "json", "--output-tensor-format", "json"]
    program.measure("http", "-m", "batch", *formats)


@call
def measure_over_grpc(program):
    """gRPC, with the server-side statistics."""
    has_server_side(program.measure("grpc", "-m", "batch", "-b", "2"))


@call
def measure_over_a_stream(program):
    """gRPC over one stream, asynchronously."""
    program.measure("grpc", "-m", "batch", "-a", "--streaming")


@call
def measure_the_highest_version(program):
    """Without -x it finds the version that answered by its statistics."""
    has_server_side(program.measure("http", "-m", "affine", "--shape", "x:1,4"))


@call
def measure_a_version(program):
    """With -x it measures that version."""
    has_server_side(program.measure("http", "-m", "affine", "-x", "1", "--shape", "x:1,4"))


@call
def measure_texts(program):
    """BYTES of its own making."""
    program.measure("grpc", "-m", "identity_bytes", "--shape", "x:1,8", "--string-length", "16")


@call
def measure_several_tensors(program):
    """Two inputs and three outputs."""
    program.measure("http", "-m", "multi", "--shape", "a:1,2", "--shape", "b:1,1")


@call
def measure_tensorflow_serving(program):
    """Its TensorFlow Serving mode, over gRPC."""
    program.measure("grpc", "--service-kind", "tfserving", "-m", "affine", "--shape", "x:1,4")


if __name__ == "__main__":
    run(["tritonclient"], Program)
