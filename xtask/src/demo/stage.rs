//! What the acts of the demo share: the gateway, the callers, the screen, and the watching of the three together.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use testkit::repository::Repository;

use super::admin::{Admin, ModelView, TrialView, VersionView};
use super::corpus::Sample;
use super::gateway::{Gateway, Place};
use super::interrupt::pause;
use super::labels::Labels;
use super::magika::Releases;
use super::screen::{Ink, Screen, count};
use super::tally::{Mark, Recent, Tally};
use super::traffic::{MODEL, Traffic, lock};
use super::{DemoError, io_at};

/// How often the screen is redrawn.
const FRAME: Duration = Duration::from_millis(150);

/// Callers per core: enough to keep the gateway busy.
const CALLERS_PER_CORE: usize = 2;

/// Most callers.
const CALLERS_MAX: usize = 8;

/// Versions of the model in the repository.
pub const FIRST: u64 = 1;
/// The good successor.
pub const SECOND: u64 = 2;
/// The faulty successor.
pub const FAULTY: u64 = 3;
/// The old model with another contract.
pub const OLD: u64 = 9;

/// The demo, set up.
pub struct Stage {
    /// Where it is shown.
    pub screen: Screen,
    /// The gateway.
    pub gateway: Gateway,
    /// Its admin API.
    pub admin: Admin,
    /// Its model repository.
    pub repository: Repository,
    /// The real models.
    pub releases: Releases,
    /// What the outputs of the versions are called.
    pub labels: BTreeMap<u64, Labels>,
    /// What is sent.
    pub samples: Arc<[Sample]>,
    /// What came back.
    pub tally: Arc<Mutex<Tally>>,
    /// Callers at once.
    pub n_callers: usize,
    /// How long a scene is watched in which nothing has to happen.
    pub scene: Duration,
    traffic: Option<Traffic>,
}

/// What is seen at one moment.
pub struct Sight<'a> {
    /// The model, as the gateway sees it.
    pub model: &'a ModelView,
    /// The answers since the scene began.
    pub recent: &'a Recent,
    /// How long the scene has lasted.
    pub lasted: Duration,
}

impl Stage {
    /// Puts version 1 into the repository and starts the gateway.
    pub fn set(
        screen: Screen,
        place: &Place,
        releases: Releases,
        samples: Vec<Sample>,
        is_quick: bool,
    ) -> Result<Self, DemoError> {
        let root = place.repository();
        let repository = Repository::new(&root).map_err(io_at(&root))?;
        publish(&repository, FIRST, &read(&releases.first.model())?)?;
        let (first, second) = (Labels::read(&releases.first)?, Labels::read(&releases.second)?);
        let gateway = Gateway::start(place)?;
        let n_cores = thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            screen,
            admin: Admin::new(&gateway.admin),
            gateway,
            repository,
            labels: [(FIRST, first), (SECOND, second)].into(),
            releases,
            samples: samples.into(),
            tally: Arc::default(),
            n_callers: (n_cores * CALLERS_PER_CORE).min(CALLERS_MAX),
            scene: Duration::from_millis(if is_quick { 1_500 } else { 5_000 }),
            traffic: None,
        })
    }

    /// Puts a version into the repository, while everything runs.
    pub fn publish(&self, version: u64, content: &[u8]) -> Result<(), DemoError> {
        publish(&self.repository, version, content)
    }

    /// Lets the callers begin.
    pub fn start_traffic(&mut self) {
        self.traffic = Some(Traffic::start(&self.gateway.http, self.n_callers, &self.samples, &self.tally));
    }

    /// Lets the callers finish what they are at.
    pub fn stop_traffic(&mut self) {
        if let Some(traffic) = self.traffic.take() {
            traffic.stop();
        }
    }

    /// kill -9, and a start from what is on disk. The admin API has another port then.
    pub fn kill_and_restart(&mut self) -> Result<(), DemoError> {
        self.gateway.kill_and_restart()?;
        self.admin = Admin::new(&self.gateway.admin);
        Ok(())
    }

    /// A moment to count answers from.
    pub fn mark(&self) -> Mark {
        lock(&self.tally).mark()
    }

    /// Shows the traffic from a mark on until something holds. That it never does, that a caller goes without a
    /// good answer, or that one comes under a false name is not as told.
    pub fn watch_from(
        &mut self,
        mark: Mark,
        what: &str,
        most: Duration,
        mut is_there: impl FnMut(&Sight<'_>) -> bool,
    ) -> Result<ModelView, DemoError> {
        let start = Instant::now();
        loop {
            pause(FRAME)?;
            let model = self.admin.model()?;
            let recent = self.look(mark)?;
            let lines = panel(&self.screen, &model, &recent, self.n_callers);
            self.screen.panel(&lines);
            let lasted = start.elapsed();
            if is_there(&Sight { model: &model, recent: &recent, lasted }) {
                self.screen.leave_panel();
                return Ok(model);
            }
            if lasted > most {
                return Err(DemoError::NotAsTold(format!("{what} did not happen within {} s", most.as_secs())));
            }
        }
    }

    /// [`Stage::watch_from`] now.
    pub fn watch(
        &mut self,
        what: &str,
        most: Duration,
        is_there: impl FnMut(&Sight<'_>) -> bool,
    ) -> Result<ModelView, DemoError> {
        self.watch_from(self.mark(), what, most, is_there)
    }

    /// Watches for the length of a scene.
    pub fn linger(&mut self) -> Result<ModelView, DemoError> {
        let scene = self.scene;
        self.watch("the end of a scene", scene * 10, |sight| sight.lasted >= scene)
    }

    /// The traffic since a mark, if all is well with it.
    fn look(&self, mark: Mark) -> Result<Recent, DemoError> {
        let tally = lock(&self.tally);
        if tally.n_failed > 0 {
            let text = format!("{} requests failed for their callers: {}", tally.n_failed, tally.failures.join("; "));
            return Err(DemoError::NotAsTold(text));
        }
        if tally.n_misattributed > 0 {
            let text = format!("{} answers came under the name of another version", tally.n_misattributed);
            return Err(DemoError::NotAsTold(text));
        }
        Ok(tally.since(mark, Instant::now()))
    }
}

/// The content of a file.
pub fn read(path: &Path) -> Result<Vec<u8>, DemoError> {
    fs::read(path).map_err(io_at(path))
}

fn publish(repository: &Repository, version: u64, content: &[u8]) -> Result<(), DemoError> {
    let path = repository.version_folder(MODEL, version);
    repository.publish(MODEL, version, content).map(|_| ()).map_err(io_at(&path))
}

/// One line per version, one for the callers, two for a trial.
fn panel(screen: &Screen, model: &ModelView, recent: &Recent, n_callers: usize) -> Vec<String> {
    let n_all: u64 = recent.per_version.values().sum();
    let mut lines: Vec<String> = model.versions.iter().map(|v| version_line(screen, model, v, recent, n_all)).collect();
    let Recent { rate, p50_ms, p99_ms, n_fallbacks, .. } = recent;
    let mut callers =
        format!("   {n_callers} connections, {rate:.0}/s, p50 {p50_ms:.0} ms, p99 {p99_ms:.0} ms, 0 failed");
    if *n_fallbacks > 0 {
        callers.push_str(&format!(", {n_fallbacks} by fallback"));
    }
    lines.push(screen.ink(Ink::Dim, &callers));
    lines.extend(model.trial.iter().flat_map(|trial| trial_lines(screen, trial)));
    lines
}

fn version_line(screen: &Screen, model: &ModelView, version: &VersionView, recent: &Recent, n_all: u64) -> String {
    let number = version.version;
    let is_trial = model.trial.as_ref().is_some_and(|trial| trial.candidate == number);
    let canary = format!("canary {:.0} %", version.share * 100.0);
    let (ink, role) = match version.state.as_str() {
        "quarantined" => (Ink::Red, "quarantined"),
        _ if model.stable == Some(number) => (Ink::Blue, "stable"),
        "ready" if is_trial => (Ink::Yellow, canary.as_str()),
        state => (Ink::Dim, state),
    };
    let n_answers = recent.per_version.get(&number).copied().unwrap_or_default();
    let share = if n_all > 0 { n_answers as f64 / n_all as f64 } else { 0.0 };
    let (role, bar) = (screen.ink(ink, &format!("{role:<11}")), screen.bar(ink, share));
    format!("   version {number} {role} {bar}  {:5.1} % {:>7} answers", share * 100.0, count(n_answers))
}

fn trial_lines(screen: &Screen, trial: &TrialView) -> [String; 2] {
    let line = |title: &str, ink, (log_e, threshold): (f64, f64), note: String| {
        let bar = screen.bar(ink, log_e / threshold);
        format!("   {title:<21} {bar}  ln E {log_e:6.2} of {threshold:.2}{note}")
    };
    let note = match trial.n_requests_needed {
        0 => ", proven".to_owned(),
        n => format!(", {} more", count(n)),
    };
    [
        line(&format!("proof of version {}", trial.candidate), Ink::Green, trial.proof, note),
        line("evidence against it", Ink::Red, trial.doubt, String::new()),
    ]
}
