//! The routes that take a small body: the repository's index, loads and unloads, settings of log and trace, feedback. Whether a
//! caller may change anything is the edge's to say, the same for every wire.

use base_serving::{FeedbackTally, FeedbackValue};
use base_types::Selector;
use data_codec::document::{
    DocumentError, FeedbackCounts, FeedbackSaid, IndexLine, SettingValue, decode_change, decode_feedback, decode_index,
    decode_settings, feedback_counts, repository_index, settings,
};
use data_edge::{
    Call, Ending, LogSettings, LogValue, ReplyBody, collect, discard, log_change, log_values, trace_change,
    trace_values,
};
use data_path::{Code, Failure, FeedbackItem, IndexState, TraceSettings, index};
use http::{Response, StatusCode};
use hyper::body::Incoming;

use crate::edge::{Rest, finished};
use crate::path::Route;
use crate::respond::{self, empty, json};

impl Rest {
    /// Answers a request that came with a body to a route other than infer.
    pub(crate) async fn manage(&self, call: &Call<'_>, route: &Route<'_>, mut body: Incoming) -> Response<ReplyBody> {
        let result = self.managed(route, &mut body).await;
        let model = match route {
            Route::Change(_, target) => target.model.as_ref(),
            Route::Trace(Some(model)) | Route::Feedback(model) => model.as_ref(),
            _ => "",
        };
        call.log(&Ending { model, served: None, reason: None, failure: result.as_ref().err() });
        let is_clean = discard(&mut body, &self.0.options.limits).await;
        finished(call.parts, is_clean, result.unwrap_or_else(|failure| respond::failure(&failure)))
    }

    async fn managed(&self, route: &Route<'_>, body: &mut Incoming) -> Result<Response<ReplyBody>, Failure> {
        if let Route::Absent(absent) = route {
            return Err(absent.failure());
        }
        if matches!(route, Route::Feedback(_)) && !self.0.options.has_feedback {
            let text = "feedback is not taken here: the operator allows it with `feedback = true` in gateway.toml";
            return Err(Failure::new(Code::NotImplemented, text));
        }
        let body = collect(body, &self.0.options.limits, &self.0.budget).await?;
        match route {
            Route::Feedback(model) => Ok(json(StatusCode::OK, self.feedback(model, &body.bytes)?)),
            Route::Index => Ok(json(StatusCode::OK, self.index(decode_index(&body.bytes).map_err(mistaken)?))),
            Route::Change(kind, target) => {
                let parameters = decode_change(&body.bytes).map_err(mistaken)?;
                let version = target.pin.as_ref().map(Selector::to_string).unwrap_or_default();
                let of = (target.model.as_ref(), version.as_str());
                self.0.change(*kind, of, parameters.iter().map(String::as_str)).await?;
                // Clients take 200 for done, and nothing but 200.
                Ok(empty())
            }
            Route::Logging => {
                let values = decode_settings(&body.bytes).map_err(mistaken)?;
                let values: Result<Vec<_>, _> = values.iter().map(|(name, value)| log_value(name, value)).collect();
                Ok(json(StatusCode::OK, log_body(&self.0.set_log(&log_change(values?)?)?)))
            }
            Route::Trace(model) => {
                let values = decode_settings(&body.bytes).map_err(mistaken)?;
                let change = trace_change(values.iter().map(|(name, value)| (name.as_str(), texts(value))))?;
                Ok(json(StatusCode::OK, trace_body(&self.0.set_trace(model.as_deref(), &change)?)))
            }
            _ => Err(Failure::new(Code::Internal, "this route takes no body")),
        }
    }

    fn feedback(&self, model: &str, body: &[u8]) -> Result<Vec<u8>, Failure> {
        let items = decode_feedback(body).map_err(mistaken)?.into_iter().map(|entry| FeedbackItem {
            prediction_id: entry.prediction_id,
            value: match entry.said {
                FeedbackSaid::Correct(is_correct) => FeedbackValue::Correct(is_correct),
                FeedbackSaid::Loss(loss) => FeedbackValue::Loss(loss),
            },
        });
        let items: Vec<FeedbackItem> = items.collect();
        let tally = self.0.gateway.feedback(model, &items).map_err(|failure| match failure.code {
            Code::ModelUnknown => self.0.absent(model),
            _ => failure,
        })?;
        let FeedbackTally { accepted, unknown, late, duplicate } = tally;
        Ok(feedback_counts(&FeedbackCounts { accepted, unknown, late, duplicate }))
    }

    fn index(&self, is_ready_only: bool) -> Vec<u8> {
        let entries = index(&self.0.gateway.snapshot());
        let wanted = entries.iter().filter(|entry| !is_ready_only || entry.state == IndexState::Ready);
        let lines: Vec<IndexLine<'_>> = wanted
            .map(|entry| IndexLine {
                name: &entry.name,
                version: entry.version.map(|version| version.get()),
                state: entry.state.as_str(),
                reason: &entry.reason,
            })
            .collect();
        repository_index(&lines)
    }

    /// What is logged.
    pub(crate) fn logging(&self) -> Result<Vec<u8>, Failure> {
        let settings = self.0.log_settings();
        let settings = settings.ok_or_else(|| Failure::new(Code::NotImplemented, "nobody here can say what is logged"));
        settings.map(|settings| log_body(&settings))
    }

    /// Which requests are traced.
    pub(crate) fn trace(&self, model: Option<&str>) -> Result<Vec<u8>, Failure> {
        self.0.trace_settings(model).map(|settings| trace_body(&settings))
    }
}

fn mistaken(error: DocumentError) -> Failure {
    Failure::new(Code::Malformed, error.to_string())
}

fn log_body(log: &LogSettings) -> Vec<u8> {
    let value = |value| match value {
        LogValue::Flag(flag) => SettingValue::Flag(flag),
        LogValue::Number(number) => SettingValue::Number(number),
        LogValue::Text(text) => SettingValue::Text(text),
    };
    settings(&log_values(log).map(|(name, v)| (name, value(v))))
}

fn log_value<'a>(name: &'a str, value: &SettingValue) -> Result<(&'a str, LogValue), Failure> {
    let value = match value {
        SettingValue::Flag(flag) => LogValue::Flag(*flag),
        SettingValue::Number(number) => LogValue::Number(*number),
        SettingValue::Text(text) => LogValue::Text(text.clone()),
        SettingValue::Null | SettingValue::Texts(_) => {
            let text = format!("the setting {name:?} is one text, one number, true or false");
            return Err(Failure::new(Code::Malformed, text));
        }
    };
    Ok((name, value))
}

/// The level is a list on this wire, everything else a text.
fn trace_body(trace: &TraceSettings) -> Vec<u8> {
    settings(&trace_values(trace).map(|(name, value)| match name {
        "trace_level" => (name, SettingValue::Texts(vec![value])),
        _ => (name, SettingValue::Text(value)),
    }))
}

fn texts(value: &SettingValue) -> Vec<String> {
    match value {
        SettingValue::Null => Vec::new(),
        SettingValue::Flag(flag) => vec![flag.to_string()],
        SettingValue::Number(number) => vec![number.to_string()],
        SettingValue::Text(text) => vec![text.clone()],
        SettingValue::Texts(texts) => texts.clone(),
    }
}
