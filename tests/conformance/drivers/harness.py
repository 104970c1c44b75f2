"""What all drivers share: calls are registered, run one after another, and reported as JSON lines.

A driver is started with one argument, a JSON object that says where the gateway is. The first line it prints names
the client, every further line is the result of one call. Everything else that is printed goes to stderr.
"""

import asyncio
import importlib.metadata
import inspect
import json
import os
import sys

# One call may take this long, with everything it waits for.
CALL_SECONDS_MAX = 30

# A reason is cut to this many characters.
WHY_CHARACTERS_MAX = 400

CALLS = []


class Absent(Exception):
    """The gateway has no such thing on purpose, and refused it as it should. The text is the reason."""


class Unable(Exception):
    """This machine cannot run the call; the text says what it lacks. Nothing is said about the gateway."""


class Place:
    """Where the gateway is, and where files may be put."""

    def __init__(self, argument):
        told = json.loads(argument)
        self.http = told["http"]
        self.grpc = told["grpc"]
        self.metrics = told["metrics"]
        self.folder = told["folder"]
        self.url = "http://" + self.http


def call(function):
    """Registers a call. The first line of its docstring says what it shows."""
    CALLS.append(function)
    return function


def check(is_true, what):
    """A condition of a call; `what` names what was found instead."""
    if not is_true:
        raise AssertionError(str(what))


def same(found, expected):
    """Found is what was expected."""
    if found != expected:
        raise AssertionError(f"expected {expected!r}, got {found!r}")


def fails(action, *words):
    """The action raises an error whose text holds all the words, whatever their case. Returns the text."""
    try:
        found = action()
    except Exception as error:
        return holds(error, words)
    raise AssertionError(f"expected an error about {', '.join(words)}, got {str(found)[:200]}")


async def fails_later(awaitable, *words):
    """`fails` for what is awaited."""
    try:
        found = await awaitable
    except Exception as error:
        return holds(error, words)
    raise AssertionError(f"expected an error about {', '.join(words)}, got {str(found)[:200]}")


def holds(error, words):
    text = f"{type(error).__name__}: {error}"
    missing = [word for word in words if word.lower() not in text.lower()]
    if missing:
        raise AssertionError(f"the error should name {', '.join(missing)}: {text}")
    return text


def version(*packages):
    """Packages with their versions, as the heading of a client's table."""
    return ", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages)


def run(packages, connect):
    """Runs all calls with what `connect(place)` gives, or says why it cannot be had."""
    # What libraries print must not get between the lines.
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def tell(line):
        print(json.dumps(line), file=lines, flush=True)

    tell({"packages": version(*packages)})
    asyncio.run(attend(Place(sys.argv[1]), connect, tell))


async def attend(place, connect, tell):
    client = connect(place)
    if inspect.isawaitable(client):
        client = await client
    for function in CALLS:
        shows = inspect.getdoc(function).splitlines()[0]
        name = function.__name__.replace("_", " ")
        tell({"call": name, "shows": shows, **await outcome(function, client)})
    closing = client.close() if hasattr(client, "close") else None
    if inspect.isawaitable(closing):
        await closing


async def outcome(function, client):
    """Runs one call."""
    try:
        found = function(client)
        if inspect.isawaitable(found):
            await asyncio.wait_for(found, CALL_SECONDS_MAX)
    except Absent as absent:
        return {"result": "absent", "why": str(absent)}
    except Unable as unable:
        return {"result": "skipped", "why": str(unable)}
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return {"result": "failed", "why": text[:WHY_CHARACTERS_MAX]}
    return {"result": "passed"}
