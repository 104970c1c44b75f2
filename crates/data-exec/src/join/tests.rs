#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::sync::Arc;
use std::time::Instant;

use base_serving::ModelLimits;

use super::*;

fn fp32(name: &str, shape: &[usize], values: &[f32]) -> Tensor {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    Tensor::new(name, DataType::Fp32, shape.to_vec(), Data::Raw(Bytes::from(bytes))).unwrap()
}

fn texts(name: &str, values: &[&'static str]) -> Tensor {
    let data = values.iter().map(|value| Bytes::from_static(value.as_bytes())).collect();
    Tensor::new(name, DataType::Bytes, vec![values.len()], Data::Strings(data)).unwrap()
}

fn job(inputs: Vec<Tensor>) -> Job {
    Job {
        inputs: inputs.into(),
        outputs: Arc::new([0]),
        deadline: Instant::now(),
        limits: Arc::new(ModelLimits::default()),
        control: Arc::default(),
    }
}

#[test]
fn what_was_joined_is_split_again() {
    let jobs = [
        job(vec![fp32("x", &[1, 2], &[1.0, 2.0]), texts("t", &["a"])]),
        job(vec![fp32("x", &[2, 2], &[3.0, 4.0, 5.0, 6.0]), texts("t", &["b", "c"])]),
    ];
    let joined = join(&jobs.iter().collect::<Vec<_>>()).unwrap();
    assert_eq!(joined[0], fp32("x", &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    assert_eq!(joined[1], texts("t", &["a", "b", "c"]));
    let parts = split(&joined, &[1, 2]).unwrap();
    assert_eq!(parts[0], jobs[0].inputs.to_vec());
    assert_eq!(parts[1], jobs[1].inputs.to_vec());
    // Numbers are not copied: the parts lie in what was joined.
    let (Data::Raw(whole), Data::Raw(part)) = (joined[0].data(), parts[1][0].data()) else { unreachable!() };
    assert_eq!(part.as_ptr(), whole[8..].as_ptr());
}

#[test]
fn an_output_without_a_row_for_each_row_is_not_divided() {
    let whole = fp32("y", &[2, 1], &[1.0, 2.0]);
    assert!(
        split(std::slice::from_ref(&whole), &[1, 2]).unwrap_err().contains("of a batch of 3 rows has the shape [2, 1]")
    );
    assert!(split(&[fp32("y", &[], &[1.0])], &[1]).is_err());
    assert_eq!(split(&[whole], &[1, 1]).unwrap().len(), 2);
    // Rows without elements have no bytes.
    assert_eq!(split(&[fp32("y", &[3, 0], &[])], &[1, 2]).unwrap()[1][0].shape(), [2, 0]);
}

#[test]
fn only_jobs_that_differ_in_their_rows_alone_may_join() {
    let one = || job(vec![fp32("x", &[1, 2], &[1.0, 2.0])]);
    assert!(may_join(&one(), &job(vec![fp32("x", &[2, 2], &[0.0; 4])])));
    assert!(!may_join(&one(), &job(vec![fp32("x", &[1, 3], &[0.0; 3])])));
    assert!(!may_join(&one(), &Job { outputs: Arc::new([1]), ..one() }));
    let limits = ModelLimits { queue_requests: 1, ..ModelLimits::default() };
    assert!(!may_join(&one(), &Job { limits: Arc::new(limits), ..one() }));
    assert_eq!(rows(&one()), 1);
    assert_eq!(rows(&job(vec![fp32("x", &[2, 1], &[0.0; 2]), fp32("z", &[1, 1], &[0.0])])), 0);
    assert_eq!(rows(&job(vec![fp32("x", &[], &[0.0])])), 0);
    assert_eq!(rows(&job(vec![fp32("x", &[0, 2], &[])])), 0);
    assert_eq!(rows(&job(vec![])), 0);
}

#[test]
fn rounding_is_no_difference_and_a_neighbours_number_is() {
    let alone = [fp32("y", &[1, 3], &[100.0, 0.0, f32::NAN])];
    let check = |values: [f32; 3]| difference(&[fp32("y", &[1, 3], &values)], &alone, 0.001);
    assert_eq!(check([100.0, 0.0, f32::NAN]), None);
    assert_eq!(check([100.05, 0.05, f32::NAN]), None);
    assert!(check([100.2, 0.0, f32::NAN]).unwrap().contains("the rows depend on each other"));
    assert!(check([100.0, 0.0, 1.0]).is_some());
    assert!(check([f32::INFINITY, 0.0, f32::NAN]).is_some());
    assert!(difference(&[fp32("y", &[3], &[0.0; 3])], &alone, 0.001).is_some());
    assert!(difference(&[], &alone, 0.001).is_some());
    // Texts and whole numbers are the same or not.
    assert!(difference(&[texts("y", &["a"])], &[texts("y", &["b"])], 1.0).is_some());
}

#[test]
fn half_precision_is_read_right() {
    for (bits, value) in [(0x3c00, 1.0), (0xc000, -2.0), (0x0001, 2.0_f64.powi(-24)), (0x7bff, 65_504.0), (0, 0.0)] {
        assert_eq!(half(bits), value, "{bits:x}");
    }
    assert!(half(0x7c00).is_infinite() && half(0x7e00).is_nan());
}
