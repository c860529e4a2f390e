//! Symbols to the first layer's gates: rows of a table, and what holds for the whole sequence.

use burn::tensor::{Int, Tensor};

/// `table [symbols, width]` rows for `ids [time, batch]`, plus `context [batch, width]` at every
/// step: `[time, batch, width]`. One operation on the CPU.
pub fn entrance(ids: Tensor<2, Int>, table: Tensor<2>, context: Option<Tensor<2>>) -> Tensor<3> {
    let [time, batch] = ids.dims();
    #[cfg(feature = "native")]
    let (table, context) = match on_cpu::on_cpu(&ids, table, context) {
        Ok(gates) => return gates,
        Err(inputs) => *inputs,
    };
    let gates = table.select(0, ids.reshape([time * batch]));
    let width = gates.dims()[1];
    let gates = gates.reshape([time, batch, width]);
    match context {
        Some(context) => gates + context.unsqueeze(),
        None => gates,
    }
}

#[cfg(feature = "native")]
mod on_cpu {
    use burn::backend::autodiff::checkpoint::base::Checkpointer;
    use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
    use burn::backend::flex::FlexTensor;
    use burn::backend::{Autodiff, Flex};
    use burn::tensor::{Int, Tensor};
    use rayon::prelude::*;

    use super::super::recurrence::{slice, tensor, values};

    type Inputs = (Tensor<2>, Option<Tensor<2>>);

    /// Runs on tensors of the CPU backend; gives others back.
    pub fn on_cpu(
        ids: &Tensor<2, Int>,
        table: Tensor<2>,
        context: Option<Tensor<2>>,
    ) -> Result<Tensor<3>, Box<Inputs>> {
        let [time, batch] = ids.dims();
        let device = table.device();
        let read = || -> Vec<usize> { ids.to_data().iter::<i64>().map(|id| id as usize).collect() };
        let any = || context.clone().unwrap_or_else(|| Tensor::zeros([1, 1], &device));
        let has_context = context.is_some();
        if let (Ok(t), Ok(c)) = (
            table.clone().try_into_primitive::<Autodiff<Flex>>(),
            any().try_into_primitive::<Autodiff<Flex>>(),
        ) {
            let ((t, t_node), (c, c_node)) = (t.into_parts(), c.into_parts());
            let symbols = t.layout().shape()[0];
            let ids = read();
            let out = forward(&ids, t, c, [time, batch], has_context);
            let saved = Saved { ids, symbols, time, batch };
            let kind =
                EntranceBackward.prepare::<NoCheckpointing>([t_node, c_node]).compute_bound().stateful();
            let out = match kind {
                OpsKind::Tracked(prep) => prep.finish(saved, out),
                OpsKind::UnTracked(prep) => prep.finish(out),
            };
            return Ok(Tensor::from_primitive::<Autodiff<Flex>>(out));
        }
        if let (Ok(t), Ok(c)) =
            (table.clone().try_into_primitive::<Flex>(), any().try_into_primitive::<Flex>())
        {
            return Ok(Tensor::from_primitive::<Flex>(forward(&read(), t, c, [time, batch], has_context)));
        }
        Err(Box::new((table, context)))
    }

    fn forward(
        ids: &[usize],
        table: FlexTensor,
        context: FlexTensor,
        [time, batch]: [usize; 2],
        has_context: bool,
    ) -> FlexTensor {
        let (table, context) = (table.to_contiguous(), context.to_contiguous());
        let width = table.layout().shape()[1];
        let (rows, context) = (slice(&table), slice(&context));
        let mut out = vec![0.0f32; time * batch * width];
        out.par_chunks_mut(width).zip(ids).enumerate().with_min_len(64).for_each(|(i, (out, &id))| {
            out.copy_from_slice(&rows[id * width..(id + 1) * width]);
            if has_context {
                let b = i % batch;
                for (out, c) in out.iter_mut().zip(&context[b * width..(b + 1) * width]) {
                    *out += c;
                }
            }
        });
        tensor(out, &[time, batch, width])
    }

    #[derive(Debug, Clone)]
    struct Saved {
        ids: Vec<usize>,
        symbols: usize,
        time: usize,
        batch: usize,
    }

    #[derive(Debug)]
    struct EntranceBackward;

    impl Backward<Flex, 2> for EntranceBackward {
        type State = Saved;

        fn backward(self, ops: Ops<Saved, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
            let [table, context] = ops.parents;
            let Saved { ids, symbols, time, batch } = ops.state;
            let d = values(grads.consume::<Flex>(&ops.node));
            let width = d.len() / (time * batch).max(1);
            // Each thread takes some columns and walks the rows in order, so that sums do not depend
            // on the number of threads.
            let sum = |rows: usize, row_of: &(dyn Fn(usize) -> usize + Sync)| {
                let parts: Vec<(usize, Vec<f32>)> = (0..width)
                    .into_par_iter()
                    .step_by(COLUMNS)
                    .map(|first| {
                        let n = COLUMNS.min(width - first);
                        let mut sums = vec![0.0f32; rows * n];
                        for (i, d) in d.chunks_exact(width).enumerate() {
                            let row = row_of(i) * n;
                            for (sum, d) in sums[row..row + n].iter_mut().zip(&d[first..first + n]) {
                                *sum += d;
                            }
                        }
                        (first, sums)
                    })
                    .collect();
                let mut out = vec![0.0f32; rows * width];
                for (first, sums) in parts {
                    let n = COLUMNS.min(width - first);
                    for (row, sums) in sums.chunks_exact(n).enumerate() {
                        out[row * width + first..][..n].copy_from_slice(sums);
                    }
                }
                out
            };
            if let Some(node) = table {
                grads.register::<Flex>(node.id, tensor(sum(symbols, &|i| ids[i]), &[symbols, width]));
            }
            if let Some(node) = context {
                grads.register::<Flex>(node.id, tensor(sum(batch, &|i| i % batch), &[batch, width]));
            }
        }
    }

    /// Columns that are summed together: their sums for a hundred symbols fit the first-level cache.
    const COLUMNS: usize = 64;
}
