//! Compiles `proto/` to Rust and to a descriptor set for reflection, with protox: no protoc has to be installed.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

const PROTOS: [&str; 8] = [
    "ssync/v1/types.proto",
    "ssync/v1/replication_service.proto",
    "ssync/v1/object_service.proto",
    "ssync/v1/device_service.proto",
    "ssync/admin/v1/admin_service.proto",
    "ssync/admin/v1/log_service.proto",
    "ssync/admin/v1/control_service.proto",
    "ssync/admin/v1/replicator_service.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    // Without this line any change in the repository would run this script again.
    println!("cargo:rerun-if-changed=proto/ssync");
    println!("cargo:rerun-if-changed=proto/google");

    let descriptors = protox::compile(PROTOS, ["proto"])?;
    let descriptor_file = PathBuf::from(env::var("OUT_DIR")?).join("ssync_descriptor.bin");
    fs::write(descriptor_file, descriptors.encode_to_vec())?;

    tonic_prost_build::configure()
        // Bodies arrive as slices of the receive buffer, not as copies.
        .bytes(".")
        .extern_path(".google.rpc", "::tonic_types::pb")
        .compile_fds(descriptors)?;
    Ok(())
}
