//! The thread of an open loop.

use std::io;
use std::num::NonZeroU64;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{N_CONNECTIONS, Record, Sample, Shared};
use crate::http1::Connection;
use crate::traffic::Traffic;

/// An answer that takes longer is not coming.
const ANSWER_MAX_NS: u64 = 30_000_000_000;
/// The longest sleep, after which overdue answers are looked for.
const SLEEP_MAX_NS: u64 = 500_000_000;

pub(super) struct Generator {
    shared: Arc<Shared>,
    address: String,
    traffic: Arc<dyn Traffic>,
    interval: Duration,
    idle: Vec<Connection>,
    under_way: Vec<UnderWay>,
    record: Record,
}

/// A request under way.
struct UnderWay {
    connection: Connection,
    id: u32,
    due_ns: u64,
    sent_ns: u64,
    /// When its answer was complete; 0 until then.
    answered_ns: u64,
}

impl Generator {
    /// Opens all connections, so that none has to be opened under load.
    pub(super) fn connect(
        address: &str,
        rate: f64,
        traffic: Arc<dyn Traffic>,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let idle: io::Result<Vec<Connection>> = (0..N_CONNECTIONS).map(|_| Connection::open(address)).collect();
        Ok(Self {
            shared,
            address: address.to_owned(),
            traffic,
            interval: Duration::from_secs_f64(1.0 / rate),
            idle: idle?,
            under_way: Vec::with_capacity(N_CONNECTIONS),
            record: Record::default(),
        })
    }

    /// Asks until it is over and everything that was due is answered.
    pub(super) fn run(mut self) -> Record {
        // By default Linux lets a sleeper oversleep by 50 us to save power, which would count as the server's.
        if let Err(error) = rustix::thread::set_current_timer_slack(NonZeroU64::new(1)) {
            self.record.fail(format!("timers stay coarse: {error}"));
        }
        let mut next = 0;
        let mut request = Vec::new();
        self.traffic.write(next, &mut request);
        loop {
            while self.is_due(next) {
                let Some(connection) = self.idle.pop() else { break };
                self.send(connection, next, &request);
                next += 1;
                // Written ahead, so that it can go as soon as it is due.
                self.traffic.write(next, &mut request);
            }
            let is_over = self.due_ns(next) >= self.shared.end_ns.load(Ordering::Relaxed);
            if self.under_way.is_empty() && (is_over || self.idle.is_empty()) {
                return self.record;
            }
            let can_send = !is_over && !self.idle.is_empty();
            self.receive(if can_send { self.due_ns(next) } else { u64::MAX });
            self.look_into_answers();
        }
    }

    fn due_ns(&self, id: u32) -> u64 {
        u64::try_from((self.interval * id).as_nanos()).unwrap_or(u64::MAX)
    }

    fn is_due(&self, id: u32) -> bool {
        let due_ns = self.due_ns(id);
        due_ns <= self.shared.now_ns() && due_ns < self.shared.end_ns.load(Ordering::Relaxed)
    }

    fn send(&mut self, mut connection: Connection, id: u32, request: &[u8]) {
        let (due_ns, sent_ns) = (self.due_ns(id), self.shared.now_ns());
        match connection.send(request) {
            Ok(()) => self.under_way.push(UnderWay { connection, id, due_ns, sent_ns, answered_ns: 0 }),
            Err(error) => self.lose(format!("request {id} was not sent: {error}")),
        }
    }

    /// Sleeps until `until_ns` or until something has come, and reads that.
    fn receive(&mut self, until_ns: u64) {
        let ready = match self.poll(until_ns) {
            Ok(ready) => ready,
            Err(error) => return self.record.fail(format!("cannot wait for answers: {error}")),
        };
        // From the last to the first, because removing moves the ones behind.
        for (index, is_ready) in ready.into_iter().enumerate().rev() {
            let request = &mut self.under_way[index];
            let received = if is_ready {
                request.connection.receive()
            } else if self.shared.now_ns().saturating_sub(request.sent_ns) > ANSWER_MAX_NS {
                Err(io::ErrorKind::TimedOut.into())
            } else {
                Ok(false)
            };
            match received {
                Ok(true) => request.answered_ns = self.shared.now_ns(),
                Ok(false) => {}
                Err(error) => {
                    let lost = self.under_way.swap_remove(index);
                    self.lose(format!("request {} got no answer: {error}", lost.id));
                }
            }
        }
    }

    /// Which of the requests under way have something to read.
    fn poll(&self, until_ns: u64) -> io::Result<Vec<bool>> {
        let sockets = self.under_way.iter().map(|request| request.connection.as_fd());
        let mut polled: Vec<PollFd<'_>> = sockets.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        let sleep_ns = until_ns.saturating_sub(self.shared.now_ns()).min(SLEEP_MAX_NS);
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::try_from(sleep_ns).unwrap_or(0) };
        match poll(&mut polled, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(polled.iter().map(|fd| !fd.revents().is_empty()).collect())
    }

    /// Looks into the complete answers, now that the times of all of them are taken.
    fn look_into_answers(&mut self) {
        let mut index = 0;
        while index < self.under_way.len() {
            if self.under_way[index].answered_ns == 0 {
                index += 1;
                continue;
            }
            let UnderWay { connection, id, due_ns, sent_ns, answered_ns } = self.under_way.swap_remove(index);
            let answer = connection.answer().map_err(|e| e.to_string());
            match answer.and_then(|answer| self.traffic.read(id, &answer)) {
                Ok(origin) => {
                    self.shared.last_version.store(origin.version, Ordering::Relaxed);
                    self.record.samples.push(Sample { id, due_ns, sent_ns, answered_ns, origin });
                }
                Err(failure) => self.record.fail(failure),
            }
            self.idle.push(connection);
        }
    }

    /// A connection is of no more use: another takes its place.
    fn lose(&mut self, failure: String) {
        self.record.fail(failure);
        match Connection::open(&self.address) {
            Ok(connection) => self.idle.push(connection),
            Err(error) => self.record.fail(format!("could not connect again: {error}")),
        }
    }
}
