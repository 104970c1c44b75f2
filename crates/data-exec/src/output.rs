//! Checks of what a run gave: no peer looks, and the transport would say 200.

use base_serving::ModelLimits;
use base_types::{Data, DataType, FaultKind, Tensor, TensorSpec};

/// Checks one output against its declaration.
pub(crate) fn check(output: &Tensor, spec: &TensorSpec, limits: &ModelLimits) -> Result<(), (FaultKind, String)> {
    if !spec.accepts(output.datatype(), output.shape()) {
        let found = format!("{} {:?}", output.datatype(), output.shape());
        return Err((FaultKind::WrongOutput, format!("output {spec} came as {found}")));
    }
    if !is_finite(output) && !limits.allow_non_finite.contains(spec.name.as_str()) {
        return Err((FaultKind::NonFinite, format!("output {:?} holds NaN or an infinity", spec.name)));
    }
    Ok(())
}

/// Whether a floating-point tensor holds only finite numbers; other types always do. A number is not finite
/// exactly when all bits of its exponent are set.
pub(crate) fn is_finite(tensor: &Tensor) -> bool {
    let Data::Raw(raw) = tensor.data() else { return true };
    match tensor.datatype() {
        DataType::Fp32 => {
            const EXPONENT: u32 = 0x7f80_0000;
            let bits = raw.as_chunks::<4>().0.iter().map(|c| u32::from_le_bytes(*c));
            !bits.fold(false, |found, b| found | (b & EXPONENT == EXPONENT))
        }
        DataType::Fp64 => {
            const EXPONENT: u64 = 0x7ff0_0000_0000_0000;
            let bits = raw.as_chunks::<8>().0.iter().map(|c| u64::from_le_bytes(*c));
            !bits.fold(false, |found, b| found | (b & EXPONENT == EXPONENT))
        }
        DataType::Fp16 => halves_are_finite(raw, 0x7c00),
        DataType::Bf16 => halves_are_finite(raw, 0x7f80),
        _ => true,
    }
}

fn halves_are_finite(raw: &[u8], exponent: u16) -> bool {
    let bits = raw.as_chunks::<2>().0.iter().map(|c| u16::from_le_bytes(*c));
    !bits.fold(false, |found, b| found | (b & exponent == exponent))
}
