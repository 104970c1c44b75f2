//! kill -9 at any moment, then start: what was decided and acknowledged is back, and nothing that was not.

use std::fs;
use std::process::Command;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::json;
use switchrail_tests::{Builder, Client, Gateway, Infer, wait_for, wait_until};
use testkit::onnx::{affine4, looping, nan_when};

fn builder() -> Builder {
    Gateway::builder().model("m", 1, &affine4(1.0, 0.0))
}

fn start(builder: Builder, second: &[u8]) -> Gateway {
    let gateway = builder.start();
    gateway.repository().publish("m", 2, second).unwrap();
    gateway.wait_state("m", 2, "ready");
    gateway
}

fn cut_power(gateway: &mut Gateway) {
    let generation = gateway.generation();
    gateway.kill();
    gateway.start_again();
    assert!(gateway.generation() > generation, "generations never repeat");
}

fn versions(gateway: &Gateway, n: usize) -> Vec<u64> {
    let mut client = gateway.client();
    (0..n).map(|_| Infer::first("m", 1.0).send(&mut client).ok().version()).collect()
}

fn phase(gateway: &Gateway) -> String {
    gateway.model("m")["phase"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_quarantined_version_stays_out() {
    let mut gateway = start(builder(), &nan_when(100.0, 2.0, 0.0));
    gateway.canary("m", 2, 0.5);
    for _ in 0..60 {
        gateway.ask("m", 200.0).ok();
    }
    gateway.wait_history("m", "rolled_back");
    for _ in 0..2 {
        cut_power(&mut gateway);
        gateway.wait_state("m", 2, "quarantined");
        assert_eq!(versions(&gateway, 50), [1; 50]);
        assert_eq!(gateway.infer(&Infer::first("m", 1.0).pin(2)).code(), "version_quarantined");
    }
    assert_eq!(gateway.history("m").iter().filter(|entry| entry["action"] == "rolled_back").count(), 1);
}

#[test]
fn an_ordered_rollback_that_was_acknowledged_is_back() {
    let mut gateway = start(builder(), &affine4(2.0, 0.0));
    for _ in 0..6 {
        gateway.canary("m", 2, 0.5);
        gateway.order("m", "rollback", json!({ "reason": "test" }));
        // Not a moment later.
        cut_power(&mut gateway);
        gateway.wait_state("m", 2, "quarantined");
        assert_eq!(versions(&gateway, 20), [1; 20]);
        gateway.order("m", "release", json!({ "version": "2", "reason": "again" }));
        gateway.wait_state("m", 2, "ready");
    }
}

#[test]
fn an_unconfirmed_promotion_is_not_taken_for_confirmed() {
    let mut gateway = start(builder(), &affine4(2.0, 0.0));
    gateway.order("m", "promote", json!({ "version": "2", "force": true, "reason": "test" }));
    assert_eq!(versions(&gateway, 5), [2; 5]);
    cut_power(&mut gateway);
    assert_eq!(versions(&gateway, 20), [1; 20]);
    assert_eq!(phase(&gateway), "interrupted");
    gateway.wait_history("m", "interrupted");
    gateway.wait_state("m", 2, "ready");
    // A person decides again.
    gateway.order("m", "promote", json!({ "version": "2", "force": true, "reason": "test" }));
    assert_eq!(versions(&gateway, 5), [2; 5]);
}

#[test]
fn a_confirmed_promotion_survives() {
    let mut gateway = start(builder(), &affine4(2.0, 0.0));
    gateway.order("m", "promote", json!({ "version": "2", "force": true, "confirm": true, "reason": "test" }));
    cut_power(&mut gateway);
    assert_eq!(versions(&gateway, 20), [2; 20]);
    assert_eq!(phase(&gateway), "settled");
    // So does the way back.
    gateway.wait_state("m", 1, "ready");
    gateway.order("m", "rollback", json!({}));
    assert_eq!(versions(&gateway, 20), [1; 20]);
}

/// What speaks for version 2, waited for because it is loaded a moment after the start.
fn proof(gateway: &Gateway) -> f64 {
    wait_for("the trial to be open", || gateway.model("m")["trials"][0]["evidence"]["promotion"]["log_e"].as_f64())
}

#[test]
fn an_orderly_end_keeps_all_evidence() {
    let mut gateway = start(builder(), &affine4(2.0, 0.0));
    gateway.canary("m", 2, 0.5);
    versions(&gateway, 500);
    let before = proof(&gateway);
    assert!(before > 1.0, "{before}");
    gateway.stop();
    gateway.start_again();
    let after = proof(&gateway);
    assert!((after - before).abs() < 1e-6, "{before} {after}");
}

#[test]
fn a_canary_goes_on_with_its_evidence_after_a_power_cut() {
    let mut gateway = start(builder(), &affine4(2.0, 0.0));
    gateway.canary("m", 2, 0.5);
    versions(&gateway, 500);
    let before = proof(&gateway);
    // Shown and stored together, once a second; the store is written a moment after.
    let labels = [("model", "m"), ("version", "2"), ("rule", "promotion")];
    let is_shown = || (gateway.metric("switchrail_rule_log_e", &labels) - before).abs() < 1e-6;
    wait_until("the evidence to be stored", is_shown);
    std::thread::sleep(std::time::Duration::from_millis(200));
    cut_power(&mut gateway);
    let after = proof(&gateway);
    assert!((after - before).abs() < 1e-6, "{before} {after}");
    assert_eq!(phase(&gateway), "canary");
    gateway.wait_state("m", 2, "ready");
    let seen = versions(&gateway, 300);
    let n_2 = seen.iter().filter(|version| **version == 2).count();
    assert!((100..200).contains(&n_2), "the same share: {n_2} of 300");
}

/// Sends endless input until exactly one request is in flight on version 2; the connection keeps it there.
pub(crate) fn one_in_flight_on_2(gateway: &Gateway) -> Vec<Client> {
    let mut open = Vec::new();
    for _ in 0..100 {
        let mut client = gateway.client();
        let answered = gateway.metric("switchrail_requests_total", &[("version", "1")]);
        client.send_only(&Infer::first("m", 16_000_000.0).bytes());
        let is_on_2 = wait_for("the request to be somewhere", || {
            let metrics = gateway.metrics();
            let on_2 = metrics.sum("switchrail_in_flight", &[("version", "2")]) == 1.0;
            (on_2 || metrics.sum("switchrail_requests_total", &[("version", "1")]) > answered).then_some(on_2)
        });
        open.push(client);
        if is_on_2 {
            return open;
        }
    }
    panic!("no request was routed to version 2");
}

#[test]
fn a_version_that_takes_the_process_with_it_twice_is_out() {
    let routing = "[models.m]\nstable = 1\nrun_timeout_ms = 600000\ndeadline_ms = 600000\n";
    let mut gateway = start(builder().routing(routing), &looping(256, 2.0, 0.0));
    gateway.canary("m", 2, 0.5);
    let open = one_in_flight_on_2(&gateway);
    cut_power(&mut gateway);
    drop(open);
    gateway.wait_state("m", 2, "ready");
    wait_until("the crash to be counted", || gateway.model("m")["trials"][0]["evidence"]["crashes"]["exits"] == 1);
    assert!(versions(&gateway, 60).contains(&2), "one kill -9 does not quarantine a healthy canary");
    let open = one_in_flight_on_2(&gateway);
    cut_power(&mut gateway);
    drop(open);
    let entry = gateway.wait_history("m", "rolled_back");
    assert!(entry.to_string().contains("crash_loop"), "{entry}");
    assert_eq!(versions(&gateway, 60), [1; 60]);
}

#[test]
fn kills_at_random_moments_leave_a_consistent_state() {
    let mut gateway = start(builder(), &affine4(2.0, 0.0));
    let mut last = 0;
    for round in 0..6 {
        // Whatever is acknowledged before the kill counts; the kill comes while more is being ordered.
        let orders = ["canary", "promote", "rollback", "release", "promote", "rollback"];
        let address = gateway.addresses().admin;
        let pid = gateway.pid();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..200 {
                    let operation = orders[n % orders.len()];
                    let body = json!({ "version": "2", "share": 0.5, "force": true, "reason": "test" });
                    let body = match operation {
                        "canary" => json!({ "version": "2", "share": 0.5 }),
                        "rollback" => json!({ "reason": "test" }),
                        "release" => json!({ "version": "2", "reason": "test" }),
                        _ => json!({ "version": "2", "force": body["force"], "reason": "test" }),
                    };
                    let path = format!("/v1/models/m/{operation}");
                    let headers = [("content-type", "application/json")];
                    if Client::new(address).try_send("POST", &path, &headers, body.to_string().as_bytes()).is_err() {
                        return;
                    }
                }
            });
            std::thread::sleep(std::time::Duration::from_millis(20 + 17 * round));
            assert_eq!(pid, gateway.pid());
            gateway.kill();
        });
        gateway.start_again();
        assert!(gateway.generation() > last);
        last = gateway.generation();
        // An unconfirmed version never serves as stable after a crash.
        let stable = gateway.model("m")["stable"].to_string();
        assert_eq!(stable.trim_matches('"'), "1");
        assert_ne!(phase(&gateway), "provisional");
        gateway.ask("m", 1.0).ok();
    }
}

/// Lets no file of the process grow any more, or lets them grow again.
fn let_files_grow(gateway: &Gateway, may_grow: bool) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    let current = if may_grow { maximum } else { Some(0) };
    let pid = Pid::from_raw(gateway.pid() as i32);
    prlimit(pid, Resource::Fsize, Rlimit { current, maximum }).unwrap();
}

#[test]
fn a_rollback_takes_effect_when_nothing_can_be_written() {
    let mut gateway = start(builder().without_file_size_signal(), &nan_when(100.0, 2.0, 0.0));
    gateway.repository().publish("m", 3, &affine4(3.0, 0.0)).unwrap();
    gateway.wait_state("m", 3, "ready");
    gateway.canary("m", 2, 0.5);
    wait_until("the trial to be open", || {
        gateway.model("m")["trials"].as_array().is_some_and(|trials| trials.len() == 1)
    });
    let_files_grow(&gateway, false);
    for _ in 0..60 {
        gateway.ask("m", 200.0).ok();
    }
    gateway.wait_state("m", 2, "quarantined");
    assert_eq!(versions(&gateway, 50), [1; 50]);
    wait_until("the journal's failure to be shown", || gateway.metric("switchrail_journal_errors_total", &[]) >= 1.0);
    wait_until("the entry to wait", || gateway.metric("switchrail_journal_pending", &[]) >= 1.0);
    // What leads to risk is refused, because it could not be recorded.
    let (status, answer) = gateway.try_order("m", "canary", json!({ "version": "3", "share": 0.5 }));
    assert_eq!((status, &answer["code"]), (503, &json!("journal")), "{answer}");
    assert_eq!(versions(&gateway, 50), [1; 50]);
    // Not even the entry of the rollback is on disk, and still it stays out.
    gateway.kill();
    gateway.start_again();
    gateway.wait_state("m", 2, "quarantined");
    assert_eq!(versions(&gateway, 50), [1; 50]);
    gateway.wait_history("m", "rolled_back");
}

#[test]
fn a_full_disk_delays_the_record_not_the_rollback() {
    let Some(disk) = SmallDisk::new() else {
        eprintln!("no small file system can be mounted here: the case of a full disk is left out");
        return;
    };
    let mut gateway = start(builder().state_in(disk.folder()), &nan_when(100.0, 2.0, 0.0));
    gateway.canary("m", 2, 0.5);
    wait_until("the trial to be open", || {
        gateway.model("m")["trials"].as_array().is_some_and(|trials| trials.len() == 1)
    });
    disk.fill();
    for _ in 0..60 {
        gateway.ask("m", 200.0).ok();
    }
    gateway.wait_state("m", 2, "quarantined");
    assert_eq!(versions(&gateway, 50), [1; 50]);
    disk.empty();
    gateway.wait_history("m", "rolled_back");
    wait_until("nothing to wait for the disk", || gateway.metric("switchrail_journal_pending", &[]) == 0.0);
    cut_power(&mut gateway);
    gateway.wait_state("m", 2, "quarantined");
}

/// A file system of a few megabytes in memory.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new() -> Option<Self> {
        let folder = tempfile::TempDir::new().unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(folder.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(folder))
    }

    fn folder(&self) -> &std::path::Path {
        self.0.path()
    }

    fn fill(&self) {
        let path = self.0.path().join("ballast");
        let mut file = fs::File::create(path).unwrap();
        let mut size = 1 << 16;
        while size > 0 {
            if std::io::Write::write(&mut file, &vec![1; size]).is_err() {
                size /= 2;
            }
        }
    }

    fn empty(&self) {
        fs::remove_file(self.0.path().join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the gateway may still be there.
        let _gone = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}
