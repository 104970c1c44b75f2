//! What a model takes and gives, in the gateway's words; what it cannot carry is refused by name.

use base_types::{DataType, Signature, TensorSpec};

use crate::raw::{ElementCode, Message, Outlet, OutletKind, Session};

/// Element types by their number in the C interface, from 0 on.
const ELEMENTS: [(&str, Option<DataType>); 27] = [
    ("undefined", None),
    ("FLOAT", Some(DataType::Fp32)),
    ("UINT8", Some(DataType::Uint8)),
    ("INT8", Some(DataType::Int8)),
    ("UINT16", Some(DataType::Uint16)),
    ("INT16", Some(DataType::Int16)),
    ("INT32", Some(DataType::Int32)),
    ("INT64", Some(DataType::Int64)),
    ("STRING", Some(DataType::Bytes)),
    ("BOOL", Some(DataType::Bool)),
    ("FLOAT16", Some(DataType::Fp16)),
    ("DOUBLE", Some(DataType::Fp64)),
    ("UINT32", Some(DataType::Uint32)),
    ("UINT64", Some(DataType::Uint64)),
    ("COMPLEX64", None),
    ("COMPLEX128", None),
    ("BFLOAT16", Some(DataType::Bf16)),
    ("FLOAT8E4M3FN", None),
    ("FLOAT8E4M3FNUZ", None),
    ("FLOAT8E5M2", None),
    ("FLOAT8E5M2FNUZ", None),
    ("UINT4", None),
    ("INT4", None),
    ("FLOAT4E2M1", None),
    ("UINT2", None),
    ("INT2", None),
    ("FLOAT8E8M0", None),
];

/// Reads the signature of a loaded model.
pub(crate) fn signature(session: &Session) -> Result<Signature, Message> {
    let specs = |side: &str, outlets: Vec<Outlet>| -> Result<Vec<TensorSpec>, Message> {
        outlets.into_iter().map(|outlet| spec(side, outlet)).collect()
    };
    Ok(Signature { inputs: specs("input", session.inputs()?)?, outputs: specs("output", session.outputs()?)? })
}

/// The gateway's data type for an element type of the runtime.
pub(crate) fn datatype(element: ElementCode) -> Result<DataType, Message> {
    let known = usize::try_from(element.0).ok().and_then(|code| ELEMENTS.get(code));
    match known {
        Some((_, Some(datatype))) => Ok(*datatype),
        Some((name, None)) => Err(format!("element type {name}, which no protocol here can carry")),
        None => Err(format!("element type number {}, which is unknown here", element.0)),
    }
}

/// The runtime's element type for a data type of the gateway.
pub(crate) fn element(datatype: DataType) -> ElementCode {
    ElementCode(match datatype {
        DataType::Fp32 => 1,
        DataType::Uint8 => 2,
        DataType::Int8 => 3,
        DataType::Uint16 => 4,
        DataType::Int16 => 5,
        DataType::Int32 => 6,
        DataType::Int64 => 7,
        DataType::Bytes => 8,
        DataType::Bool => 9,
        DataType::Fp16 => 10,
        DataType::Fp64 => 11,
        DataType::Uint32 => 12,
        DataType::Uint64 => 13,
        DataType::Bf16 => 16,
    })
}

fn spec(side: &str, outlet: Outlet) -> Result<TensorSpec, Message> {
    let name = outlet.name;
    let (code, dims) = match outlet.kind {
        OutletKind::Tensor { element, dims } => (element, dims),
        OutletKind::Other(kind) => return Err(format!("{side} {name:?} is a {kind}; only tensors can be served")),
    };
    let datatype = datatype(code).map_err(|what| format!("{side} {name:?} has {what}"))?;
    let dims = dims.ok_or_else(|| {
        format!("{side} {name:?} has no shape, not even a rank; export the model with shapes (−1 or a name where any size will do)")
    })?;
    // Dynamic dimensions are −1.
    let dims = dims.into_iter().map(|dim| usize::try_from(dim).ok()).collect();
    Ok(TensorSpec { name, datatype, dims })
}
