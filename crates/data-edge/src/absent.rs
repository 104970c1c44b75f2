//! Parts of the protocols that are left out on purpose and that a parameter of a request can ask for.

use data_codec::{Parameter, Parameters};
use data_path::{Code, Failure};

/// Parameters that make a request a part of a sequence.
const SEQUENCE: [&str; 3] = ["sequence_id", "sequence_start", "sequence_end"];

/// Refuses a request that needs what is not there. Values that mean "not at all" pass, because clients send them
/// unasked.
///
/// # Errors
/// The request is a part of a sequence: no model here keeps state between requests.
pub fn refuse_absent(parameters: &Parameters) -> Result<(), Failure> {
    let asked = SEQUENCE.into_iter().find(|name| parameters.get(name).is_some_and(|value| !is_nothing(value)));
    match asked {
        None => Ok(()),
        Some(name) => {
            let text = format!(
                "the parameter {name:?} makes this request a part of a sequence, and no model here keeps state between \
                 requests: leave it out"
            );
            Err(Failure::new(Code::NotImplemented, text))
        }
    }
}

fn is_nothing(value: &Parameter) -> bool {
    match value {
        Parameter::Bool(value) => !value,
        Parameter::Unsigned(value) => *value == 0,
        Parameter::Signed(value) => *value == 0,
        Parameter::Float(value) => *value == 0.0,
        Parameter::Text(value) => value.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use bytes::Bytes;
    use data_codec::{CodecLimits, decode_infer};

    use super::*;

    #[test]
    fn sequences_are_refused_and_their_defaults_are_not() {
        let check = |parameters: &str, is_refused: bool| {
            let body = Bytes::from(format!(r#"{{"inputs":[],"parameters":{parameters}}}"#));
            let request = decode_infer(&body, None, &CodecLimits::default()).unwrap();
            let code = refuse_absent(&request.parameters).err().map(|failure| failure.code);
            assert_eq!(code, is_refused.then_some(Code::NotImplemented), "{parameters}");
        };
        check("{}", false);
        check(r#"{"sequence_id":0,"sequence_start":false,"sequence_end":false,"priority":0}"#, false);
        check(r#"{"sequence_id":""}"#, false);
        check(r#"{"sequence_id":7}"#, true);
        check(r#"{"sequence_id":"a"}"#, true);
        check(r#"{"sequence_start":true}"#, true);
        check(r#"{"sequence_end":true}"#, true);
    }
}
