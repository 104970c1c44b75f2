//! Arithmetic of shapes, and the classification that trusts it.

use base_types::{Data, DataType, Tensor, element_count};
use bytes::Bytes;
use data_codec::{CLASSES_MAX, classify};

use crate::Meter;

/// The first byte is the data type, the second the number of dimensions, the third the number of classes. Each
/// dimension is a byte `n`: itself below 224, else 2 to the power of twice what is beyond. The rest are the elements.
pub fn shape<M: Meter>(bytes: &[u8], _: &M) {
    let Some(([datatype, rank, k], rest)) = bytes.split_first_chunk() else { return };
    let datatype = DataType::ALL[*datatype as usize % DataType::ALL.len()];
    let rank = (*rank as usize % 10).min(rest.len());
    let (dims, raw) = rest.split_at(rank);
    let shape: Vec<usize> = dims.iter().map(|dim| dimension(*dim)).collect();
    let exact = shape.iter().try_fold(1u128, |n, dim| n.checked_mul(*dim as u128).filter(|n| *n <= usize::MAX as u128));
    // A zero after an overflow is an overflow still; nobody needs such a shape.
    if let Some(n) = element_count(&shape) {
        assert_eq!(exact, Some(n as u128), "{shape:?}");
    } else {
        assert!(exact.is_none(), "{shape:?}");
    }
    let data = match datatype {
        DataType::Bytes => Data::Strings(raw.chunks(3).map(Bytes::copy_from_slice).collect()),
        _ => Data::Raw(Bytes::copy_from_slice(raw)),
    };
    let Ok(tensor) = Tensor::new("x", datatype, shape, data) else { return };
    for is_batched in [false, true] {
        let Ok(classes) = classify(&tensor, *k as usize, is_batched, &[]) else { continue };
        assert!(classes.element_count() <= CLASSES_MAX.min(tensor.element_count()));
        check_classes(&tensor, &classes);
    }
}

fn dimension(byte: u8) -> usize {
    match byte.checked_sub(224) {
        None => byte as usize,
        Some(beyond) => 1usize << (2 * usize::from(beyond)),
    }
}

/// Every class names an element that is there, and larger ones come first.
fn check_classes(tensor: &Tensor, classes: &Tensor) {
    let Data::Strings(texts) = classes.data() else { panic!("classes are text") };
    let per_row = classes.shape().last().copied().unwrap_or(1).max(1);
    for row in texts.chunks(per_row) {
        let mut last = f64::INFINITY;
        for text in row {
            let text = std::str::from_utf8(text).unwrap();
            let (value, index) = text.split_once(':').unwrap();
            let value: f64 = value.parse().unwrap();
            assert!(value.is_nan() || value <= last, "{text} after {last}");
            assert!(index.parse::<usize>().unwrap() < tensor.element_count());
            last = if value.is_nan() { f64::NEG_INFINITY } else { value };
        }
    }
}
