//! Who waits for whom, and how long.

use super::*;

#[test]
fn an_idle_lane_holds_nobody_back() {
    let (executor, runner) = (executor(2), Rows::new(Habit::Apart));
    let lane = executor.lane(runner.clone());
    let limits = limits(Batching { max_rows: 16, delay_max: 20_000 * MS, ..Batching::default() });
    let began = Instant::now();
    for n in 0..20 {
        assert_eq!(answer(lane.submit(job(&limits, &[[PLAIN, n as f32]]))), [n as f32]);
    }
    // One that is held back beside a run is taken when the run is over.
    let held = hold(&lane, &runner);
    let waiting: Vec<_> = (0..4).map(|n| lane.submit(job(&limits, &[[PLAIN, n as f32]]))).collect();
    for (n, submission) in waiting.into_iter().enumerate() {
        assert_eq!(answer(submission), [n as f32]);
    }
    drop(wait(held));
    assert!(began.elapsed() < 10_000 * MS, "somebody waited for others: {:?}", began.elapsed());
    assert!(runner.seen().contains(&4), "nobody was held back beside a run: {:?}", runner.seen());
}

#[test]
fn a_batch_that_is_full_does_not_wait_for_the_run_beside_it() {
    let (executor, runner) = (executor(2), Rows::new(Habit::Apart));
    let lane = executor.lane(runner.clone());
    let limits = limits(Batching { max_rows: 4, delay_max: 20_000 * MS, ..Batching::default() });
    (0..3).for_each(|_| drop(answer(lane.submit(job(&limits, &[[PLAIN, 0.0]])))));
    let held = lane.submit(job(&limits, &[[SLOW, 1_500.0]]));
    runner.wait_runs(4);
    let waiting: Vec<_> = (0..4).map(|n| lane.submit(job(&limits, &[[PLAIN, n as f32]]))).collect();
    for (n, submission) in waiting.into_iter().enumerate() {
        assert_eq!(answer(submission), [n as f32]);
    }
    let Submission::Queued(mut held) = held else { panic!("it was not queued") };
    assert!(held.try_recv().is_err(), "the four waited for the run beside them");
    assert_eq!(runner.seen()[4..], [4, 1]);
}

#[test]
fn those_who_left_or_are_late_are_not_in_a_batch() {
    let (executor, runner, limits) = (executor(1), Rows::new(Habit::Apart), plain());
    let lane = executor.lane(runner.clone());
    let held = hold(&lane, &runner);
    let first = lane.submit(job(&limits, &[[PLAIN, 1.0]]));
    drop(lane.submit(job(&limits, &[[POISON, 0.0]])));
    let late = lane.submit(Job { deadline: Instant::now() + 20 * MS, ..job(&limits, &[[POISON, 0.0]]) });
    let stopped = job(&limits, &[[POISON, 0.0]]);
    stopped.control.terminate();
    let stopped = lane.submit(stopped);
    let last = lane.submit(job(&limits, &[[PLAIN, 2.0]]));
    assert_eq!((answer(first), answer(last)), (vec![1.0], vec![2.0]));
    assert_eq!(wait(late).result, Err(JobError::Expired));
    assert_eq!(wait(stopped).result, Err(JobError::Stopped));
    drop(wait(held));
}

#[test]
fn the_wait_foretold_knows_of_batches() {
    let (executor, runner) = (executor(1), Rows::new(Habit::Apart));
    let lane = executor.lane(runner.clone());
    let limits = limits(Batching { max_rows: 16, ..Batching::default() });
    // Each run takes 60 ms, whatever its rows: one by one, twelve of them would take 720.
    let sixty = || job(&limits, &[[SLOW, 60.0]]);
    (0..3).for_each(|_| drop(wait(lane.submit(sixty()))));
    let hurried = |left: Duration| Job { deadline: Instant::now() + left, ..job(&limits, &[[PLAIN, 0.0]]) };
    let held = hold(&lane, &runner);
    let backlog: Vec<_> = (0..12).map(|_| lane.submit(job(&limits, &[[PLAIN, 0.0]]))).collect();
    assert!(matches!(lane.submit(hurried(300 * MS)), Submission::Refused(Refusal::TooLate(_))), "nothing is known yet");
    backlog.into_iter().for_each(|submission| drop(answer(submission)));
    drop(wait(held));
    let held = hold(&lane, &runner);
    let backlog: Vec<_> = (0..12).map(|_| lane.submit(job(&limits, &[[PLAIN, 0.0]]))).collect();
    assert!(matches!(lane.submit(hurried(300 * MS)), Submission::Queued(_)), "a batch of twelve was quick before");
    backlog.into_iter().for_each(|submission| drop(answer(submission)));
    drop(wait(held));
}

#[test]
fn a_pool_that_closes_lets_nobody_wait_for_company() {
    let (executor, runner) = (executor(2), Rows::new(Habit::Apart));
    let lane = executor.lane(runner.clone());
    let limits = limits(Batching { max_rows: 16, delay_max: 20_000 * MS, ..Batching::default() });
    (0..3).for_each(|_| drop(answer(lane.submit(job(&limits, &[[PLAIN, 0.0]])))));
    let held = lane.submit(job(&limits, &[[SLOW, 1_000.0]]));
    runner.wait_runs(4);
    let waiting: Vec<_> = (0..2).map(|n| lane.submit(job(&limits, &[[PLAIN, n as f32]]))).collect();
    let began = Instant::now();
    drop(executor);
    for (n, submission) in waiting.into_iter().enumerate() {
        assert_eq!(answer(submission), [n as f32]);
    }
    drop(wait(held));
    assert!(began.elapsed() < 10_000 * MS, "{:?}", began.elapsed());
}

#[test]
fn a_backlog_of_batches_leaves_another_version_its_turns() {
    let (executor, canary, stable) = (executor(1), Rows::new(Habit::Apart), Rows::new(Habit::Apart));
    let (busy, calm) = (executor.lane(canary.clone()), executor.lane(stable.clone()));
    let limits = plain();
    let backlog: Vec<_> = (0..160).map(|_| busy.submit(job(&limits, &[[SLOW, 2.0]]))).collect();
    for n in 0..3 {
        assert_eq!(answer(calm.submit(job(&limits, &[[PLAIN, n as f32]]))), [n as f32]);
    }
    assert!(busy.waiting() > 0, "the other version waited for the whole backlog");
    drop(backlog);
}

#[test]
fn many_threads_get_their_own_rows_whatever_runs_together() {
    let (executor, runner) = (executor(3), Rows::new(Habit::Apart));
    let lane = executor.lane(runner.clone());
    let limits = limits(Batching { max_rows: 8, delay_max: MS, preferred_rows: vec![4], ..Batching::default() });
    std::thread::scope(|scope| {
        for thread in 0..6_u32 {
            let (lane, limits) = (&lane, &limits);
            scope.spawn(move || {
                for n in 0..400_u32 {
                    let rows: Vec<[f32; 2]> =
                        (0..n % 3 + 1).map(|row| [PLAIN, (thread * 10_000 + n * 10 + row) as f32]).collect();
                    let poison = (n % 97 == 0).then_some([POISON, 0.0]);
                    let sent: Vec<[f32; 2]> = rows.iter().copied().chain(poison).collect();
                    let submission = lane.submit(job(limits, &sent));
                    if poison.is_some() {
                        assert_eq!(fault(submission), FaultKind::Run);
                    } else {
                        assert_eq!(answer(submission), rows.iter().map(|row| row[1]).collect::<Vec<_>>());
                    }
                }
            });
        }
    });
    // The last answer is there a moment before its worker is done.
    let give_up = Instant::now() + PATIENCE;
    while !lane.is_idle() {
        assert!(Instant::now() < give_up, "something is left");
        std::thread::sleep(MS);
    }
}
