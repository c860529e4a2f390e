//! A matrix product with a bias as one autodiff operation on our own kernels.

use burn::tensor::Tensor;

#[cfg(feature = "native")]
use self::on_cpu::on_cpu;

/// `x [rows, size] * weights [size, columns] + bias [columns]`.
pub fn linear(x: Tensor<2>, weights: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    #[cfg(feature = "native")]
    let (x, weights, bias) = match on_cpu(x, weights, bias) {
        Ok(out) => return out,
        Err(inputs) => *inputs,
    };
    x.matmul(weights) + bias.unsqueeze()
}

#[cfg(feature = "native")]
mod on_cpu {
    use burn::backend::autodiff::checkpoint::base::Checkpointer;
    use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
    use burn::backend::flex::FlexTensor;
    use burn::backend::{Autodiff, Flex};
    use burn::tensor::Tensor;
    use rayon::prelude::*;

    use super::super::gemm::{Precision, View, product, training_precision};
    use super::super::recurrence::{column_sums, slice, tensor, values};

    type Inputs = (Tensor<2>, Tensor<2>, Tensor<1>);

    /// Runs on tensors of the CPU backend; gives others back.
    pub fn on_cpu(x: Tensor<2>, weights: Tensor<2>, bias: Tensor<1>) -> Result<Tensor<2>, Box<Inputs>> {
        if let (Ok(x), Ok(w), Ok(b)) = (
            x.clone().try_into_primitive::<Autodiff<Flex>>(),
            weights.clone().try_into_primitive::<Autodiff<Flex>>(),
            bias.clone().try_into_primitive::<Autodiff<Flex>>(),
        ) {
            let ((x, x_node), (w, w_node), (b, b_node)) = (x.into_parts(), w.into_parts(), b.into_parts());
            let saved = Saved { x: x.to_contiguous(), weights: w.to_contiguous() };
            let out = forward(&saved, b, training_precision());
            let kind = LinearBackward
                .prepare::<NoCheckpointing>([x_node, w_node, b_node])
                .compute_bound()
                .stateful();
            let out = match kind {
                OpsKind::Tracked(prep) => prep.finish(saved, out),
                OpsKind::UnTracked(prep) => prep.finish(out),
            };
            return Ok(Tensor::from_primitive::<Autodiff<Flex>>(out));
        }
        if let (Ok(x), Ok(w), Ok(b)) = (
            x.clone().try_into_primitive::<Flex>(),
            weights.clone().try_into_primitive::<Flex>(),
            bias.clone().try_into_primitive::<Flex>(),
        ) {
            let saved = Saved { x: x.to_contiguous(), weights: w.to_contiguous() };
            return Ok(Tensor::from_primitive::<Flex>(forward(&saved, b, Precision::Single)));
        }
        Err(Box::new((x, weights, bias)))
    }

    #[derive(Debug, Clone)]
    struct Saved {
        x: FlexTensor,
        weights: FlexTensor,
    }

    impl Saved {
        /// Rows, inner size, columns.
        fn sizes(&self) -> (usize, usize, usize) {
            let (x, w) = (self.x.layout().shape(), self.weights.layout().shape());
            (x[0], x[1], w[1])
        }
    }

    fn forward(saved: &Saved, bias: FlexTensor, precision: Precision) -> FlexTensor {
        let (rows, size, columns) = saved.sizes();
        let bias = values(bias);
        let mut out = vec![0.0f32; rows * columns];
        out.par_chunks_mut(columns.max(1)).with_min_len(64).for_each(|row| row.copy_from_slice(&bias));
        let (x, w) =
            (View::new(slice(&saved.x), rows, size), View::new(slice(&saved.weights), size, columns));
        product(x, w, &mut out, true, precision);
        tensor(out, &[rows, columns])
    }

    #[derive(Debug)]
    struct LinearBackward;

    impl Backward<Flex, 3> for LinearBackward {
        type State = Saved;

        fn backward(self, ops: Ops<Saved, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
            let [x, weights, bias] = ops.parents;
            let saved = ops.state;
            let (rows, size, columns) = saved.sizes();
            let d_out = values(grads.consume::<Flex>(&ops.node));
            let d = View::new(&d_out, rows, columns);
            let precision = training_precision();
            if let Some(node) = x {
                let mut d_x = vec![0.0f32; rows * size];
                let w = View::new(slice(&saved.weights), size, columns).transposed();
                product(d, w, &mut d_x, true, precision);
                grads.register::<Flex>(node.id, tensor(d_x, &[rows, size]));
            }
            if let Some(node) = weights {
                let mut d_w = vec![0.0f32; size * columns];
                product(View::new(slice(&saved.x), rows, size).transposed(), d, &mut d_w, true, precision);
                grads.register::<Flex>(node.id, tensor(d_w, &[size, columns]));
            }
            if let Some(node) = bias {
                grads.register::<Flex>(node.id, tensor(column_sums(&d_out, columns), &[columns]));
            }
        }
    }
}
