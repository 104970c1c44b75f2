#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::onnx::{affine4, self_identifying, strings};

fn fault() -> Fault {
    Fault { input: "x".into(), column: 0, when: When::Above(1.0), output: "y".into(), effect: Effect::Nan }
}

#[test]
fn what_is_not_touched_stays_byte_for_byte() {
    let model = self_identifying(3);
    let derived = faulty(&model, &fault()).unwrap();
    let before = fields(&model).unwrap();
    let after = fields(&derived).unwrap();
    assert_eq!(before.len(), after.len());
    for (b, a) in before.iter().zip(&after) {
        assert_eq!(b.number, a.number);
        assert_eq!(b.raw == a.raw, b.number != 7);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let check = |model: &[u8], edit: fn(&mut Fault)| {
        let mut fault = fault();
        edit(&mut fault);
        faulty(model, &fault).unwrap_err()
    };
    let model = affine4(1.0, 0.0);
    assert_eq!(check(&model, |f| f.input = "z".into()), DeriveError::NoInput("z".into()));
    assert_eq!(check(&model, |f| f.output = "z".into()), DeriveError::NoOutput("z".into()));
    assert_eq!(check(&strings(), |_| ()), DeriveError::NoOutput("y".into()));
    assert_eq!(check(b"", |_| ()), DeriveError::Opset(0));
    assert!(matches!(check(&model[..model.len() - 1], |_| ()), DeriveError::Wire(_)));
    assert!(matches!(check(b"not a model", |_| ()), DeriveError::Wire(_)));
}

#[test]
fn a_note_changes_the_bytes_only() {
    let model = affine4(1.0, 0.0);
    let noted = annotated(&model, "rebuilt").unwrap();
    assert_ne!(noted, model);
    assert_eq!(noted[..model.len()], model);
}
