//! Models for batching: whose time grows with the rows, whose rows depend on each other, whose batch axis is fixed.

use base_types::DataType;

use super::graph::{Attribute, Graph, Init, Shape};

/// `x` FP32 `[batch,4]` to `y` FP32 `[batch,4]` over `n_steps` of `Tanh` on `width` values for each row: the time of a
/// run grows with its rows, so that batching gains nothing.
pub fn per_row(n_steps: usize, width: usize) -> Vec<u8> {
    let wide = width as i64;
    let mut graph = four("per_row", -1).init("first", &[4, wide], Init::Floats(&vec![0.01; 4 * width])).node(
        "MatMul",
        "x first",
        "h0",
        &[],
    );
    for step in 0..n_steps {
        graph = graph.node("Tanh", &format!("h{step}"), &format!("h{}", step + 1), &[]);
    }
    graph
        .init("last", &[wide, 4], Init::Floats(&vec![1.0 / width as f32; 4 * width]))
        .node("MatMul", &format!("h{n_steps} last"), "y", &[])
        .model()
}

/// `x` FP32 `[batch,4]` to `y` FP32 `[batch,4]`: each row added to all before it, behind a chain of `n_steps` matrix
/// products of `width` × `width`. What a row gets depends on its neighbours; a row alone is given back.
pub fn summed(n_steps: usize, width: usize) -> Vec<u8> {
    chain(four("summed", -1), n_steps, width)
        .init("rows", &[], Init::Ints(&[0]))
        .node("CumSum", "x rows", "sums", &[])
        .node("Add", "sums nothing", "y", &[])
        .model()
}

/// `x` FP32 `[1,4]` to `y` FP32 `[1,4]`, doubled: one row at a time.
pub fn one_row() -> Vec<u8> {
    four("one_row", 1).init("two", &[], Init::Floats(&[2.0])).node("Mul", "x two", "y", &[]).model()
}

fn four(name: &str, n_rows: i64) -> Graph {
    let shape = [n_rows, 4];
    let graph = Graph::new(name).input("x", DataType::Fp32, Shape::Dims(&shape));
    graph.output("y", DataType::Fp32, Shape::Dims(&shape))
}

/// Adds `nothing`, a zero that takes its time.
fn chain(graph: Graph, n_steps: usize, width: usize) -> Graph {
    let wide = width as i64;
    let zeros = vec![0.0; width * width];
    let mut graph = graph
        .init("zeros", &[wide, wide], Init::Floats(&zeros))
        .init("zero", &[], Init::Floats(&[0.0]))
        .node("ReduceSum", "x", "x_sum", &[("keepdims", Attribute::Int(0))])
        .node("Mul", "x_sum zero", "x_nothing", &[])
        .node("Add", "zeros x_nothing", "m0", &[]);
    for step in 0..n_steps {
        graph = graph.node("MatMul", &format!("m{step} zeros"), &format!("m{}", step + 1), &[]);
    }
    graph.node("ReduceSum", &format!("m{n_steps}"), "nothing", &[("keepdims", Attribute::Int(0))])
}
