//! What follows from a message once it is complete.

use super::{Frame, State, Walk};
use crate::preflight::schema::Kind;
use crate::preflight::tensor::{External, Shape, Tensor, dense_bytes};
use crate::preflight::{DOMAINS, ExternalFile, Facts, IR_VERSION_MAX, normal_domain, quote};
use crate::{Refusal, RefusalCode};

impl<'a> Walk<'a, '_> {
    /// The innermost message is complete.
    pub(super) fn close(&mut self) -> Result<(), Refusal> {
        let Some(Frame { kind, within, state, .. }) = self.stack.pop() else { return Ok(()) };
        let parent = self.stack.last().map(|parent| parent.kind);
        match state {
            State::Function { index, key } => {
                self.calls.end_function(index, key);
                self.function = None;
            }
            State::Node(key) => self.calls.node(self.function, key)?,
            State::Tensor(tensor) => self.close_tensor(&tensor, within)?,
            State::Sparse { shape, data_type } => self.check_sparse(shape, data_type)?,
            State::ValueInfo { name } => self.close_value(name, within, parent)?,
            State::Opset { domain, version } => self.close_opset(domain, version, parent)?,
            State::Entry { key, value } => self.close_entry(key, value, within)?,
            State::None => {}
        }
        match kind {
            Kind::Graph if parent == Some(Kind::Attribute) => self.subgraph_depth -= 1,
            Kind::Type => self.type_depth -= 1,
            _ => {}
        }
        Ok(())
    }

    fn close_tensor(&mut self, tensor: &Tensor<'a>, within: u32) -> Result<(), Refusal> {
        if let Some(External { location, end }) = tensor.check()? {
            let bytes_min = self.external.entry(location).or_insert(0);
            *bytes_min = end.max(*bytes_min);
            if self.external.len() > self.limits.external_files {
                let text = format!("the model refers to more than {} external files", self.limits.external_files);
                return Err(Refusal::new(RefusalCode::TooMany, text));
            }
        }
        // Field 1 of a sparse tensor holds its values, whose type it shares.
        if let Some(State::Sparse { data_type, .. }) = self.stack.last_mut().map(|frame| &mut frame.state)
            && within == 1
        {
            *data_type = tensor.data_type;
        }
        Ok(())
    }

    /// The runtime makes sparse initialisers dense, so a few bytes may ask for any amount of memory.
    fn check_sparse(&self, shape: Shape, data_type: u64) -> Result<(), Refusal> {
        let limit = self.limits.dense_tensor_bytes;
        match dense_bytes(shape, data_type) {
            Some(bytes) if bytes <= limit => Ok(()),
            _ => {
                let text = format!("a sparse tensor would take more than {limit} bytes when made dense");
                Err(Refusal::new(RefusalCode::Dimensions, text))
            }
        }
    }

    fn close_value(&mut self, name: &str, within: u32, parent: Option<Kind>) -> Result<(), Refusal> {
        // The main graph is the one directly below the model: two frames are left.
        if parent != Some(Kind::Graph) || self.stack.len() != 2 || !matches!(within, 11 | 12) {
            return Ok(());
        }
        let names = if within == 11 { &mut self.facts.inputs } else { &mut self.facts.outputs };
        if names.len() >= self.limits.graph_values {
            let text = format!("the model has more than {} inputs or outputs", self.limits.graph_values);
            return Err(Refusal::new(RefusalCode::TooMany, text));
        }
        names.push(name.to_owned());
        Ok(())
    }

    fn close_opset(&mut self, domain: &str, version: i64, parent: Option<Kind>) -> Result<(), Refusal> {
        /// Most operator sets a model may import.
        const OPSETS_MAX: usize = 256;
        let known = DOMAINS.iter().find(|(known, _)| *known == normal_domain(domain));
        if let Some((name, newest)) = known.filter(|(_, newest)| version > *newest) {
            let name = if name.is_empty() { "ai.onnx" } else { name };
            let text = format!(
                "the model uses operator set {version} of {name}, the runtime knows up to {newest}: export it with an older one"
            );
            return Err(Refusal::new(RefusalCode::Opset, text));
        }
        if parent == Some(Kind::Model) {
            if self.facts.opsets.len() >= OPSETS_MAX {
                let text = format!("the model imports more than {OPSETS_MAX} operator sets");
                return Err(Refusal::new(RefusalCode::TooMany, text));
            }
            self.facts.opsets.push((domain.to_owned(), version));
        }
        Ok(())
    }

    /// Field 13 of a tensor says where its external data lie.
    fn close_entry(&mut self, key: &'a str, value: &'a str, within: u32) -> Result<(), Refusal> {
        /// Four keys are known; a few more are kept so that the refusal can name the unknown one.
        const EXTERNAL_KEYS_MAX: usize = 8;
        if let Some(State::Tensor(tensor)) = self.stack.last_mut().map(|frame| &mut frame.state)
            && within == 13
        {
            if tensor.external.len() >= EXTERNAL_KEYS_MAX {
                let text = format!("tensor {} has too many external data keys", quote(tensor.name));
                return Err(Refusal::new(RefusalCode::ExternalData, text));
            }
            tensor.external.push((key, value));
        }
        Ok(())
    }

    /// The file is complete.
    pub(super) fn finish(mut self) -> Result<Facts, Refusal> {
        if !self.has_graph {
            return Err(Refusal::new(RefusalCode::Malformed, "the model file holds no graph: it is not an ONNX model"));
        }
        match self.facts.ir_version {
            1..=IR_VERSION_MAX => {}
            newer if newer > IR_VERSION_MAX => {
                let text = format!(
                    "the model has IR version {newer}, the runtime knows up to {IR_VERSION_MAX}: export it with an older one"
                );
                return Err(Refusal::new(RefusalCode::IrVersion, text));
            }
            _ => return Err(Refusal::new(RefusalCode::IrVersion, "the model does not say its IR version")),
        }
        self.calls.check(self.limits.nodes)?;
        let files = self.external.into_iter();
        self.facts.external =
            files.map(|(location, bytes_min)| ExternalFile { location: location.to_owned(), bytes_min }).collect();
        Ok(self.facts)
    }
}
