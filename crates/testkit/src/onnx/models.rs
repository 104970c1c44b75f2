//! Models that work: an affine one, one that proves who answered, identities, large ones, external data.

use base_types::DataType;

use super::graph::{Attribute, Graph, Init, Shape};

/// Floats in one row of the self-identifying model's input.
pub const SELF_IDENTIFYING_WIDTH: usize = 16;

/// Weights of the checksum. The first float is the request's id and is answered by itself.
const CHECKSUM_WEIGHTS: [f32; SELF_IDENTIFYING_WIDTH] =
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0];

/// `x` FP32 `[batch,4]` to `y` FP32 `[batch,4]`: `y = x * scale + bias`.
pub fn affine4(scale: f32, bias: f32) -> Vec<u8> {
    affine4_named("x", "y", scale, bias)
}

/// [`affine4`] under other names: with one renamed, a version of another contract.
pub fn affine4_named(input: &str, output: &str, scale: f32, bias: f32) -> Vec<u8> {
    Graph::new("affine4")
        .input(input, DataType::Fp32, Shape::Dims(&[-1, 4]))
        .output(output, DataType::Fp32, Shape::Dims(&[-1, 4]))
        .init("scale", &[], Init::Floats(&[scale]))
        .init("bias", &[], Init::Floats(&[bias]))
        .node("Mul", &format!("{input} scale"), "scaled", &[])
        .node("Add", "scaled bias", output, &[])
        .model()
}

/// `x` FP32 of any batch of `dims` to `y` INT64, the shape of `x`: costs nothing, however large the input is.
pub fn shape_of(dims: &[i64]) -> Vec<u8> {
    let shape: Vec<i64> = [-1].iter().chain(dims).copied().collect();
    Graph::new("shape_of")
        .input("x", DataType::Fp32, Shape::Dims(&shape))
        .output("y", DataType::Int64, Shape::Dims(&[shape.len() as i64]))
        .node("Shape", "x", "y", &[])
        .model()
}

/// `x` FP32 `[batch,16]` to `y` FP32 `[batch,3]`: the request's id, the version, and a checksum of the input, see
/// [`Tag`]. All three are whole numbers that FP32 holds exactly, so one answer proves which version computed it and
/// for which request, and neither a swapped answer nor a mixed batch goes unnoticed.
pub fn self_identifying(version: u32) -> Vec<u8> {
    // One Gemm: its columns pick the id, add the version to nothing, and weigh the rest.
    let mut weights = [0.0; SELF_IDENTIFYING_WIDTH * 3];
    weights[0] = 1.0;
    for (row, weight) in CHECKSUM_WEIGHTS.iter().enumerate() {
        weights[row * 3 + 2] = *weight;
    }
    Graph::new("self_identifying")
        .input("x", DataType::Fp32, Shape::Dims(&[-1, SELF_IDENTIFYING_WIDTH as i64]))
        .output("y", DataType::Fp32, Shape::Dims(&[-1, 3]))
        .init("weights", &[SELF_IDENTIFYING_WIDTH as i64, 3], Init::Floats(&weights))
        .init("bias", &[3], Init::Floats(&[0.0, version as f32, 0.0]))
        .node("Gemm", "x weights bias", "y", &[])
        .model()
}

/// What an answer of [`self_identifying`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    /// The request it answers.
    pub id: u32,
    /// The version that computed it.
    pub version: u32,
}

impl Tag {
    /// The first id that FP32 would round.
    pub const ID_END: u32 = 1 << 24;

    /// The input row of a request. Ids must stay below [`Tag::ID_END`].
    pub fn input(id: u32) -> [f32; SELF_IDENTIFYING_WIDTH] {
        debug_assert!(id < Self::ID_END, "FP32 holds no larger id exactly");
        let mut row = [0.0; SELF_IDENTIFYING_WIDTH];
        row[0] = id as f32;
        let mut state = u64::from(id);
        for value in &mut row[1..] {
            *value = (split_mix(&mut state) % 997) as f32;
        }
        row
    }

    /// The output row this tag stands for.
    pub fn output(self) -> [f32; 3] {
        let row = Self::input(self.id);
        let checksum = row.iter().zip(CHECKSUM_WEIGHTS).map(|(x, w)| x * w).sum();
        [self.id as f32, self.version as f32, checksum]
    }

    /// Reads an output row; `None` when its parts do not belong together.
    pub fn read(row: &[f32]) -> Option<Self> {
        let [id, version, _] = row else { return None };
        let tag = Self { id: whole(*id)?, version: whole(*version)? };
        (tag.id < Self::ID_END && row == tag.output()).then_some(tag)
    }
}

fn whole(value: f32) -> Option<u32> {
    (value.fract() == 0.0 && (0.0..=16_777_216.0).contains(&value)).then_some(value as u32)
}

/// `x` to `y` of the same type, unchanged, with any two dimensions. Every data type of the gateway works.
pub fn identity(datatype: DataType) -> Vec<u8> {
    Graph::new("identity")
        .input("x", datatype, Shape::Dims(&[-1, -1]))
        .output("y", datatype, Shape::Dims(&[-1, -1]))
        .node("Identity", "x", "y", &[])
        .model()
}

/// The contract of [`affine4`] over about `bytes` of FP32 weights, in layers of at most 4 MiB.
/// The answers are finite and depend on `seed`.
pub fn large(bytes: usize, seed: u64) -> Vec<u8> {
    const WIDTH_MAX: usize = 1024;
    let width = ((bytes / size_of::<f32>()) as f64).sqrt().clamp(4.0, WIDTH_MAX as f64) as usize;
    let n_layers = (bytes / (width * width * size_of::<f32>())).max(1);
    let mut state = seed;
    let mut weights = |rows: usize, columns: usize| -> Vec<f32> {
        let scale = 1.0 / (rows as f32).sqrt();
        (0..rows * columns).map(|_| unit(&mut state) * scale).collect()
    };
    let wide = width as i64;
    let mut graph = Graph::new("large")
        .input("x", DataType::Fp32, Shape::Dims(&[-1, 4]))
        .output("y", DataType::Fp32, Shape::Dims(&[-1, 4]))
        .init("first", &[4, wide], Init::Floats(&weights(4, width)))
        .node("MatMul", "x first", "h0", &[]);
    for layer in 0..n_layers {
        graph = graph.init(&format!("w{layer}"), &[wide, wide], Init::Floats(&weights(width, width))).node(
            "MatMul",
            &format!("h{layer} w{layer}"),
            &format!("h{}", layer + 1),
            &[],
        );
    }
    graph
        .init("last", &[wide, 4], Init::Floats(&weights(width, 4)))
        .node("MatMul", &format!("h{n_layers} last"), "y", &[])
        .model()
}

/// Two inputs and three outputs: `a` FP32 `[batch,2]` and `b` INT64 `[batch,1]` to `sum` FP32 `[batch,2]` (both
/// added), `negated` FP32 `[batch,2]` (of `a`) and `doubled` INT64 `[batch,1]` (of `b`).
pub fn multi() -> Vec<u8> {
    Graph::new("multi")
        .input("a", DataType::Fp32, Shape::Dims(&[-1, 2]))
        .input("b", DataType::Int64, Shape::Dims(&[-1, 1]))
        .output("sum", DataType::Fp32, Shape::Dims(&[-1, 2]))
        .output("negated", DataType::Fp32, Shape::Dims(&[-1, 2]))
        .output("doubled", DataType::Int64, Shape::Dims(&[-1, 1]))
        .node("Cast", "b", "b_float", &[("to", Attribute::Int(1))])
        .node("Add", "a b_float", "sum", &[])
        .node("Neg", "a", "negated", &[])
        .node("Add", "b b", "doubled", &[])
        .model()
}

/// A model whose weights are in a file beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalModel {
    /// The model file.
    pub model: Vec<u8>,
    /// The name the model refers to.
    pub data_name: String,
    /// The content of that file.
    pub data: Vec<u8>,
}

/// [`affine4`] with per-column constants in `data_name`.
pub fn external(data_name: &str, scale: f32, bias: f32) -> ExternalModel {
    let bytes_of = |value: f32| [value; 4].iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let data = [bytes_of(scale), bytes_of(bias)].concat();
    let part = |offset| Init::External { location: data_name, offset, length: 16 };
    let model = Graph::new("external")
        .input("x", DataType::Fp32, Shape::Dims(&[-1, 4]))
        .output("y", DataType::Fp32, Shape::Dims(&[-1, 4]))
        .init("scale", &[4], part(0))
        .init("bias", &[4], part(16))
        .node("Mul", "x scale", "scaled", &[])
        .node("Add", "scaled bias", "y", &[])
        .model();
    ExternalModel { model, data_name: data_name.to_owned(), data }
}

/// The next number of a splitmix64 sequence.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The next number between −1 and 1.
fn unit(state: &mut u64) -> f32 {
    (split_mix(state) >> 40) as f32 / (1 << 23) as f32 - 1.0
}

#[cfg(test)]
mod tests;
