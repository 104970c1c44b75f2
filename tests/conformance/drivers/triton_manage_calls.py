"""What every tritonclient asks about the server and its models, and what it changes there."""

import base64
import json

import numpy as np

from harness import Absent, call, check, fails_later, same
from triton_client import affine, row


@call
async def server_live(t):
    """is_server_live is true."""
    same(await t.ask("is_server_live"), True)


@call
async def server_ready(t):
    """is_server_ready is true."""
    same(await t.ask("is_server_ready"), True)


@call
async def model_ready(t):
    """is_model_ready is true for a model and for one of its versions."""
    same(await t.ask("is_model_ready", "affine"), True)
    same(await t.ask("is_model_ready", "affine", "1"), True)


@call
async def unknown_model_is_not_ready(t):
    """is_model_ready of an unknown model is false over HTTP and NOT_FOUND over gRPC, as with Triton."""
    if t.is_http:
        same(await t.ask("is_model_ready", "nobody"), False)
    else:
        await fails_later(t.ask("is_model_ready", "nobody"), "NOT_FOUND", "nobody")


@call
async def server_metadata(t):
    """Name, version and the list of extensions; what is not there is not listed."""
    found = await t.tell("get_server_metadata")
    check(found["name"] and found["version"], found)
    wanted = {"binary_tensor_data", "classification", "model_configuration", "model_repository", "statistics"}
    same(wanted - set(found["extensions"]), set())
    same({"system_shared_memory", "cuda_shared_memory", "sequence"} & set(found["extensions"]), set())


@call
async def model_metadata(t):
    """Versions, platform, inputs and outputs of a model."""
    found = await t.tell("get_model_metadata", "affine")
    same((found["name"], sorted(found["versions"])), ("affine", ["1", "2"]))
    check(found["platform"], found)
    shaped = [(p["name"], p["datatype"], [int(d) for d in p["shape"]]) for p in found["inputs"] + found["outputs"]]
    same(shaped, [("x", "FP32", [-1, 4]), ("y", "FP32", [-1, 4])])


@call
async def version_metadata(t):
    """Metadata of a version names that version only."""
    same((await t.tell("get_model_metadata", "affine", "1"))["versions"], ["1"])


@call
async def batching_metadata(t):
    """A model with max_batch_size shows the batch axis in front."""
    found = await t.tell("get_model_metadata", "batch")
    same([int(d) for d in found["inputs"][0]["shape"]], [-1, 4])


@call
async def model_config(t):
    """The configuration holds max_batch_size and the inputs without the batch axis."""
    found = await t.tell("get_model_config", "batch")
    found = found.get("config", found)
    same((found["name"], int(found["max_batch_size"])), ("batch", 8))
    described = found["input"][0]
    same((described["name"], described["data_type"], [int(d) for d in described["dims"]]), ("x", "TYPE_FP32", [4]))


@call
async def statistics(t):
    """Counts of a version rise with its requests; the batch size counts in inference_count only."""
    async def counted():
        found = await t.tell("get_inference_statistics", "batch", "1")
        (version,) = found["model_stats"]
        same((version["name"], version["version"]), ("batch", "1"))
        stats = version["inference_stats"]
        return [
            int(stats["success"].get("count", 0)),
            int(stats["queue"].get("count", 0)),
            int(stats["compute_infer"].get("count", 0)),
            int(version.get("inference_count", 0)),
        ]

    before = await counted()
    three = np.ones((3, 4), dtype=np.float32)
    await t.ask("infer", "batch", [t.input("x", three, "FP32")])
    after = await counted()
    same([b - a for a, b in zip(before, after)], [1, 1, 1, 3])


@call
async def statistics_of_all(t):
    """Without a name, every model with every version is told."""
    found = await t.tell("get_inference_statistics")
    told = {(version["name"], version["version"]) for version in found["model_stats"]}
    same({("affine", "1"), ("affine", "2"), ("batch", "1")} - told, set())


@call
async def repository_index(t):
    """The index names each version with its state."""
    found = await t.tell("get_model_repository_index")
    found = found["models"] if isinstance(found, dict) else found
    told = {(entry["name"], entry.get("version"), entry.get("state")) for entry in found}
    same({("affine", "1", "READY"), ("affine", "2", "READY")} - told, set())


@call
async def unload_and_load(t):
    """An unloaded model is not ready until it is loaded again; both answer when they are done."""
    same(await t.ask("is_model_ready", "loose"), True)
    await t.ask("unload_model", "loose")
    try:
        same(await t.ask("is_model_ready", "loose"), False)
    finally:
        await t.ask("load_model", "loose")
    same(await t.ask("is_model_ready", "loose"), True)
    await t.ask("infer", "loose", [t.input("x", row(1, 2, 3, 4), "FP32")])


@call
async def load_unknown(t):
    """Loading a model that is not in the repository fails by name."""
    await fails_later(t.ask("load_model", "nobody"), "nobody")


@call
async def load_with_config(t):
    """A load that brings a configuration or files."""
    await fails_later(t.ask("load_model", "loose", config=json.dumps({"max_batch_size": 4})), "config")
    raise Absent("models come from the repository only; configuration and files are not taken from callers")


@call
async def read_log_settings(t):
    """Log settings are told under Triton's names."""
    found = await t.tell("get_log_settings")
    found = found.get("settings", found)
    same({"log_info", "log_warning", "log_error", "log_verbose_level", "log_format"} - set(found), set())


@call
async def change_log_settings(t):
    """A log setting can be changed and is told afterwards."""
    def verbosity(found):
        level = found.get("settings", found).get("log_verbose_level", 0)
        return int(level.get("uint32_param", 0) if isinstance(level, dict) else level)

    same(verbosity(await t.tell("update_log_settings", {"log_verbose_level": 1})), 1)
    same(verbosity(await t.tell("get_log_settings")), 1)
    same(verbosity(await t.tell("update_log_settings", {"log_verbose_level": 0})), 0)


@call
async def log_file(t):
    """A log file named by a caller."""
    await fails_later(t.ask("update_log_settings", {"log_file": "elsewhere.log"}), "log_file")
    raise Absent("no caller names a file that the gateway writes")


@call
async def read_trace_settings(t):
    """Trace settings are told under Triton's names, of the server and of a model."""
    for model in [None, "affine"]:
        found = await t.tell("get_trace_settings", **({"model_name": model} if model else {}))
        found = found.get("settings", found)
        same({"trace_level", "trace_rate", "trace_count"} - set(found), set())


@call
async def change_trace_settings(t):
    """Trace settings can be changed, for a model too; null takes the model's own ones away."""
    def read(found, key):
        setting = found.get("settings", found)[key]
        return setting.get("value") if isinstance(setting, dict) else setting

    def as_list(setting):
        return setting if isinstance(setting, list) else [setting]

    wanted = {"trace_level": ["TIMESTAMPS"], "trace_rate": "5"}
    try:
        found = await t.tell("update_trace_settings", model_name="affine", settings=wanted)
        same((read(found, "trace_level"), as_list(read(found, "trace_rate"))), (["TIMESTAMPS"], ["5"]))
        await affine(t)
    finally:
        cleared = {"trace_level": None, "trace_rate": None}
        found = await t.tell("update_trace_settings", model_name="affine", settings=cleared)
    of_all = await t.tell("get_trace_settings")
    same(read(found, "trace_level"), read(of_all, "trace_level"))


@call
async def trace_file(t):
    """A trace file named by a caller."""
    await fails_later(t.ask("update_trace_settings", settings={"trace_file": "elsewhere.json"}), "trace_file")
    raise Absent("no caller names a file that the gateway writes")


@call
async def shared_memory_status(t):
    """The lists of shared memory regions are empty."""
    for kind in ["system", "cuda"]:
        found = await t.tell(f"get_{kind}_shared_memory_status")
        check(not found or not found.get("regions") if isinstance(found, dict) else not found, found)


@call
async def shared_memory_regions(t):
    """A region of shared memory."""
    await fails_later(t.ask("register_system_shared_memory", "region", "/key", 64), "shared memory")
    handle = base64.b64encode(b"handle")
    await fails_later(t.ask("register_cuda_shared_memory", "region", handle, 0, 64), "shared memory")
    raise Absent("callers share no memory with the gateway")


@call
async def shared_memory_tensor(t):
    """A tensor in shared memory."""
    asked = t.module.InferInput("x", [1, 4], "FP32")
    asked.set_shared_memory("region", 16)
    await fails_later(t.ask("infer", "affine", [asked]), "shared")
    raise Absent("callers share no memory with the gateway")
