//! Characters per second and peak memory of training, on the shapes that other char-RNNs are
//! measured with: 2 layers of 512 units, 96 symbols, batches of 64 sequences of 100, Adam.
//!
//! ```text
//! cargo run --release --features native --example training_speed -- [--bf16] [--updates 12]
//! ```
//!
//! `scripts/compare_training.sh` runs it in alternation with the same network in PyTorch.

use std::time::Instant;

use burn::grad_clipping::GradientClippingConfig;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::Device;

use songwriter::lyricist::{CharRnnConfig, Rng};
use songwriter::nn::gemm::{Precision, set_training_precision};
use songwriter::training::batches::pad;
use songwriter::training::keep_memory;

const BATCH: usize = 64;
const TIME: usize = 100;
/// Updates that are not counted: memory is asked for, caches are cold.
const WARM: usize = 2;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let bf16 = arguments.iter().any(|a| a == "--bf16");
    let updates = arguments.iter().skip_while(|a| *a != "--updates").nth(1);
    let updates: usize = updates.and_then(|n| n.parse().ok()).unwrap_or(12);
    keep_memory();
    set_training_precision(if bf16 { Precision::Bf16 } else { Precision::Single });
    let device = Device::flex().autodiff();
    device.seed(1);
    let config = CharRnnConfig { alphabet_size: 96, hidden_size: 512, layers: 2, ..CharRnnConfig::default() };
    let mut model = config.init(&device);
    let mut optimizer = AdamConfig::new()
        .with_epsilon(1e-8)
        .with_grad_clipping(Some(GradientClippingConfig::Norm(5.0)))
        .init();
    let mut rng = Rng::new(2);
    let mut seconds = Vec::new();
    for update in 0..WARM + updates {
        // One symbol less than the length: the end symbol is counted.
        let sequences: Vec<Vec<u16>> =
            (0..BATCH).map(|_| (0..TIME - 1).map(|_| 1 + rng.below(95) as u16).collect()).collect();
        let sequences: Vec<&[u16]> = sequences.iter().map(Vec::as_slice).collect();
        let started = Instant::now();
        let batch = pad(&sequences, 0, &device);
        let loss = model.loss(batch.inputs, batch.targets, batch.mask, &[], None).0 / batch.units as f64;
        let _ = loss.clone().into_scalar::<f32>();
        let grads = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(2e-3, model, grads);
        if update >= WARM {
            seconds.push(started.elapsed().as_secs_f64());
        }
    }
    seconds.sort_by(f64::total_cmp);
    let median = seconds.get(seconds.len() / 2).copied().unwrap_or(f64::NAN);
    println!("{:.0} {:.0}", (BATCH * TIME) as f64 / median, peak_mebibytes());
}

/// Most memory that this process has held, where the system tells it (Linux).
fn peak_mebibytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kibibytes.map_or(f64::NAN, |k| k / 1024.0)
}
