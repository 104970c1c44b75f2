//! The calls that change something: loads and unloads, settings of log and trace. Whether a caller may is the edge's to
//! say, the same for every wire.

use std::collections::HashMap;

use base_serving::ChangeKind;
use data_edge::{LogSettings, LogValue, log_change, log_values, trace_change, trace_values};
use data_path::{Code, Failure, TraceSettings};

use crate::edge::Grpc;
use crate::frames::Frames;
use crate::inform::read;
use crate::proto::inference as oip;
use crate::proto::inference::log_settings_request::setting_value::ParameterChoice as Asked;
use crate::proto::inference::log_settings_response::SettingValue as LogSetting;
use crate::proto::inference::log_settings_response::setting_value::ParameterChoice as Told;
use crate::proto::inference::trace_setting_response::SettingValue as TraceSetting;
use crate::proto::inference::{ModelRepositoryParameter, model_repository_parameter};
use crate::reply::Writer;

/// The parameter that names one version of a model to load or unload; the protocol itself has none.
const VERSION: &str = "switchrail_version";

impl Grpc {
    /// Loads or unloads a model.
    pub(crate) async fn change(&self, kind: ChangeKind, frames: Frames) -> Result<Writer, Failure> {
        match kind {
            ChangeKind::Load => {
                let asked: oip::RepositoryModelLoadRequest = read(frames)?;
                self.changed(kind, &asked.model_name, &asked.parameters).await?;
                Ok(Writer::from(&oip::RepositoryModelLoadResponse {}))
            }
            ChangeKind::Unload => {
                let asked: oip::RepositoryModelUnloadRequest = read(frames)?;
                self.changed(kind, &asked.model_name, &asked.parameters).await?;
                Ok(Writer::from(&oip::RepositoryModelUnloadResponse {}))
            }
        }
    }

    async fn changed(
        &self,
        kind: ChangeKind,
        model: &str,
        parameters: &HashMap<String, ModelRepositoryParameter>,
    ) -> Result<(), Failure> {
        let version = match parameters.get(VERSION).and_then(|value| value.parameter_choice.as_ref()) {
            None => String::new(),
            Some(model_repository_parameter::ParameterChoice::StringParam(text)) => text.clone(),
            Some(model_repository_parameter::ParameterChoice::Int64Param(number)) => number.to_string(),
            Some(_) => return Err(Failure::new(Code::Malformed, format!("{VERSION} is the number of a version"))),
        };
        self.0.edge.change(kind, (model, &version), parameters.keys().map(String::as_str)).await
    }

    /// Shows or sets what is logged.
    pub(crate) fn log_settings(&self, frames: Frames) -> Result<Writer, Failure> {
        let asked: oip::LogSettingsRequest = read(frames)?;
        if asked.settings.is_empty() {
            let settings = self.0.edge.log_settings();
            let absent = || Failure::new(Code::NotImplemented, "nobody here can say what is logged");
            return settings.map(|settings| log_answer(&settings)).ok_or_else(absent);
        }
        let mut values = Vec::with_capacity(asked.settings.len());
        for (name, value) in &asked.settings {
            let value = match &value.parameter_choice {
                Some(Asked::BoolParam(flag)) => LogValue::Flag(*flag),
                Some(Asked::Uint32Param(number)) => LogValue::Number(u64::from(*number)),
                Some(Asked::StringParam(text)) => LogValue::Text(text.clone()),
                None => return Err(Failure::new(Code::Malformed, format!("the setting {name:?} has no value"))),
            };
            values.push((name.as_str(), value));
        }
        self.0.edge.set_log(&log_change(values)?).map(|settings| log_answer(&settings))
    }

    /// Shows or sets what is traced.
    pub(crate) fn trace_settings(&self, frames: Frames) -> Result<Writer, Failure> {
        let asked: oip::TraceSettingRequest = read(frames)?;
        let model = Some(asked.model_name.as_str()).filter(|name| !name.is_empty());
        if asked.settings.is_empty() {
            return self.0.edge.trace_settings(model).map(|settings| trace_answer(&settings));
        }
        let settings = asked.settings.iter().map(|(name, value)| (name.as_str(), value.value.clone()));
        self.0.edge.set_trace(model, &trace_change(settings)?).map(|settings| trace_answer(&settings))
    }
}

fn log_answer(settings: &LogSettings) -> Writer {
    let settings = log_values(settings).map(|(name, value)| {
        let choice = match value {
            LogValue::Flag(flag) => Told::BoolParam(flag),
            LogValue::Number(number) => Told::Uint32Param(u32::try_from(number).unwrap_or(u32::MAX)),
            LogValue::Text(text) => Told::StringParam(text),
        };
        (name.to_owned(), LogSetting { parameter_choice: Some(choice) })
    });
    Writer::from(&oip::LogSettingsResponse { settings: settings.into_iter().collect() })
}

fn trace_answer(settings: &TraceSettings) -> Writer {
    let settings = trace_values(settings).map(|(name, value)| (name.to_owned(), TraceSetting { value: vec![value] }));
    Writer::from(&oip::TraceSettingResponse { settings: settings.into_iter().collect() })
}
