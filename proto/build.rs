//! Generates the messages of `drover/v1`, and their descriptors for reflection.

use std::io::Result;
use std::path::PathBuf;

const FOLDER: &str = "drover/v1";

fn main() -> Result<()> {
    println!("cargo:rerun-if-changed={FOLDER}");
    let mut files: Vec<PathBuf> = std::fs::read_dir(FOLDER)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "proto")
    });
    files.sort();
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("invariant: cargo sets OUT_DIR"));
    prost_build::Config::new()
        .file_descriptor_set_path(out.join("drover.v1.bin"))
        .compile_protos(&files, &["."])
}
