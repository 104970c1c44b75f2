//! The calls between a model's own functions: no circles, no explosion when the runtime inlines them, and no
//! operator that is neither built in nor defined by the model.

use std::collections::BTreeMap;

use super::{DOMAINS, normal_domain, quote};
use crate::{Refusal, RefusalCode};

/// What a node calls or a function is called: domain, name, overload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OpKey<'a> {
    pub domain: &'a str,
    pub name: &'a str,
    pub overload: &'a str,
}

/// The calls of a model, as they are met. Functions are numbered in the file's order.
#[derive(Debug, Default)]
pub(super) struct Calls<'a> {
    functions: Vec<Function<'a>>,
    calls: BTreeMap<(Option<usize>, OpKey<'a>), u64>,
    n_main_nodes: u64,
}

#[derive(Debug, Default)]
struct Function<'a> {
    key: Option<OpKey<'a>>,
    n_nodes: u64,
}

/// A call from one function to another: the callee and how many nodes call it.
type Edges = Vec<Vec<(usize, u64)>>;

impl<'a> Calls<'a> {
    /// A function begins; its name may come after its nodes.
    pub(super) fn begin_function(&mut self) -> usize {
        self.functions.push(Function::default());
        self.functions.len() - 1
    }

    /// The function's name is known.
    pub(super) fn end_function(&mut self, index: usize, key: OpKey<'a>) {
        if let Some(function) = self.functions.get_mut(index) {
            function.key = Some(OpKey { domain: normal_domain(key.domain), ..key });
        }
    }

    /// A node was met, in a function or in the main graph.
    pub(super) fn node(&mut self, caller: Option<usize>, key: OpKey<'a>) -> Result<(), Refusal> {
        if matches!(key.name, "EPContext" | "PyOp" | "PyOpN") {
            let text = format!(
                "the model holds the operator {}, which runs code from outside the model: export it without",
                quote(key.name)
            );
            return Err(Refusal::new(RefusalCode::ForeignCode, text));
        }
        let key = OpKey { domain: normal_domain(key.domain), ..key };
        *self.calls.entry((caller, key)).or_insert(0) += 1;
        match caller.and_then(|index| self.functions.get_mut(index)) {
            Some(function) => function.n_nodes += 1,
            None => self.n_main_nodes += 1,
        }
        Ok(())
    }

    /// Checks everything once the file has been read.
    pub(super) fn check(&self, nodes_max: u64) -> Result<(), Refusal> {
        let mut by_key = BTreeMap::new();
        for (index, function) in self.functions.iter().enumerate() {
            if let Some(key) = function.key
                && by_key.insert(key, index).is_some()
            {
                let text = format!("the model defines the function {} twice", quote(key.name));
                return Err(Refusal::new(RefusalCode::Malformed, text));
            }
        }
        let mut edges: Edges = vec![Vec::new(); self.functions.len()];
        let mut main = Vec::new();
        for ((caller, key), count) in &self.calls {
            match (by_key.get(key), caller) {
                (Some(callee), Some(caller)) => edges[*caller].push((*callee, *count)),
                (Some(callee), None) => main.push((*callee, *count)),
                (None, _) => check_domain(key)?,
            }
        }
        self.check_expansion(&edges, &main, nodes_max)
    }

    /// Orders the functions so that callees come first, and counts what inlining all of them would make.
    fn check_expansion(&self, edges: &Edges, main: &[(usize, u64)], nodes_max: u64) -> Result<(), Refusal> {
        let order = callees_first(edges).map_err(|index| {
            let name = self.functions.get(index).and_then(|f| f.key).map_or("", |key| key.name);
            Refusal::new(RefusalCode::FunctionCycle, format!("the function {} calls itself in a circle", quote(name)))
        })?;
        let mut expanded = vec![0u64; edges.len()];
        let size = |expanded: &[u64], own: u64, calls: &[(usize, u64)]| {
            calls.iter().fold(own, |n, (callee, count)| n.saturating_add(count.saturating_mul(expanded[*callee])))
        };
        for index in order {
            expanded[index] = size(&expanded, self.functions[index].n_nodes, &edges[index]);
        }
        if size(&expanded, self.n_main_nodes, main) > nodes_max {
            let text = format!("the model's functions expand to more than {nodes_max} nodes");
            return Err(Refusal::new(RefusalCode::TooManyNodes, text));
        }
        Ok(())
    }
}

/// An order in which every function comes after those it calls, or one that is part of a circle.
fn callees_first(edges: &Edges) -> Result<Vec<usize>, usize> {
    let mut callers: Vec<Vec<usize>> = vec![Vec::new(); edges.len()];
    let mut n_open: Vec<usize> = edges.iter().map(Vec::len).collect();
    for (caller, calls) in edges.iter().enumerate() {
        for (callee, _) in calls {
            callers[*callee].push(caller);
        }
    }
    let mut order: Vec<usize> = (0..edges.len()).filter(|index| n_open[*index] == 0).collect();
    let mut done = 0;
    while let Some(index) = order.get(done).copied() {
        done += 1;
        for caller in &callers[index] {
            n_open[*caller] -= 1;
            if n_open[*caller] == 0 {
                order.push(*caller);
            }
        }
    }
    match n_open.iter().position(|open| *open > 0) {
        Some(index) => Err(index),
        None => Ok(order),
    }
}

/// Refuses operators that the runtime does not have built in.
fn check_domain(key: &OpKey<'_>) -> Result<(), Refusal> {
    if DOMAINS.iter().any(|(domain, _)| *domain == key.domain) {
        return Ok(());
    }
    let hint = match key.domain {
        "ai.onnx.contrib" | "com.microsoft.extensions" => {
            "it needs a custom operator library, which is not loaded here"
        }
        "com.microsoft.nchwc" | "com.ms.internal.nhwc" => {
            "the file was optimised for one machine: serve the model it was made from"
        }
        "ai.onnx.training" | "ai.onnx.preview.training" => "it is for training: export the model for inference",
        _ => "only ai.onnx, ai.onnx.ml, com.microsoft and functions within the model are known here",
    };
    let text = format!("the operator {} is of the domain {}: {hint}", quote(key.name), quote(key.domain));
    Err(Refusal::new(RefusalCode::OpDomain, text))
}
