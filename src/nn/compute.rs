//! Where a network runs.

use burn::tensor::Device;

/// The processor on which the networks run.
///
/// Both kinds carry a burn device. On the CPU the recurrent networks leave burn for
/// [`crate::nn::cpu`], which is faster at one character at a time and gives the same bits
/// everywhere.
#[derive(Debug, Clone)]
pub enum Compute {
    /// The processor's own SIMD units.
    Cpu(Device),
    /// A GPU (WebGPU in the browser, Vulkan or CUDA on a server).
    Gpu(Device),
}

impl Compute {
    /// The CPU.
    pub fn cpu() -> Self {
        Self::Cpu(Device::flex())
    }

    /// A GPU that burn has opened.
    pub fn gpu(device: Device) -> Self {
        Self::Gpu(device)
    }

    /// The burn device.
    pub fn device(&self) -> &Device {
        match self {
            Self::Cpu(device) | Self::Gpu(device) => device,
        }
    }

    /// Whether this is the CPU.
    pub fn is_cpu(&self) -> bool {
        matches!(self, Self::Cpu(_))
    }
}

/// Waits for a future of ours. On the CPU they are ready at once; a GPU's answer is polled for.
#[cfg(feature = "native")]
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        std::thread::yield_now();
    }
}
