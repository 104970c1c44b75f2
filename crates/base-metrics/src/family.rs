//! The registered families, built from the catalogue.

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use crate::catalog::{self, Entry};

/// Upper bounds of the latency buckets in seconds: four a decade from 100 µs to 30 s, finer where small models live.
const SECONDS: [f64; 19] = [
    0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0, 30.0,
];

/// Upper bounds of the buckets of scores, which lie in [0, 1].
const SCORES: [f64; 11] = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];

/// Upper bounds of the buckets of rows.
const ROWS: [f64; 12] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0];

/// One field per metric of the catalogue.
pub(crate) struct Families {
    pub(crate) registry: Registry,
    pub(crate) requests: IntCounterVec,
    pub(crate) attempts: IntCounterVec,
    pub(crate) faults: IntCounterVec,
    pub(crate) fallbacks: IntCounterVec,
    pub(crate) queue_seconds: HistogramVec,
    pub(crate) run_seconds: HistogramVec,
    pub(crate) request_seconds: HistogramVec,
    pub(crate) batch_rows: HistogramVec,
    pub(crate) batches: IntCounterVec,
    pub(crate) batch_reruns: IntCounterVec,
    pub(crate) in_flight: IntGaugeVec,
    pub(crate) queue_depth: IntGaugeVec,
    pub(crate) share_wanted: GaugeVec,
    pub(crate) share_actual: GaugeVec,
    pub(crate) memory: IntGaugeVec,
    pub(crate) load_seconds: GaugeVec,
    pub(crate) version_state: IntGaugeVec,
    pub(crate) versions_refused: IntCounterVec,
    pub(crate) gates: IntCounterVec,
    pub(crate) gate_seconds: HistogramVec,
    pub(crate) rollout_state: IntGaugeVec,
    pub(crate) rollout_step: IntGaugeVec,
    pub(crate) shadows: IntCounterVec,
    pub(crate) shadow_share: GaugeVec,
    pub(crate) feedback: IntCounterVec,
    pub(crate) feedback_score: HistogramVec,
    pub(crate) experiments: IntCounterVec,
    pub(crate) exposures: IntCounterVec,
    pub(crate) captures: IntCounterVec,
    pub(crate) rule_log_e: GaugeVec,
    pub(crate) rule_threshold: GaugeVec,
    pub(crate) rollbacks: IntCounterVec,
    pub(crate) verdicts: IntCounterVec,
    pub(crate) generation: IntGauge,
    pub(crate) config_reads: IntCounterVec,
    pub(crate) config_problems: IntGauge,
    pub(crate) config_success: Gauge,
    pub(crate) journal_errors: IntCounter,
    pub(crate) journal_pending: IntGauge,
    pub(crate) journal_rows: IntGauge,
    pub(crate) journal_head: IntGauge,
    pub(crate) webhooks: IntCounterVec,
    pub(crate) connections: IntGauge,
    pub(crate) bucket_looks: IntCounterVec,
    pub(crate) bucket_success: Gauge,
    pub(crate) bucket_fetched: IntCounter,
    pub(crate) bucket_refused: IntGauge,
    pub(crate) bucket_cache: IntGauge,
    pub(crate) build_info: IntGaugeVec,
    pub(crate) config_commit: IntGaugeVec,
}

struct Builder(Registry);

impl Builder {
    fn add<M: Collector + Clone + 'static>(&self, metric: prometheus::Result<M>) -> prometheus::Result<M> {
        let metric = metric?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counters(&self, e: Entry) -> prometheus::Result<IntCounterVec> {
        self.add(IntCounterVec::new(Opts::new(e.name, e.help), e.labels))
    }

    fn gauges(&self, e: Entry) -> prometheus::Result<GaugeVec> {
        self.add(GaugeVec::new(Opts::new(e.name, e.help), e.labels))
    }

    fn int_gauges(&self, e: Entry) -> prometheus::Result<IntGaugeVec> {
        self.add(IntGaugeVec::new(Opts::new(e.name, e.help), e.labels))
    }

    fn int_gauge(&self, e: Entry) -> prometheus::Result<IntGauge> {
        self.add(IntGauge::new(e.name, e.help))
    }

    fn histograms(&self, e: Entry) -> prometheus::Result<HistogramVec> {
        self.histograms_of(e, &SECONDS)
    }

    fn histograms_of(&self, e: Entry, bounds: &[f64]) -> prometheus::Result<HistogramVec> {
        self.add(HistogramVec::new(HistogramOpts::new(e.name, e.help).buckets(bounds.to_vec()), e.labels))
    }
}

impl Families {
    pub(crate) fn new() -> prometheus::Result<Self> {
        let b = Builder(Registry::new());
        #[cfg(target_os = "linux")]
        b.0.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self {
            requests: b.counters(catalog::REQUESTS)?,
            attempts: b.counters(catalog::ATTEMPTS)?,
            faults: b.counters(catalog::FAULTS)?,
            fallbacks: b.counters(catalog::FALLBACKS)?,
            queue_seconds: b.histograms(catalog::QUEUE_SECONDS)?,
            run_seconds: b.histograms(catalog::RUN_SECONDS)?,
            request_seconds: b.histograms(catalog::REQUEST_SECONDS)?,
            batch_rows: b.histograms_of(catalog::BATCH_ROWS, &ROWS)?,
            batches: b.counters(catalog::BATCHES)?,
            batch_reruns: b.counters(catalog::BATCH_RERUNS)?,
            in_flight: b.int_gauges(catalog::IN_FLIGHT)?,
            queue_depth: b.int_gauges(catalog::QUEUE_DEPTH)?,
            share_wanted: b.gauges(catalog::SHARE_WANTED)?,
            share_actual: b.gauges(catalog::SHARE_ACTUAL)?,
            memory: b.int_gauges(catalog::MEMORY)?,
            load_seconds: b.gauges(catalog::LOAD_SECONDS)?,
            version_state: b.int_gauges(catalog::VERSION_STATE)?,
            versions_refused: b.counters(catalog::VERSIONS_REFUSED)?,
            gates: b.counters(catalog::GATES)?,
            gate_seconds: b.histograms(catalog::GATE_SECONDS)?,
            rollout_state: b.int_gauges(catalog::ROLLOUT_STATE)?,
            rollout_step: b.int_gauges(catalog::ROLLOUT_STEP)?,
            shadows: b.counters(catalog::SHADOWS)?,
            shadow_share: b.gauges(catalog::SHADOW_SHARE)?,
            feedback: b.counters(catalog::FEEDBACK)?,
            feedback_score: b.histograms_of(catalog::FEEDBACK_SCORE, &SCORES)?,
            experiments: b.counters(catalog::EXPERIMENTS)?,
            exposures: b.counters(catalog::EXPOSURES)?,
            captures: b.counters(catalog::CAPTURES)?,
            rule_log_e: b.gauges(catalog::RULE_LOG_E)?,
            rule_threshold: b.gauges(catalog::RULE_THRESHOLD)?,
            rollbacks: b.counters(catalog::ROLLBACKS)?,
            verdicts: b.counters(catalog::VERDICTS)?,
            generation: b.int_gauge(catalog::GENERATION)?,
            config_reads: b.counters(catalog::CONFIG_READS)?,
            config_problems: b.int_gauge(catalog::CONFIG_PROBLEMS)?,
            config_success: b.add(Gauge::new(catalog::CONFIG_SUCCESS.name, catalog::CONFIG_SUCCESS.help))?,
            journal_errors: b.add(IntCounter::new(catalog::JOURNAL_ERRORS.name, catalog::JOURNAL_ERRORS.help))?,
            journal_pending: b.int_gauge(catalog::JOURNAL_PENDING)?,
            journal_rows: b.int_gauge(catalog::JOURNAL_ROWS)?,
            journal_head: b.int_gauge(catalog::JOURNAL_HEAD)?,
            webhooks: b.counters(catalog::WEBHOOKS)?,
            connections: b.int_gauge(catalog::CONNECTIONS)?,
            bucket_looks: b.counters(catalog::BUCKET_LOOKS)?,
            bucket_success: b.add(Gauge::new(catalog::BUCKET_SUCCESS.name, catalog::BUCKET_SUCCESS.help))?,
            bucket_fetched: b.add(IntCounter::new(catalog::BUCKET_FETCHED.name, catalog::BUCKET_FETCHED.help))?,
            bucket_refused: b.int_gauge(catalog::BUCKET_REFUSED)?,
            bucket_cache: b.int_gauge(catalog::BUCKET_CACHE)?,
            build_info: b.int_gauges(catalog::BUILD_INFO)?,
            config_commit: b.int_gauges(catalog::CONFIG_COMMIT)?,
            registry: b.0,
        })
    }
}
