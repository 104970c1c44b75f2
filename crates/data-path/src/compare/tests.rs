#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use bytes::Bytes;

use super::*;

const NEAR: Match = Match::Tolerance { absolute: 0.01, relative: 0.1 };

fn floats(shape: &[usize], values: &[f32]) -> Tensor {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    Tensor::new("y", DataType::Fp32, shape.to_vec(), Data::Raw(Bytes::from(bytes))).unwrap()
}

fn longs(values: &[i64]) -> Tensor {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    Tensor::new("y", DataType::Int64, vec![values.len()], Data::Raw(Bytes::from(bytes))).unwrap()
}

fn texts(values: &[&'static str]) -> Tensor {
    let texts = values.iter().map(|text| Bytes::from_static(text.as_bytes())).collect();
    Tensor::new("y", DataType::Bytes, vec![values.len()], Data::Strings(texts)).unwrap()
}

fn agreement(rule: Match, ours: &Tensor, theirs: &Tensor) -> OutputDifference {
    let comparison = Comparison { otherwise: rule, ..Comparison::default() };
    compare(&comparison, std::slice::from_ref(ours), std::slice::from_ref(theirs)).outputs.remove(0)
}

fn check(rule: Match, ours: &[f32], theirs: &[f32], expected: bool) {
    let (ours, theirs) = (floats(&[ours.len()], ours), floats(&[theirs.len()], theirs));
    assert_eq!(agreement(rule, &ours, &theirs).is_same, expected, "{rule:?} {ours:?} {theirs:?}");
}

#[test]
fn a_tolerance_is_absolute_plus_relative_to_stables_value() {
    check(NEAR, &[0.0, 10.0], &[0.01, 11.0], true);
    check(NEAR, &[0.0], &[0.02], false);
    check(NEAR, &[10.0], &[11.02], false);
    check(NEAR, &[11.02], &[10.0], true);
    check(NEAR, &[-10.0], &[-11.0], true);
    check(NEAR, &[10.0], &[-10.0], false);
    check(NEAR, &[], &[], true);
}

#[test]
fn what_is_not_finite_is_near_only_to_itself() {
    let (nan, infinity) = (f32::NAN, f32::INFINITY);
    check(NEAR, &[nan, infinity, -infinity], &[nan, infinity, -infinity], true);
    check(NEAR, &[infinity], &[1.0], false);
    check(NEAR, &[1.0], &[infinity], false);
    check(NEAR, &[infinity], &[-infinity], false);
    check(NEAR, &[nan], &[1.0], false);
    check(NEAR, &[1.0], &[nan], false);
    let (ours, theirs) = (floats(&[3], &[nan, infinity, 1.0]), floats(&[3], &[nan, infinity, 1.5]));
    assert_eq!(agreement(NEAR, &ours, &theirs).largest, Some(0.5));
    assert_eq!(agreement(NEAR, &ours, &floats(&[3], &[0.0, 0.0, 0.0])).largest, Some(f64::INFINITY));
}

#[test]
fn large_whole_numbers_that_doubles_confuse_are_told_apart() {
    let exact = Match::Tolerance { absolute: 0.0, relative: 0.0 };
    let large = (1 << 53) + 1;
    assert!(agreement(exact, &longs(&[large, i64::MIN]), &longs(&[large, i64::MIN])).is_same);
    assert!(!agreement(exact, &longs(&[large]), &longs(&[large - 1])).is_same);
    let one = Match::Tolerance { absolute: 1.0, relative: 0.0 };
    assert!(agreement(one, &longs(&[large]), &longs(&[large - 1])).is_same);
    assert!(!agreement(one, &longs(&[i64::MIN]), &longs(&[i64::MAX])).is_same);
}

#[test]
fn exact_means_every_bit() {
    check(Match::Exact, &[1.0, f32::NAN], &[1.0, f32::NAN], true);
    check(Match::Exact, &[0.0], &[-0.0], false);
    let other = Tensor::new("y", DataType::Int32, vec![1], Data::Raw(Bytes::from_static(&[0; 4]))).unwrap();
    assert!(!agreement(Match::Exact, &floats(&[1], &[0.0]), &other).is_same, "of another type");
    assert!(agreement(NEAR, &floats(&[1], &[0.0]), &other).is_same, "but as near as can be");
}

#[test]
fn each_row_has_its_largest_value_at_the_same_position() {
    let of = |theirs: &[f32]| {
        let ours = floats(&[2, 3], &[0.1, 0.7, 0.2, 5.0, 4.0, 4.5]);
        agreement(Match::Argmax, &ours, &floats(&[2, 3], theirs)).is_same
    };
    assert!(of(&[0.3, 0.4, 0.3, 9.0, 0.0, 0.0]));
    assert!(!of(&[0.3, 0.4, 0.3, 0.0, 9.0, 0.0]), "the second row differs");
    assert!(!of(&[f32::NAN; 6]));
    // All of a tensor of one dimension is one row, and further dimensions belong to the row.
    check(Match::Argmax, &[1.0, 2.0], &[5.0, 6.0], true);
    let deep = |largest_at: usize| {
        floats(&[1, 2, 2], &std::array::from_fn::<f32, 4, _>(|i| if i == largest_at { 1.0 } else { 0.0 }))
    };
    assert!(!agreement(Match::Argmax, &deep(1), &deep(3)).is_same);
    assert!(agreement(Match::Argmax, &floats(&[0, 3], &[]), &floats(&[0, 3], &[])).is_same);
    assert!(agreement(Match::Argmax, &floats(&[3, 0], &[]), &floats(&[3, 0], &[])).is_same);
}

#[test]
fn of_the_largest_so_many_stand_at_the_same_positions() {
    let rule = |k, overlap| Match::TopK { k, overlap };
    let ours = [9.0, 8.0, 7.0, 1.0, 0.0];
    check(rule(3, 1.0), &ours, &[7.0, 9.0, 8.0, 1.0, 0.0], true);
    check(rule(3, 1.0), &ours, &[9.0, 8.0, 1.0, 7.0, 0.0], false);
    check(rule(3, 0.6), &ours, &[9.0, 8.0, 1.0, 7.0, 0.0], true);
    check(rule(3, 0.7), &ours, &[9.0, 8.0, 1.0, 7.0, 0.0], false);
    check(rule(50, 1.0), &ours, &[0.0; 5], true);
    check(rule(1, 1.0), &ours, &[f32::NAN, 8.0, 7.0, 1.0, 0.0], false);
}

#[test]
fn texts_and_flags_are_the_same_or_they_are_not() {
    for rule in [NEAR, Match::Argmax, Match::TopK { k: 1, overlap: 1.0 }, Match::Exact] {
        assert!(agreement(rule, &texts(&["a", "b"]), &texts(&["a", "b"])).is_same, "{rule:?}");
        assert!(!agreement(rule, &texts(&["a", "b"]), &texts(&["a", "c"])).is_same, "{rule:?}");
        let flag = |set: u8| Tensor::new("y", DataType::Bool, vec![1], Data::Raw(vec![set].into())).unwrap();
        assert!(agreement(rule, &flag(1), &flag(1)).is_same, "{rule:?}");
        assert!(!agreement(rule, &flag(1), &flag(0)).is_same, "{rule:?}");
    }
    assert_eq!(agreement(NEAR, &texts(&["a"]), &texts(&["b"])).largest, None);
}

#[test]
fn another_shape_and_a_missing_output_are_other_answers_unless_it_does_not_matter() {
    let (row, column) = (floats(&[1, 2], &[1.0, 2.0]), floats(&[2, 1], &[1.0, 2.0]));
    for rule in [NEAR, Match::Argmax, Match::Exact] {
        assert!(!agreement(rule, &row, &column).is_same, "{rule:?}");
    }
    assert!(agreement(Match::Ignore, &row, &column).is_same);
    let strict = Comparison { otherwise: Match::Exact, ..Comparison::default() };
    assert!(!compare(&strict, std::slice::from_ref(&row), &[]).is_same());
    assert!(compare(&strict, &[], &[row]).is_same(), "what stable does not have is nobody's answer");
}

#[test]
fn outputs_have_rules_of_their_own_and_are_found_by_name() {
    let comparison = Comparison {
        outputs: [("label".into(), Match::Exact), ("noise".into(), Match::Ignore)].into(),
        otherwise: NEAR,
    };
    let (label, noise, score) = (longs(&[3]).named("label"), floats(&[1], &[1.0]).named("noise"), floats(&[1], &[1.0]));
    let stable = [label.clone(), noise, score];
    let of = |label: Tensor, score: f32| {
        let candidate = [floats(&[1], &[score]), floats(&[1], &[99.0]).named("noise"), label];
        compare(&comparison, &stable, &candidate)
    };
    assert!(of(label.clone(), 1.05).is_same());
    assert!(!of(longs(&[4]).named("label"), 1.05).is_same());
    let agreement = of(label, 1.2);
    assert!(!agreement.is_same());
    let largest = agreement.outputs.iter().map(|output| (output.output.as_str(), output.is_same));
    assert_eq!(largest.collect::<Vec<_>>(), [("label", true), ("noise", true), ("y", false)]);
}
