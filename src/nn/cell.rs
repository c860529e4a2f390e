//! The three recurrent cells, as burn's operations: how GPUs run them, and what the CPU's own
//! code is checked against.

use burn::tensor::{Device, Tensor, activation};
use serde::{Deserialize, Serialize};

/// Kind of a recurrent layer's cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cell {
    /// Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber &
    /// Cummins 2000). Gates in the order input, forget, output, candidate.
    #[default]
    Lstm,
    /// Gated recurrent unit (Cho et al. 2014, arXiv 1406.1078), with the reset gate behind the
    /// recurrent product, as cuDNN has it. Gates in the order reset, update, candidate.
    Gru,
    /// Elman's (1990) network with tanh.
    Rnn,
}

impl Cell {
    /// Blocks of `hidden` columns that a layer's weights have.
    pub fn blocks(self) -> usize {
        match self {
            Self::Lstm => 4,
            Self::Gru => 3,
            Self::Rnn => 1,
        }
    }

    /// How weights of such layers are named.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lstm => "lstm",
            Self::Gru => "gru",
            Self::Rnn => "rnn",
        }
    }

    /// The state before the first step: zeros.
    pub fn zeros(self, batch: usize, hidden_size: usize, device: &Device) -> CellState {
        let zeros = || Tensor::zeros([batch, hidden_size], device);
        CellState { hidden: zeros(), content: (self == Self::Lstm).then(zeros) }
    }

    /// One step. `inputs [batch, blocks * hidden]` are the gates' inputs, bias included;
    /// `products` are the last output times the recurrent weights, with the recurrent bias of
    /// the candidate added for [`Cell::Gru`].
    pub fn advance(self, inputs: Tensor<2>, products: Tensor<2>, state: &CellState) -> CellState {
        let hidden = state.hidden.dims()[1];
        let block = |t: &Tensor<2>, k: usize| t.clone().narrow(1, k * hidden, hidden);
        match self {
            Self::Lstm => {
                let gates = inputs + products;
                let open = activation::sigmoid(gates.clone().narrow(1, 0, 3 * hidden));
                let candidate = activation::tanh(block(&gates, 3));
                let written = block(&open, 0) * candidate;
                let content = match &state.content {
                    Some(content) => block(&open, 1) * content.clone() + written,
                    None => written,
                };
                let output = block(&open, 2) * activation::tanh(content.clone());
                CellState { hidden: output, content: Some(content) }
            }
            Self::Gru => {
                let open = activation::sigmoid(
                    inputs.clone().narrow(1, 0, 2 * hidden) + products.clone().narrow(1, 0, 2 * hidden),
                );
                let (reset, update) = (block(&open, 0), block(&open, 1));
                let candidate = activation::tanh(block(&inputs, 2) + reset * block(&products, 2));
                let output = candidate.clone() + update * (state.hidden.clone() - candidate);
                CellState { hidden: output, content: None }
            }
            Self::Rnn => CellState { hidden: activation::tanh(inputs + products), content: None },
        }
    }
}

/// What a layer remembers between steps.
#[derive(Debug, Clone)]
pub struct CellState {
    /// Output of the last step, `[batch, hidden]`.
    pub hidden: Tensor<2>,
    /// Content of the cells, `[batch, hidden]`; an LSTM has it.
    pub content: Option<Tensor<2>>,
}

impl CellState {
    /// The same values without their past, so that no gradient goes back through them.
    pub fn detach(self) -> Self {
        Self { hidden: self.hidden.detach(), content: self.content.map(Tensor::detach) }
    }

    /// Keeps the rows at the given places.
    pub fn map(&self, f: impl Fn(&Tensor<2>) -> Tensor<2>) -> Self {
        Self { hidden: f(&self.hidden), content: self.content.as_ref().map(f) }
    }
}

/// A recurrent layer over whole sequences out of burn's operations; see [`super::layer::recurrence`].
pub fn composed(
    cell: Cell,
    gates: Tensor<3>,
    recurrent: Tensor<2>,
    recurrent_bias: Option<Tensor<1>>,
    initial: Option<&CellState>,
) -> (Tensor<3>, CellState) {
    let [time, batch, width] = gates.dims();
    let hidden = width / cell.blocks();
    let device = gates.device();
    let mut state = initial.cloned().unwrap_or_else(|| cell.zeros(batch, hidden, &device));
    let bias = recurrent_bias.map(|b| {
        let rest = Tensor::<1>::zeros([width - hidden], &device);
        Tensor::cat(vec![rest, b], 0).unsqueeze::<2>()
    });
    let mut outputs = Vec::with_capacity(time);
    for t in 0..time {
        let inputs = gates.clone().narrow(0, t, 1).reshape([batch, width]);
        let mut products = state.hidden.clone().matmul(recurrent.clone());
        if let Some(bias) = &bias {
            products = products + bias.clone();
        }
        state = cell.advance(inputs, products, &state);
        outputs.push(state.hidden.clone());
    }
    (Tensor::stack(outputs, 0), state.detach())
}
