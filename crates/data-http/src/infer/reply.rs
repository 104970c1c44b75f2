//! The answer to an inference request: each output in the form the caller asked for, and the whole of it packed where
//! the caller takes it packed.

use base_serving::Declaration;
use base_types::{DataType, Reason, Tensor};
use bytes::Bytes;
use data_codec::{AnswerHead, DecodedInfer, EncodedAnswer, Form, classify, encode_answer};
use data_edge::ReplyBody;
use data_edge::compress::{answer_encoding, pack};
use data_path::{Answer, Code, Failure, Uncarried};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response};

use super::JSON_BYTES_HEADER;

/// Types that JSON does not carry, as Triton has it.
static NOT_IN_JSON: [DataType; 2] = [DataType::Fp16, DataType::Bf16];
/// Smaller answers are sent as they are: packing gains nothing.
const PACKED_FROM_BYTES: usize = 1024;
static JSON_BYTES: HeaderName = HeaderName::from_static(JSON_BYTES_HEADER);

/// How one output is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wish {
    name: String,
    form: Form,
    classes: Option<usize>,
}

/// How the outputs are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wishes {
    /// Those named, in the order asked for; empty means all.
    named: Vec<Wish>,
    /// The form of those not named.
    form: Form,
}

impl Wishes {
    pub(super) fn new(request: &DecodedInfer) -> Self {
        let form = |is_binary: bool| if is_binary { Form::Binary } else { Form::Json };
        let named = request.outputs.iter().map(|output| Wish {
            name: output.name.clone(),
            form: form(output.is_binary.unwrap_or_else(|| request.is_binary())),
            classes: output.classes,
        });
        Self { named: named.collect(), form: form(request.is_binary()) }
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.named.iter().map(|wish| wish.name.clone()).collect()
    }

    /// What would have to go as JSON and cannot.
    pub(super) fn uncarried(&self) -> Uncarried {
        if self.named.is_empty() && self.form == Form::Binary {
            return Uncarried::default();
        }
        let names = |is_meant: fn(&&Wish) -> bool| self.named.iter().filter(is_meant).map(|wish| wish.name.clone());
        let spared = names(|wish| wish.form == Form::Binary || wish.classes.is_some()).collect();
        let classified = names(|wish| wish.classes.is_some()).collect();
        Uncarried { types: &NOT_IN_JSON, spared, classified }
    }

    /// The output as it is sent, and how.
    fn fulfil(&self, index: usize, output: Tensor, declared: &Declaration) -> Result<(Tensor, Form), String> {
        match self.named.get(index) {
            None => Ok((output, self.form)),
            Some(Wish { form, classes: None, .. }) => Ok((output, *form)),
            Some(Wish { form, classes: Some(k), .. }) => {
                let is_batched = output.shape().len() > 1;
                let labels = declared.labels(output.name());
                let classes = classify(&output, *k, is_batched, labels).map_err(|error| error.to_string())?;
                Ok((classes, *form))
            }
        }
    }
}

/// Encodes a good answer, or says why it cannot be had in the form asked for.
pub(super) fn encode(answer: Answer, id: Option<&str>, wishes: &Wishes) -> Result<EncodedAnswer, Failure> {
    let Answer { served, reason, outputs, declared, .. } = answer;
    let outputs: Result<Vec<_>, String> =
        outputs.into_iter().enumerate().map(|(index, output)| wishes.fulfil(index, output, &declared)).collect();
    let version = &served.version;
    let head = AnswerHead {
        model: version.id.model.as_str(),
        version: version.id.version.get(),
        id,
        digest: &version.digest_short,
        generation: served.generation.0,
        reason: Reason::as_str(reason),
    };
    let encoded = outputs.and_then(|outputs| {
        let unsent = |error| format!("{error}: ask for it as binary data, or leave it out with `outputs`");
        encode_answer(&head, &outputs).map_err(unsent)
    });
    encoded.map_err(|text| Failure {
        served: Some(served.clone()),
        reason: Some(reason),
        ..Failure::new(Code::Unsupported, text)
    })
}

/// The response to a good answer. Only such are ever packed: clients cannot read anything else packed.
pub(super) async fn respond(answer: EncodedAnswer, asked: &HeaderMap) -> Response<ReplyBody> {
    let EncodedAnswer { pieces, json_bytes } = answer;
    let n_bytes: usize = pieces.iter().map(Bytes::len).sum();
    let encoding = answer_encoding(asked).filter(|_| n_bytes >= PACKED_FROM_BYTES);
    let packed = match encoding {
        // Memory takes all that is written to it: without a packed form the plain one is sent.
        Some(encoding) => pack(&pieces, encoding).await.ok().map(|bytes| (bytes, encoding)),
        None => None,
    };
    let mut response = Response::new(ReplyBody::default());
    let headers = response.headers_mut();
    let content_type = if json_bytes.is_some() { "application/octet-stream" } else { "application/json" };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(json_bytes) = json_bytes {
        headers.insert(&JSON_BYTES, HeaderValue::from(json_bytes));
    }
    *response.body_mut() = match packed {
        Some((bytes, encoding)) => {
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(encoding.as_str()));
            ReplyBody::from(bytes)
        }
        None => ReplyBody::pieces(pieces),
    };
    response
}
