"""schemathesis: requests made up from the gateway's own OpenAPI document, right ones and wrong ones.

What is absent on purpose is left out, and what changes the gateway's state: an unloaded model rightly answers 503.
"""

import os
import re
import subprocess
import sys

from harness import call, check, run

# All requests of one call are made within this time.
RUN_SECONDS_MAX = 300

# Cases for each route. The seed makes two runs send the same.
CASES = ["--max-examples", "25", "--seed", "7", "--no-shrink"]

STATE = "/(load|unload)$|^/v2/logging$|/trace/setting$"

# Made-up names would meet nothing but 404, and made-up deadlines would pass.
CONFIG = """
[parameters]
"path.model" = "affine"
"path.version" = "1"
"path.label" = "old"
"header.switchrail-timeout-ms" = "20000"
"""


class Program:
    def __init__(self, place):
        self.place = place
        self.path = os.path.join(os.path.dirname(sys.executable), "st")
        self.config = os.path.join(place.folder, "schemathesis.toml")
        with open(self.config, "w") as file:
            file.write(CONFIG)

    def conforms(self, checks, *flags, least=100):
        command = [self.path, "--config-file", self.config, "run", self.place.url + "/v2/openapi.json"]
        command += ["--checks", checks, "--exclude-tag", "absent", "--exclude-path-regex", STATE, *CASES, *flags]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=RUN_SECONDS_MAX, cwd=self.place.folder
        )
        log = os.path.join(self.place.folder, f"openapi-{checks.split(',')[0]}.log")
        with open(log, "w") as file:
            file.write(done.stdout + done.stderr)
        failures = re.findall(r"^_+ ((?:GET|POST) .+?) _+$", done.stdout, re.MULTILINE)
        check(done.returncode == 0, "; ".join(failures) or (done.stdout + done.stderr)[-300:])
        cases = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
        check(cases and int(cases[2]) >= least, done.stdout[-300:])


@call
def no_server_error(program):
    """No request, right or wrong, is answered with a 5xx."""
    program.conforms("not_a_server_error")


@call
def documented_answers(program):
    """Every status, content type and body is as the document says."""
    program.conforms("status_code_conformance,content_type_conformance,response_schema_conformance")


@call
def right_requests(program):
    """What the document allows is never refused as malformed. Bodies are left out: a model refuses most tensors."""
    program.conforms("positive_data_acceptance", "--mode", "positive", "--include-path-regex", "^/v2/.*[^r]$", least=40)


@call
def methods(program):
    """Methods that are not in the document are 405; TensorFlow Serving's routes answer 400, as it does itself."""
    program.conforms("unsupported_method", "--phases", "coverage", "--include-path-regex", "^/v2")


if __name__ == "__main__":
    run(["schemathesis"], Program)
