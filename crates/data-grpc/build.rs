//! Makes the messages out of `proto/`, without a compiler of the system, and keeps the descriptors for reflection.

use std::error::Error;
use std::path::PathBuf;

use prost::Message;

const PROTOS: [&str; 5] =
    ["grpc_service.proto", "model_config.proto", "health.proto", "tensorflow.proto", "tensorflow_serving.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    let folder = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo names no folder for what is made")?);
    std::fs::write(folder.join("descriptors.bin"), descriptors.encode_to_vec())?;
    prost_build::Config::new().bytes(["."]).compile_fds(descriptors)?;
    Ok(())
}
