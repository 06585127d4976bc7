//! Generates messages and services of `drover/v1` and `drover/agent/v1`, and their descriptors for reflection.

use std::io::Result;
use std::path::PathBuf;

const FOLDERS: [&str; 2] = ["drover/v1", "drover/agent/v1"];

fn main() -> Result<()> {
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in FOLDERS {
        println!("cargo:rerun-if-changed={folder}");
        for entry in std::fs::read_dir(folder)? {
            files.push(entry?.path());
        }
    }
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "proto")
    });
    files.sort();
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("invariant: cargo sets OUT_DIR"));
    tonic_prost_build::configure()
        .file_descriptor_set_path(out.join("drover.bin"))
        .compile_protos(&files, &[PathBuf::from(".")])
}
