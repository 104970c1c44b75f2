"""A gateway for the scripts of this folder and of tests/mlflow: the real program, on free ports, in a folder of its own."""

import json
import os
import pathlib
import subprocess


class Gateway:
    """Runs from `with` to its end."""

    def __init__(self, binary, folder, arguments=()):
        self.binary, self.folder, self.arguments = binary, pathlib.Path(folder), list(arguments)

    def __enter__(self):
        (self.folder / "routing.toml").write_text(
            "[policies.short]\nsteps = [{ weight = 0.5, min_requests = 5 }, { promote = true, bake = \"1s\" }]\n"
        )
        (self.folder / "gateway.toml").write_text("[repository]\npoll_ms = 100\nsettle_ms = 100\n")
        ports = [part for name in ("http", "grpc", "metrics", "admin") for part in (f"--{name}-address", "127.0.0.1:0")]
        state = ["--state-dir", str(self.folder / "state"), "--config", str(self.folder / "gateway.toml")]
        routing = ["--routing", str(self.folder / "routing.toml")]
        self.log = open(self.folder / "gateway.log", "w")
        command = [self.binary, "serve", *self.arguments, *ports, *state, *routing]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, env=dict(os.environ))
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit((self.folder / "gateway.log").read_text()[-4000:])
        self.addresses = json.loads(line)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()


def run(binary, *arguments, **environment):
    """Runs a command of the program; gives its output."""
    done = subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True, env={**os.environ, **environment})
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, arguments))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
