//! The same figures under the names of other servers, so that dashboards made for those show something. Off unless the
//! operator asks for them; made at each scrape from what is counted anyway, so a version that is gone has none.

use std::collections::BTreeMap;
use std::sync::Arc;

use base_types::{OutcomeClass, Protocol};
use prometheus::core::Collector;
use prometheus::proto::{Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use crate::family::Families;

const US_PER_SECOND: f64 = 1e6;

/// Whose names are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alias {
    /// Triton Inference Server's `nv_inference_*`.
    Triton,
    /// OpenVINO Model Server's `ovms_*`.
    OpenVino,
}

/// The figures of one version that no metric of ours holds in this form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AliasFigures {
    /// The model.
    pub model: String,
    /// The version.
    pub version: u64,
    /// Answered requests.
    pub n_success: u64,
    /// Requests without an answer.
    pub n_failure: u64,
    /// Rows of answered requests.
    pub n_rows: u64,
    /// Runs.
    pub n_runs: u64,
    /// Requests waiting now.
    pub n_waiting: u64,
    /// Microseconds of answered requests as a whole.
    pub request_us: u64,
    /// Microseconds in the queue.
    pub queue_us: u64,
    /// Microseconds around the run.
    pub input_us: u64,
    /// Microseconds in the runtime.
    pub infer_us: u64,
}

/// Tells the figures of every version that answers.
pub type AliasSource = Box<dyn Fn() -> Vec<AliasFigures> + Send + Sync>;

/// What is shown in addition.
pub(crate) struct Aliases {
    pub(crate) names: Vec<Alias>,
    pub(crate) source: AliasSource,
}

impl Aliases {
    /// The families as they stand now.
    pub(crate) fn collect(&self, families: &Arc<Families>) -> Vec<MetricFamily> {
        let mut all = Vec::new();
        if self.names.contains(&Alias::Triton) {
            all.extend(triton(&(self.source)()));
        }
        if self.names.contains(&Alias::OpenVino) {
            all.extend(openvino(families));
        }
        // The text form has no place for a family without series.
        all.retain(|family| !family.get_metric().is_empty());
        all
    }
}

type Figure = fn(&AliasFigures) -> u64;

const TRITON: [(&str, &str, Figure); 9] = [
    ("nv_inference_request_success", "Requests that were answered.", |f| f.n_success),
    ("nv_inference_request_failure", "Requests that got no answer.", |f| f.n_failure),
    ("nv_inference_count", "Rows of requests that were answered.", |f| f.n_rows),
    ("nv_inference_exec_count", "Runs of the model.", |f| f.n_runs),
    ("nv_inference_request_duration_us", "Time of answered requests as a whole, in microseconds.", |f| f.request_us),
    ("nv_inference_queue_duration_us", "Time of answered requests in the queue, in microseconds.", |f| f.queue_us),
    ("nv_inference_compute_input_duration_us", "Time around the run, in microseconds.", |f| f.input_us),
    ("nv_inference_compute_infer_duration_us", "Time in the runtime, in microseconds.", |f| f.infer_us),
    ("nv_inference_compute_output_duration_us", "Always 0: it is a part of the time around the run.", |_| 0),
];

fn triton(figures: &[AliasFigures]) -> Vec<MetricFamily> {
    let labels = |of: &AliasFigures| labels(&[("model", &of.model), ("version", &of.version.to_string())]);
    let mut all: Vec<MetricFamily> = TRITON
        .iter()
        .map(|(name, help, figure)| {
            let metrics = figures.iter().map(|of| counter(labels(of), figure(of) as f64)).collect();
            family(name, help, MetricType::COUNTER, metrics)
        })
        .collect();
    let waiting = figures.iter().map(|of| gauge(labels(of), of.n_waiting as f64)).collect();
    all.push(family("nv_inference_pending_request_count", "Requests waiting now.", MetricType::GAUGE, waiting));
    all
}

fn openvino(families: &Families) -> Vec<MetricFamily> {
    let (mut success, mut fail) = (BTreeMap::new(), BTreeMap::new());
    for metric in series(&families.requests) {
        let version = value(&metric, "version");
        let protocol = Protocol::ALL.into_iter().find(|p| p.as_str() == value(&metric, "protocol"));
        // A request that was refused before a version was chosen has none, and these families ask for one.
        let Some(protocol) = protocol.filter(|_| !version.is_empty()) else { continue };
        let is_ok = value(&metric, "outcome") == OutcomeClass::Ok.as_str();
        let sums = if is_ok { &mut success } else { &mut fail };
        let key = (protocol.as_str(), value(&metric, "model").to_owned(), version.to_owned());
        *sums.entry(key).or_insert(0.0) += metric.get_counter().get_value();
    }
    let counters = |sums: BTreeMap<(&str, String, String), f64>| -> Vec<Metric> {
        sums.into_iter()
            .map(|((protocol, model, version), n)| counter(ovms_labels(protocol, &model, &version), n))
            .collect()
    };
    vec![
        family("ovms_requests_success", "Requests that were answered.", MetricType::COUNTER, counters(success)),
        family("ovms_requests_fail", "Requests that got no answer.", MetricType::COUNTER, counters(fail)),
        in_microseconds("ovms_request_time_us", "Time from decoded to answered.", &families.request_seconds),
        in_microseconds("ovms_inference_time_us", "Time in the runtime.", &families.run_seconds),
        in_microseconds("ovms_wait_for_infer_req_time_us", "Time in the queue.", &families.queue_seconds),
        family(
            "ovms_current_requests",
            "Requests under way.",
            MetricType::GAUGE,
            series(&families.in_flight).iter().map(|m| gauge(name_and_version(m), m.get_gauge().get_value())).collect(),
        ),
    ]
}

fn ovms_labels(protocol: &str, model: &str, version: &str) -> Vec<LabelPair> {
    let (api, interface, method) = match protocol {
        "oip_rest" => ("KServe", "REST", "ModelInfer"),
        "oip_grpc" => ("KServe", "gRPC", "ModelInfer"),
        "tfs_rest" => ("TensorFlowServing", "REST", "Predict"),
        _ => ("TensorFlowServing", "gRPC", "Predict"),
    };
    labels(&[("api", api), ("interface", interface), ("method", method), ("name", model), ("version", version)])
}

/// Our histogram under another name and unit.
fn in_microseconds(name: &str, help: &str, of: &impl Collector) -> MetricFamily {
    let metrics = series(of).into_iter().map(|metric| {
        let ours = metric.get_histogram();
        let mut histogram = Histogram::default();
        histogram.set_sample_count(ours.get_sample_count());
        histogram.set_sample_sum(ours.get_sample_sum() * US_PER_SECOND);
        let mut buckets = ours.get_bucket().to_vec();
        for bucket in &mut buckets {
            // Rounded, because a bound in seconds has no exact form and the label would show it.
            bucket.set_upper_bound((bucket.upper_bound() * US_PER_SECOND).round());
        }
        histogram.set_bucket(buckets);
        let mut renamed = Metric::from_label(name_and_version(&metric));
        renamed.set_histogram(histogram);
        renamed
    });
    family(name, help, MetricType::HISTOGRAM, metrics.collect())
}

fn series(of: &impl Collector) -> Vec<Metric> {
    of.collect().into_iter().flat_map(|family| family.get_metric().to_vec()).collect()
}

fn value<'a>(metric: &'a Metric, label: &str) -> &'a str {
    metric.get_label().iter().find(|pair| pair.name() == label).map_or("", |pair| pair.value())
}

fn name_and_version(metric: &Metric) -> Vec<LabelPair> {
    labels(&[("name", value(metric, "model")), ("version", value(metric, "version"))])
}

fn labels(pairs: &[(&str, &str)]) -> Vec<LabelPair> {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    pairs.iter().map(pair).collect()
}

fn counter(labels: Vec<LabelPair>, value: f64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value);
    let mut metric = Metric::from_label(labels);
    metric.set_counter(counter);
    metric
}

fn gauge(labels: Vec<LabelPair>, value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut metric = Metric::from_label(labels);
    metric.set_gauge(gauge);
    metric
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use std::time::Duration;

    use base_types::{ModelName, Reason, Version};

    use super::*;
    use crate::Metrics;

    fn metrics(names: &[Alias]) -> Metrics {
        let metrics = Metrics::new("0", "0").unwrap();
        let figures = AliasFigures { model: "m".into(), version: 2, n_success: 3, n_rows: 12, ..Default::default() };
        metrics.set_aliases(names.to_vec(), Box::new(move || vec![figures.clone()]));
        metrics
    }

    fn text(metrics: &Metrics) -> String {
        String::from_utf8(metrics.render().unwrap()).unwrap()
    }

    #[test]
    fn aliases_are_shown_where_asked_for_and_end_with_the_version() {
        assert!(!text(&metrics(&[])).contains("nv_inference"));
        let metrics = metrics(&[Alias::Triton, Alias::OpenVino]);
        let (model, version) = (ModelName::new("m").unwrap(), Version::new(2).unwrap());
        let handles = metrics.version(&model, version);
        let half = Duration::from_millis(500);
        for class in [OutcomeClass::Ok, OutcomeClass::Ok, OutcomeClass::VersionFault] {
            handles.request(Protocol::OipRest, class, Reason::Stable, half);
        }
        handles.request(Protocol::TfsGrpc, OutcomeClass::Ok, Reason::Pin, half);
        let shown = text(&metrics);
        let kserve = r#"api="KServe",interface="REST",method="ModelInfer",name="m",version="2""#;
        let tfs = r#"api="TensorFlowServing",interface="gRPC",method="Predict",name="m",version="2""#;
        for line in [
            r#"nv_inference_request_success{model="m",version="2"} 3"#,
            r#"nv_inference_count{model="m",version="2"} 12"#,
            r#"nv_inference_pending_request_count{model="m",version="2"} 0"#,
            &format!("ovms_requests_success{{{kserve}}} 2"),
            &format!("ovms_requests_fail{{{kserve}}} 1"),
            &format!("ovms_requests_success{{{tfs}}} 1"),
            r#"ovms_request_time_us_sum{name="m",version="2"} 2000000"#,
            r#"ovms_request_time_us_bucket{name="m",version="2",le="25"} 0"#,
            r#"ovms_request_time_us_count{name="m",version="2"} 4"#,
            "# TYPE ovms_request_time_us histogram",
        ] {
            assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
        }
        metrics.retire(&model, version);
        assert!(!text(&metrics).contains("ovms_requests"));
    }
}
