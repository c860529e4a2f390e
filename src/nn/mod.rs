//! Layers that burn lacks or has slow, and the arithmetic under them.
//!
//! Two ways lead through a recurrent network here. Training and GPU inference go through burn
//! tensors ([`lstm`]); on a CPU, whole sequences are trained by [`recurrence`] and single steps
//! are taken by [`cpu`], whose arithmetic gives the same bits on every machine and in the browser.

pub mod attention;
#[cfg(feature = "native")]
pub mod attention_recurrence;
pub mod cell;
pub mod compute;
pub mod cpu;
#[cfg(feature = "native")]
pub mod depthwise;
pub mod entrance;
#[cfg(feature = "native")]
pub mod gemm;
#[cfg(feature = "native")]
pub mod kernel;
pub mod layer;
pub mod linear;
pub mod lstm;
pub mod math;
pub mod matrix;
#[cfg(feature = "native")]
pub mod pointwise;
#[cfg(feature = "native")]
pub mod recurrence;
pub mod stepper;

pub use cell::{Cell, CellState};
pub use compute::Compute;
#[cfg(feature = "native")]
pub use compute::block_on;
pub use cpu::{CpuStack, CpuState};
pub use lstm::{Lstm, LstmConfig, LstmState};
pub use matrix::PackedMatrix;
pub use stepper::{Entrance, Stepper, StepperShape, StepperState};
