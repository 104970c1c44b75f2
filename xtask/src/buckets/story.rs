//! What is done with each store.

use std::path::Path;

use testkit::onnx::{affine4, external};

use super::BucketsError;
use super::emulator::Emulator;
use super::gateway::{self, Gateway};

/// More than one page of any listing.
const CROWD: usize = 1_200;

const FETCHED: &str = "switchrail_bucket_fetched_bytes_total";
const REFUSED: &str = "switchrail_bucket_refused";
const SUCCESS: &str = "switchrail_bucket_last_success_timestamp_seconds";

/// Serves a store through its life; it is ended on the way.
pub fn run(store: Emulator, binary: &Path, library: &Path, place: &Path) -> Result<(), BucketsError> {
    let place = gateway::place(binary, library, &place.join(format!("{}-gateway", store.kind().name())))?;
    let state = place.folder.join("state");
    if state.exists() {
        std::fs::remove_dir_all(&state).map_err(super::io_at(&state))?;
    }
    store.put("m/1/model.onnx", &affine4(1.0, 0.0))?;
    store.put("m/config.pbtxt", b"name: \"m\"\nplatform: \"onnxruntime_onnx\"\n")?;
    // As consoles make them for folders.
    for marker in ["", "m/", "m/1/", "m/2/"] {
        store.put(marker, b"")?;
    }
    store.crowd("a-crowd/of/notes", CROWD)?;
    let address = store.address();
    let environment = store.environment();
    let serving = Gateway::of(&place, &store)?;
    serving.wait("version 1 to answer", |g| g.answer(1) == Some(1.0))?;
    // What its file names is fetched beside it.
    let model = external("weights.bin", 3.0, 0.5);
    store.put("m/3/weights.bin", &model.data)?;
    store.put("m/3/model.onnx", &model.model)?;
    store.put("m/2/model.onnx", &affine4(2.0, 0.0))?;
    serving.wait("versions 2 and 3 to answer", |g| g.answer(2) == Some(2.0) && g.answer(3) == Some(3.5))?;
    store.delete("m/2/model.onnx")?;
    serving.wait("version 2 to be gone", |g| g.answer(2).is_none())?;
    let bytes = serving.metric(FETCHED);
    let seen = serving.metric(SUCCESS);
    serving.wait("more looks", |g| g.metric(SUCCESS) > seen + 1.0)?;
    serving.wait("nothing to be refused", |g| g.metric(REFUSED) == 0.0)?;
    serving.wait("nothing to be fetched twice", |g| g.metric(FETCHED) == bytes)?;
    serving.stop()?;
    let serving = Gateway::of(&place, &store)?;
    let seen = serving.metric(SUCCESS);
    serving.wait("a look after the restart", |g| g.metric(SUCCESS) > seen.max(1.0))?;
    serving.wait("nothing to be fetched after a restart", |g| g.metric(FETCHED) == 0.0)?;
    drop(store);
    serving.wait("the failure to be told", |g| g.log().contains("cannot look at the bucket"))?;
    serving.wait("an answer without the store", |g| g.answer(3) == Some(3.5))?;
    serving.stop()?;
    let serving = Gateway::start(&place, &address, &environment)?;
    serving.wait("an answer after a start without the store", |g| g.answer(3) == Some(3.5))?;
    serving.stop()
}
