//! What the cells do unit by unit, forward and backward, for some units of one row.

use super::math::{sigmoid, simd, tanh};

simd! {
    /// LSTM forward: gates to their non-linearities in place, new contents and outputs.
    pub fn lstm_forward(
        input: &mut [f32], forget: &mut [f32], output: &mut [f32], candidate: &mut [f32],
        c_last: &[f32], c: &mut [f32], h: &mut [f32],
    ) {
        let n = h.len();
        let (input, forget, output, candidate) = (&mut input[..n], &mut forget[..n], &mut output[..n], &mut candidate[..n]);
        let (c_last, c) = (&c_last[..n], &mut c[..n]);
        for j in 0..n {
            input[j] = sigmoid(input[j]);
            forget[j] = sigmoid(forget[j]);
            output[j] = sigmoid(output[j]);
            candidate[j] = tanh(candidate[j]);
            c[j] = forget[j] * c_last[j] + input[j] * candidate[j];
            h[j] = output[j] * tanh(c[j]);
        }
    }
}

simd! {
    /// LSTM backward. `gates` and `d_gates` are the four blocks' units; `d_c` holds the gradient of
    /// the contents from the step after and is left with that for the step before.
    pub fn lstm_backward(
        gates: [&[f32]; 4], c: &[f32], c_last: &[f32], d_h: &[f32], d_c: &mut [f32], d_gates: [&mut [f32]; 4],
    ) {
        let n = d_h.len();
        let [input, forget, output, candidate] = gates.map(|g| &g[..n]);
        let [d_input, d_forget, d_output, d_candidate] = d_gates.map(|g| &mut g[..n]);
        let (c, c_last, d_c) = (&c[..n], &c_last[..n], &mut d_c[..n]);
        for j in 0..n {
            let (i, f, o, g) = (input[j], forget[j], output[j], candidate[j]);
            let squashed = tanh(c[j]);
            let d = d_h[j] * o * (1.0 - squashed * squashed) + d_c[j];
            d_input[j] = d * g * i * (1.0 - i);
            d_forget[j] = d * c_last[j] * f * (1.0 - f);
            d_output[j] = d_h[j] * squashed * o * (1.0 - o);
            d_candidate[j] = d * i * (1.0 - g * g);
            d_c[j] = d * f;
        }
    }
}

simd! {
    /// GRU forward. `product` is the last output times the candidate's recurrent weights, bias included.
    pub fn gru_forward(
        reset: &mut [f32], update: &mut [f32], candidate: &mut [f32], product: &[f32], h_last: &[f32], h: &mut [f32],
    ) {
        let n = h.len();
        let (reset, update, candidate) = (&mut reset[..n], &mut update[..n], &mut candidate[..n]);
        let (product, h_last) = (&product[..n], &h_last[..n]);
        for j in 0..n {
            reset[j] = sigmoid(reset[j]);
            update[j] = sigmoid(update[j]);
            candidate[j] = tanh(candidate[j] + reset[j] * product[j]);
            h[j] = candidate[j] + update[j] * (h_last[j] - candidate[j]);
        }
    }
}

simd! {
    /// GRU backward. `d_h` is the whole gradient of the output; `d_last` is left with the part that
    /// goes straight to the last output, `d_product` with the gradient of the candidate's product.
    pub fn gru_backward(
        gates: [&[f32]; 3], product: &[f32], h_last: &[f32], d_h: &[f32], d_last: &mut [f32],
        d_gates: [&mut [f32]; 3], d_product: &mut [f32],
    ) {
        let n = d_h.len();
        let [reset, update, candidate] = gates.map(|g| &g[..n]);
        let [d_reset, d_update, d_candidate] = d_gates.map(|g| &mut g[..n]);
        let (product, h_last, d_last, d_product) = (&product[..n], &h_last[..n], &mut d_last[..n], &mut d_product[..n]);
        for j in 0..n {
            let (r, z, g) = (reset[j], update[j], candidate[j]);
            let d = d_h[j] * (1.0 - z) * (1.0 - g * g);
            d_candidate[j] = d;
            d_product[j] = d * r;
            d_reset[j] = d * product[j] * r * (1.0 - r);
            d_update[j] = d_h[j] * (h_last[j] - g) * z * (1.0 - z);
            d_last[j] = d_h[j] * z;
        }
    }
}

simd! {
    /// Elman's network forward: gates to outputs.
    pub fn rnn_forward(gates: &[f32], h: &mut [f32]) {
        for (h, &g) in h.iter_mut().zip(gates) {
            *h = tanh(g);
        }
    }
}

simd! {
    /// Elman's network backward.
    pub fn rnn_backward(h: &[f32], d_h: &[f32], d_gates: &mut [f32]) {
        for ((d_gate, &d), &h) in d_gates.iter_mut().zip(d_h).zip(h) {
            *d_gate = d * (1.0 - h * h);
        }
    }
}
