#![no_main]
//! One program with all fuzz targets, so that the instrumented build is made once. `cargo xtask fuzz` drives it by environment:
//! `JACKDAW_FUZZ_TARGET` names the target, `JACKDAW_FUZZ_SEEDS` a folder into which its seeds are written instead of a run;
//! without a target the names are printed.
//!
//! A finding is a panic, an abort, an input that takes longer than libFuzzer's `-timeout`, or memory beyond the target's bound.

mod memory;
mod targets;

use std::sync::OnceLock;

use targets::{TARGETS, Target};

static TARGET: OnceLock<&'static Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: choose(),
    |input: &[u8]| {
        let target = TARGET.get().expect("chosen before the first input");
        memory::bounded((target.memory)(input.len()), || (target.run)(input));
    }
);

/// Finds the target, or does what is asked instead of a run and ends the process.
fn choose() {
    let Ok(name) = std::env::var("JACKDAW_FUZZ_TARGET") else {
        TARGETS.iter().for_each(|target| println!("{}", target.name));
        std::process::exit(0)
    };
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
        eprintln!("no target {name}");
        std::process::exit(2)
    };
    if let Some(folder) = std::env::var_os("JACKDAW_FUZZ_SEEDS") {
        for (number, seed) in (target.seeds)().into_iter().enumerate() {
            let path = std::path::Path::new(&folder).join(format!("seed-{number}"));
            std::fs::write(path, seed).expect("the folder of seeds can be written");
        }
        std::process::exit(0)
    }
    // The hook of libfuzzer-sys ends the process at the first panic.
    let _ = TARGET.set(target);
}
