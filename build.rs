//! Packs the pronouncing dictionary; keeps the page's download small.

use std::io::Read;
use std::path::Path;

#[path = "src/verse/phonemes.rs"]
#[allow(dead_code)]
mod phonemes;
#[path = "build/pronunciations.rs"]
mod pronunciations;
#[path = "src/verse/spelling.rs"]
mod spelling;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for file in ["build.rs", "build", "src/verse/phonemes.rs", "src/verse/spelling.rs", "src/verse/data"] {
        println!("cargo::rerun-if-changed={file}");
    }
    pack_pronunciations()?;
    if std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "wasm32") {
        // Function names make up a third of the file. A panic still tells its file and line. Cargo's
        // own `strip` would also drop the list of features, from which wasm-bindgen learns what
        // the code may use.
        println!("cargo::rustc-link-arg-cdylib=--strip-all");
        println!("cargo::rustc-link-arg-cdylib=--keep-section=target_features");
    }
    Ok(())
}

fn pack_pronunciations() -> Result<(), Box<dyn std::error::Error>> {
    let data = Path::new("src/verse/data");
    let mut dictionary = String::new();
    let packed = std::fs::File::open(data.join("cmudict.dict.gz"))?;
    flate2::read::GzDecoder::new(packed).read_to_string(&mut dictionary)?;
    let poetic = std::fs::read_to_string(data.join("poetic.dict"))?;
    let short = std::fs::read_to_string(data.join("short.txt"))?;
    // Ours come first, so that "bower" is a bower.
    let packed = pronunciations::pack(&(poetic + &dictionary), &short);
    let out = std::env::var("OUT_DIR")?;
    Ok(std::fs::write(Path::new(&out).join("pronunciations.bin"), packed)?)
}
