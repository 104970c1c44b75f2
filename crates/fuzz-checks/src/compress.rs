//! Packed bodies.

use bytes::Bytes;
use data_edge::compress::{Encoding, Inflate, InflateError};

use crate::{Meter, check_peak};

/// The most a body may unpack to here.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The first byte says how the rest is packed: gzip if even, else deflate.
pub fn decompress<M: Meter>(bytes: &[u8], meter: &M) {
    let Some((kind, packed)) = bytes.split_first() else { return };
    let encoding = if kind % 2 == 0 { Encoding::Gzip } else { Encoding::Deflate };
    let packed = Bytes::copy_from_slice(packed);
    let ((n_bytes, result), peak) = meter.peak(|| unpack(encoding, packed.clone()));
    check_peak(peak, n_bytes.max(packed.len()));
    assert!(n_bytes <= MAX_BYTES && n_bytes <= (20 * packed.len()).max(1024 * 1024));
    if let Ok(body) = result {
        assert_eq!(body.len(), n_bytes);
        // Nothing may be missing, and nothing follow.
        let shorter = packed.slice(..packed.len() - 1);
        assert!(unpack(encoding, shorter).1.is_err());
        let longer = Bytes::from([&packed[..], &[0]].concat());
        assert_eq!(unpack(encoding, longer).1, Err(InflateError::Trailing(encoding.as_str())));
    }
}

fn unpack(encoding: Encoding, packed: Bytes) -> (usize, Result<Bytes, InflateError>) {
    let mut inflate = Inflate::new(encoding, packed, MAX_BYTES).aligned_at(13);
    loop {
        match inflate.step() {
            Ok(true) => {}
            Ok(false) => return (inflate.unpacked_bytes(), inflate.finish()),
            Err(error) => return (inflate.unpacked_bytes(), Err(error)),
        }
    }
}
