//! What requests leave in the log.

use std::io;
use std::sync::{Arc, Mutex};

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::client::GOOD;
use super::world::World;
use data_edge::{AccessLog, EdgeOptions};

#[derive(Clone, Default)]
pub(super) struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Lines {
    /// The events of requests since the last look.
    fn take(&self) -> Vec<String> {
        self.take_with(" request ")
    }

    /// The events with this part since the last look.
    pub(super) fn take_with(&self, part: &str) -> Vec<String> {
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
        text.lines().filter(|l| l.contains(part)).map(str::to_owned).collect()
    }
}

/// The test's runtime has one thread, so the subscriber of this thread hears the server.
pub(super) fn listen(level: LevelFilter) -> (Lines, tracing::subscriber::DefaultGuard) {
    let lines = Lines::default();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_max_level(level).with_writer(lines.clone()).finish();
    (lines, tracing::subscriber::set_default(subscriber))
}

async fn ask(access_log: AccessLog, level: LevelFilter, target: &str) -> Vec<String> {
    let (lines, _guard) = listen(level);
    let world = World::with(EdgeOptions { access_log, ..EdgeOptions::default() }).await;
    let headers = "x-request-id: a\"b\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
    let path = format!("/v2/models/{target}/infer");
    world.client().await.request("POST", &path, headers, GOOD).await;
    lines.take()
}

#[tokio::test]
async fn a_fault_is_always_told_with_its_detail_and_a_mistake_is_not() {
    let lines = ask(AccessLog::Off, LevelFilter::INFO, "m/versions/4").await;
    let [line] = &lines[..] else { panic!("{lines:?}") };
    for part in [
        "WARN",
        r#"request_id="a\"b""#,
        "trace_id=0af7651916cd43dd8448eb211c80319c",
        r#"model="m""#,
        "version=4",
        "generation=7",
        r#"reason="pin""#,
        r#"outcome="version_fault""#,
        r#"code="version_fault""#,
        "status=500",
        r#"detail="secret detail""#,
    ] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    for target in ["m", "none", "m/versions/5"] {
        assert_eq!(ask(AccessLog::Off, LevelFilter::INFO, target).await, [""; 0], "{target}");
        assert_eq!(ask(AccessLog::Off, LevelFilter::DEBUG, target).await.len(), 1, "{target}");
    }
}

#[tokio::test]
async fn faults_of_a_version_have_a_line_a_second_and_the_others_are_counted() {
    let n_lines = async |access_log: AccessLog| {
        let (lines, _guard) = listen(LevelFilter::DEBUG);
        let world = World::with(EdgeOptions { access_log, ..EdgeOptions::default() }).await;
        let mut client = world.client().await;
        for _ in 0..5 {
            client.infer("m/versions/4", GOOD).await.check_error(500, "version_fault", "version_fault");
        }
        let (began, mut all) = (std::time::Instant::now(), lines.take());
        while !all.iter().any(|line| line.contains("left_out=")) {
            assert!(began.elapsed() < super::world::PATIENCE, "{all:?}");
            client.infer("m/versions/4", GOOD).await;
            all.extend(lines.take());
        }
        let warnings = all.iter().filter(|line| line.contains("WARN")).count();
        assert!(warnings <= 1 + began.elapsed().as_secs_f64().ceil() as usize, "{warnings}");
        let of = |level: &str| all.iter().filter(|line| line.contains(level)).count();
        (of("INFO"), of("DEBUG"))
    };
    let (info, debug) = n_lines(AccessLog::Off).await;
    assert!(info == 0 && debug >= 4, "{info} {debug}");
    let (info, debug) = n_lines(AccessLog::Errors).await;
    assert!(info >= 4 && debug == 0, "{info} {debug}");
}

#[tokio::test]
async fn the_access_log_is_chosen() {
    for (access_log, target, n_lines) in [
        (AccessLog::Errors, "m", 0),
        (AccessLog::Errors, "none", 1),
        (AccessLog::All, "m", 1),
        (AccessLog::All, "none", 1),
        (AccessLog::All, "m/versions/4", 1),
    ] {
        assert_eq!(ask(access_log, LevelFilter::INFO, target).await.len(), n_lines, "{access_log:?} {target}");
    }
}
