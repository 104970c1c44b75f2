//! Versions of [`affine4`](super::affine4) that go wrong: on some inputs, in their shapes, or in time.

use base_types::DataType;

use super::graph::{Attribute, Graph, Init, Shape};

/// An index far beyond any table: looking it up fails the run.
const OUT_OF_BOUNDS: i64 = 1 << 40;

/// [`affine4`](super::affine4) whose run fails when the first float of any row is above `threshold`.
pub fn failing_when(threshold: f32, scale: f32, bias: f32) -> Vec<u8> {
    start("failing", threshold, scale, bias)
        .init("beyond", &[], Init::Ints(&[OUT_OF_BOUNDS]))
        .init("table", &[1], Init::Floats(&[0.0]))
        .node("Cast", "is_above", "above_float", &[("to", Attribute::Int(1))])
        .node("ReduceMax", "above_float", "any_float", &[("keepdims", Attribute::Int(0))])
        .node("Cast", "any_float", "any", &[("to", Attribute::Int(7))])
        .node("Mul", "any beyond", "index", &[])
        .node("Gather", "table index", "nothing", &[])
        .node("Add", "good nothing", "y", &[])
        .model()
}

/// [`affine4`](super::affine4) that answers NaN in the rows whose first float is above `threshold`.
pub fn nan_when(threshold: f32, scale: f32, bias: f32) -> Vec<u8> {
    start("nan", threshold, scale, bias)
        .init("nan", &[], Init::Floats(&[f32::NAN]))
        .node("Where", "is_above nan good", "y", &[])
        .model()
}

/// [`affine4`](super::affine4) that leaves out the last two columns, against its own declaration, when the first
/// float of any row is above `threshold`.
pub fn wrong_shape_when(threshold: f32, scale: f32, bias: f32) -> Vec<u8> {
    start("wrong_shape", threshold, scale, bias)
        .init("zero", &[1], Init::Ints(&[0]))
        .init("one", &[1], Init::Ints(&[1]))
        .init("two", &[1], Init::Ints(&[2]))
        .init("four", &[1], Init::Ints(&[4]))
        .node("Cast", "is_above", "above_float", &[("to", Attribute::Int(1))])
        .node("ReduceMax", "above_float", "any_float", &[("keepdims", Attribute::Int(0))])
        .node("Cast", "any_float", "any", &[("to", Attribute::Int(7))])
        .node("Mul", "any two", "fewer", &[])
        .node("Sub", "four fewer", "end", &[])
        .node("Slice", "good zero end one", "y", &[])
        .model()
}

/// [`affine4`](super::affine4) behind a chain of `n_steps` matrix products of `width` × `width`. A run can be
/// terminated between any two.
pub fn slow(n_steps: usize, width: usize, scale: f32, bias: f32) -> Vec<u8> {
    let wide = width as i64;
    let zeros = vec![0.0; width * width];
    let mut graph = affine("slow", scale, bias)
        .init("zeros", &[wide, wide], Init::Floats(&zeros))
        .init("zero", &[], Init::Floats(&[0.0]))
        // The chain hangs on the input, or it would be folded into a constant at load.
        .node("ReduceSum", "x", "x_sum", &[("keepdims", Attribute::Int(0))])
        .node("Mul", "x_sum zero", "x_nothing", &[])
        .node("Add", "zeros x_nothing", "m0", &[]);
    for step in 0..n_steps {
        graph = graph.node("MatMul", &format!("m{step} zeros"), &format!("m{}", step + 1), &[]);
    }
    graph
        .node("ReduceSum", &format!("m{n_steps}"), "nothing", &[("keepdims", Attribute::Int(0))])
        .node("Add", "good nothing", "y", &[])
        .model()
}

/// [`affine4`](super::affine4) that multiplies `width` × `width` matrices as many times as the first float of the
/// first row says, so that one input can make a run take as long as wanted.
pub fn looping(width: usize, scale: f32, bias: f32) -> Vec<u8> {
    let wide = width as i64;
    let zeros = vec![0.0; width * width];
    let body = Graph::new("step")
        .input("step", DataType::Int64, Shape::Dims(&[]))
        .input("go_in", DataType::Bool, Shape::Dims(&[]))
        .input("m_in", DataType::Fp32, Shape::Dims(&[wide, wide]))
        .output("go_out", DataType::Bool, Shape::Dims(&[]))
        .output("m_out", DataType::Fp32, Shape::Dims(&[wide, wide]))
        .node("Identity", "go_in", "go_out", &[])
        .node("MatMul", "m_in zeros", "m_out", &[]);
    affine("looping", scale, bias)
        .init("zeros", &[wide, wide], Init::Floats(&zeros))
        .init("go", &[], Init::Bool(true))
        .init("first", &[1], Init::Ints(&[0]))
        .init("flat", &[1], Init::Ints(&[-1]))
        .init("scalar", &[0], Init::Ints(&[]))
        .node("Reshape", "x flat", "x_flat", &[])
        .node("Gather", "x_flat first", "trips_float", &[])
        .node("Cast", "trips_float", "trips_one", &[("to", Attribute::Int(7))])
        .node("Reshape", "trips_one scalar", "trips", &[])
        .node("Loop", "trips go zeros", "m", &[("body", Attribute::Graph(body))])
        .node("ReduceSum", "m", "nothing", &[("keepdims", Attribute::Int(0))])
        .node("Add", "good nothing", "y", &[])
        .model()
}

/// The contract of [`affine4`](super::affine4) with its answer computed as `good`.
fn affine(name: &str, scale: f32, bias: f32) -> Graph {
    Graph::new(name)
        .input("x", DataType::Fp32, Shape::Dims(&[-1, 4]))
        .output("y", DataType::Fp32, Shape::Dims(&[-1, 4]))
        .init("scale", &[], Init::Floats(&[scale]))
        .init("bias", &[], Init::Floats(&[bias]))
        .node("Mul", "x scale", "scaled", &[])
        .node("Add", "scaled bias", "good", &[])
}

/// [`affine`] and `is_above`, BOOL `[batch,1]`: whether the first float of a row is above `threshold`.
fn start(name: &str, threshold: f32, scale: f32, bias: f32) -> Graph {
    affine(name, scale, bias)
        .init("threshold", &[], Init::Floats(&[threshold]))
        .init("column", &[1], Init::Ints(&[0]))
        .node("Gather", "x column", "x0", &[("axis", Attribute::Int(1))])
        .node("Greater", "x0 threshold", "is_above", &[])
}
