//! Where a file is cut into parts, so that versions that differ in a few tensors share the others.
//!
//! A file is cut where its large tensors begin and end. What lies between two of them and is small (names, dimensions,
//! padding) goes with the tensor that follows: it says the same in both versions. What is long is cut again at fixed
//! distances from where it begins, so that no part is large.

use std::ops::Range;

/// Tensors of fewer bytes are not worth an object of their own.
pub(crate) const TENSOR_BYTES_MIN: u64 = 64 << 10;
/// Less than this between two tensors goes with the second.
const GAP_BYTES_MIN: u64 = 4 << 10;
/// Largest part, in bytes.
pub(crate) const PART_BYTES_MAX: u64 = 4 << 20;
/// Most parts of one file. A file that would have more is cut only where larger tensors are.
const PARTS_MAX: u64 = 16_384;

/// The sizes of a file's parts, in its order. `tensors` may come in any order and overlap.
pub(crate) fn cut(size: u64, tensors: &[Range<u64>]) -> Vec<u64> {
    let mut tensors: Vec<Range<u64>> = tensors.iter().filter(|t| t.start < t.end && t.end <= size).cloned().collect();
    tensors.sort_by_key(|tensor| (tensor.start, tensor.end));
    let mut tensor_bytes_min = TENSOR_BYTES_MIN;
    loop {
        let sizes = cut_at(size, &tensors, tensor_bytes_min);
        // Parts by size alone stay below the bound for any file that fits into memory.
        if sizes.len() as u64 <= PARTS_MAX.max(2 * size.div_ceil(PART_BYTES_MAX)) {
            return sizes;
        }
        tensor_bytes_min *= 2;
    }
}

fn cut_at(size: u64, tensors: &[Range<u64>], tensor_bytes_min: u64) -> Vec<u64> {
    let (mut sizes, mut at) = (Vec::new(), 0);
    for tensor in tensors.iter().filter(|tensor| tensor.end - tensor.start >= tensor_bytes_min) {
        // Tensors may share bytes; the first that comes has them.
        if tensor.start < at {
            continue;
        }
        if tensor.start - at >= GAP_BYTES_MIN {
            push_pieces(&mut sizes, tensor.start - at);
            at = tensor.start;
        }
        push_pieces(&mut sizes, tensor.end - at);
        at = tensor.end;
    }
    push_pieces(&mut sizes, size - at);
    sizes
}

fn push_pieces(sizes: &mut Vec<u64>, mut length: u64) {
    while length > 0 {
        let piece = length.min(PART_BYTES_MAX);
        sizes.push(piece);
        length -= piece;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::single_range_in_vec_init, reason = "one tensor is a list of one span")]

    use super::*;

    const KIB: u64 = 1 << 10;

    #[track_caller]
    fn check(size: u64, tensors: &[Range<u64>], expected: &[u64]) {
        let sizes = cut(size, tensors);
        assert_eq!(sizes, expected);
        assert_eq!(sizes.iter().sum::<u64>(), size);
    }

    #[test]
    fn files_are_cut_where_large_tensors_begin_and_end() {
        check(0, &[], &[]);
        check(10, &[], &[10]);
        check(10 << 20, &[], &[4 << 20, 4 << 20, 2 << 20]);
        // Small gaps go with what follows, large ones stand alone.
        check(200 * KIB, &[100..100 + 64 * KIB], &[100 + 64 * KIB, 136 * KIB - 100]);
        check(200 * KIB, &[8 * KIB..72 * KIB, 73 * KIB..200 * KIB], &[8 * KIB, 64 * KIB, 128 * KIB]);
        // A small tensor is no reason to cut.
        check(100 * KIB, &[10 * KIB..20 * KIB], &[100 * KIB]);
        // A large one is cut from where it begins.
        let large = 8 * KIB..8 * KIB + (9 << 20);
        check(8 * KIB + (9 << 20), &[large], &[8 * KIB, 4 << 20, 4 << 20, 1 << 20]);
    }

    #[test]
    fn odd_tensors_do_no_harm() {
        check(100 * KIB, &[0..100 * KIB, 0..100 * KIB, 10 * KIB..90 * KIB], &[100 * KIB]);
        // Beyond the end, backwards.
        #[expect(clippy::reversed_empty_ranges, reason = "files may say so")]
        check(100 * KIB, &[50 * KIB..u64::MAX, 90 * KIB..10], &[100 * KIB]);
    }

    #[test]
    fn the_number_of_parts_is_bounded() {
        let step = TENSOR_BYTES_MIN + GAP_BYTES_MIN;
        let tensors: Vec<_> = (0..40_000).map(|n| n * step..n * step + TENSOR_BYTES_MIN).collect();
        let size = 40_000 * step;
        let sizes = cut(size, &tensors);
        assert!(sizes.len() as u64 <= PARTS_MAX, "{}", sizes.len());
        assert_eq!(sizes.iter().sum::<u64>(), size);
    }
}
