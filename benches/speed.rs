//! How fast the networks run on this machine: `cargo bench --features native`.
//!
//! The shapes are those that other libraries' char-RNNs are measured with: 2 layers of 512 units,
//! 96 symbols; training on batches of 64 sequences of 100 characters with Adam.

use std::time::Duration;

use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::Device;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use songwriter::captioner::encoder::Encoder;
use songwriter::lyricist::CharRnnConfig;
use songwriter::lyricist::sampling::{Rng, sample};
use songwriter::nn::{Compute, Stepper, block_on};
use songwriter::training::batches::pad;
use songwriter::weights::ModelFiles;
use songwriter::{Captioner, Picture};

fn network() -> CharRnnConfig {
    CharRnnConfig { alphabet_size: 96, hidden_size: 512, layers: 2, ..CharRnnConfig::default() }
}

fn writing(c: &mut Criterion) {
    let tensors = network().init(&Device::flex()).tensors().unwrap();
    let network = Stepper::new(network().stepper(), &tensors, &Compute::cpu()).unwrap();
    let mut group = c.benchmark_group("song");
    for batch in [1, 4, 24] {
        let characters = 200;
        group.throughput(Throughput::Elements(characters * batch as u64));
        group.bench_function(format!("characters, {batch} at once"), |b| {
            b.iter(|| {
                let (mut state, mut rng) = (network.state(batch), Rng::new(1));
                let mut ids = vec![1; batch];
                for _ in 0..characters {
                    let scores = block_on(network.step(&ids, &mut state)).unwrap();
                    for (id, scores) in ids.iter_mut().zip(scores.chunks_exact(96)) {
                        *id = sample(scores, 0.8, 1.0, |_| true, &mut rng);
                    }
                }
            });
        });
    }
}

fn looking(c: &mut Criterion) {
    let files = ModelFiles::open(std::path::Path::new("models/captioner")).unwrap();
    let bytes = std::fs::read("www/samples/cat.jpg").unwrap();
    let picture = Picture::from_bytes("cat.jpg", &bytes).unwrap();
    let encoder = Encoder::from_tensors(&files.tensors().unwrap(), &Device::flex()).unwrap();
    let captioner = Captioner::new(&files, &Compute::cpu()).unwrap();
    let mut group = c.benchmark_group("picture");
    group.bench_function("decode and squash", |b| b.iter(|| Picture::from_bytes("cat.jpg", &bytes).unwrap()));
    group.bench_function("encode", |b| {
        b.iter(|| encoder.pooled(encoder.input(std::slice::from_ref(&picture))).into_data());
    });
    group.bench_function("encode and caption, beam 3", |b| {
        b.iter(|| block_on(captioner.caption(&picture, 3)).unwrap());
    });
}

fn training(c: &mut Criterion) {
    let device = Device::flex().autodiff();
    let (batch, time) = (64, 100);
    let mut model = Some(network().init(&device));
    let mut optimizer = AdamConfig::new().with_epsilon(1e-8).init();
    let mut rng = Rng::new(2);
    let sequences: Vec<Vec<u16>> =
        (0..batch).map(|_| (0..time - 1).map(|_| 1 + rng.below(95) as u16).collect()).collect();
    let sequences: Vec<&[u16]> = sequences.iter().map(Vec::as_slice).collect();
    let mut group = c.benchmark_group("training");
    group.throughput(Throughput::Elements((batch * time) as u64)).sample_size(10);
    group.measurement_time(Duration::from_secs(15));
    group.bench_function("characters", |b| {
        b.iter(|| {
            let network = model.take().unwrap();
            let batch = pad(&sequences, 0, &device);
            let loss =
                network.loss(batch.inputs, batch.targets, batch.mask, &[], None).0 / batch.units as f64;
            let grads = GradientsParams::from_grads(loss.backward(), &network);
            model = Some(optimizer.step(1e-3, network, grads));
        });
    });
}

criterion_group!(benches, writing, looking, training);
criterion_main!(benches);
