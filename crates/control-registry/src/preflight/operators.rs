//! Which operators a model file uses, and how often. For files that [`super::scan`] did not refuse.

use std::collections::BTreeMap;

use super::normal_domain;
use super::schema::{Holds, Kind, rule};
use super::wire::{Value, read_field};
use crate::Refusal;

/// What an operator's name is in a node, and its domain.
const OP_TYPE: u32 = 4;
const DOMAIN: u32 = 7;

/// Nodes by their operator, those of subgraphs and functions included: `Conv`, or `com.microsoft.Gelu` where the
/// operator is not of the default domain. Beside them the operator sets the model imports, by domain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Operators {
    /// How many nodes of each operator.
    pub nodes: BTreeMap<String, u64>,
    /// The version of each operator set; the default domain is `ai.onnx`.
    pub opsets: BTreeMap<String, i64>,
}

/// Counts the operators of a model file.
pub fn operators(bytes: &[u8]) -> Result<Operators, Refusal> {
    let mut found = Operators::default();
    let mut open: Vec<Open<'_>> = vec![Open::new(Kind::Model, bytes.len())];
    let mut at = 0;
    while let Some(message) = open.last_mut() {
        if at >= message.end {
            open.pop().into_iter().for_each(|message| message.close(&mut found));
            continue;
        }
        let field = read_field(bytes, at, message.end)?;
        message.take(field.number, field.value);
        let child = match (field.value, rule(message.kind, field.number).map(|rule| rule.holds)) {
            (Value::Bytes(_), Some(Holds::Message(child))) if leads_to_nodes(child) => Some(child),
            _ => None,
        };
        at = match child {
            Some(child) => {
                open.push(Open::new(child, field.next));
                field.start
            }
            None => field.next,
        };
    }
    Ok(found)
}

/// Tensors and types, which are most of a file, hold no nodes.
fn leads_to_nodes(kind: Kind) -> bool {
    matches!(kind, Kind::Graph | Kind::Function | Kind::Node | Kind::Attribute | Kind::Training | Kind::Opset)
}

/// A message whose end has not come yet.
struct Open<'a> {
    kind: Kind,
    end: usize,
    op_type: &'a str,
    domain: &'a str,
    version: i64,
}

impl<'a> Open<'a> {
    fn new(kind: Kind, end: usize) -> Self {
        Self { kind, end, op_type: "", domain: "", version: 0 }
    }

    fn take(&mut self, number: u32, value: Value<'a>) {
        match (self.kind, number, value) {
            (Kind::Node, OP_TYPE, Value::Bytes(name)) => self.op_type = text(name),
            (Kind::Node, DOMAIN, Value::Bytes(name)) | (Kind::Opset, 1, Value::Bytes(name)) => self.domain = text(name),
            (Kind::Opset, 2, Value::Varint(version)) => self.version = version as i64,
            _ => {}
        }
    }

    fn close(self, found: &mut Operators) {
        let domain = normal_domain(self.domain);
        match self.kind {
            Kind::Node if domain.is_empty() => *found.nodes.entry(self.op_type.to_owned()).or_default() += 1,
            Kind::Node => *found.nodes.entry(format!("{domain}.{}", self.op_type)).or_default() += 1,
            Kind::Opset => {
                let domain = if domain.is_empty() { "ai.onnx" } else { domain };
                found.opsets.insert(domain.to_owned(), self.version);
            }
            _ => {}
        }
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use super::*;
    use crate::test_model::{function, graph, model, node, subgraph};

    #[test]
    fn nodes_are_counted_wherever_they_stand() {
        let inner = graph().with(1, node("com.microsoft", "Gelu")).with(1, node("ai.onnx", "Identity"));
        let outer = graph().with(1, node("", "If").with(5, subgraph(inner)));
        let found = operators(&model(outer).with(25, function("f", &["g", "g"])).0).unwrap();
        let expected = [("Identity", 3), ("If", 1), ("com.microsoft.Gelu", 1), ("own.g", 2)];
        assert_eq!(found.nodes, expected.map(|(name, n)| (name.to_owned(), n)).into());
        assert_eq!(found.opsets, [("ai.onnx", 17), ("own", 1)].map(|(name, n)| (name.to_owned(), n)).into());
    }

    #[test]
    fn what_is_cut_short_is_refused_and_never_ends_the_process() {
        let whole = model(graph().with(1, node("", "If").with(5, subgraph(graph())))).0;
        let n_refused = (0..whole.len()).filter(|cut| operators(&whole[..*cut]).is_err()).count();
        assert!(n_refused > whole.len() / 2, "{n_refused} of {}", whole.len());
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // Refused or counted: what matters is that it comes back, and makes nothing up.
            let n_nodes: u64 = operators(&flipped).map_or(0, |found| found.nodes.values().sum());
            assert!(n_nodes < whole.len() as u64, "bit {bit}: {n_nodes}");
        }
    }
}
