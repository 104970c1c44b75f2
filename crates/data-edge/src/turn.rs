//! A connection that wakes itself while it is looked after is looked after once more, at once.
//!
//! hyper wakes its own connection whenever a request's body is read by the same task. The async runtime takes that for a
//! task that makes way for others: it puts it at the end of its queue and wakes another worker to share the work. With
//! few callers there is nothing to share, and that worker costs two context switches for every request.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Looks in a row; then others have their turn.
const LOOKS_MAX: usize = 4;

/// Nobody is looking after the future: who wakes it wakes its task.
const AWAY: u8 = 0;
/// It is being looked after.
const LOOKING: u8 = 1;
/// It is being looked after, and has been woken meanwhile.
const WOKEN: u8 = 2;

/// What the future wakes in place of its task.
struct Bell {
    state: AtomicU8,
    task: Waker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let heard = |state| (state != AWAY).then_some(WOKEN);
        if self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, heard).is_err() {
            self.task.wake_by_ref();
        }
    }
}

impl Bell {
    /// One look; `None` if the future is to be looked after again.
    fn look<T>(&self, waker: &Waker, future: Pin<&mut impl Future<Output = T>>) -> Option<Poll<T>> {
        self.state.store(LOOKING, Ordering::Release);
        if let Poll::Ready(output) = future.poll(&mut Context::from_waker(waker)) {
            return Some(Poll::Ready(output));
        }
        let is_quiet = self.state.swap(AWAY, Ordering::AcqRel) == LOOKING;
        is_quiet.then_some(Poll::Pending)
    }
}

/// The future, with its wakes of itself heard here.
pub(crate) async fn in_one_turn<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut bell: Option<(Arc<Bell>, Waker)> = None;
    std::future::poll_fn(move |cx| {
        let (bell, waker) = match &mut bell {
            Some(bell) if bell.0.task.will_wake(cx.waker()) => bell,
            bell => {
                let made = Arc::new(Bell { state: AtomicU8::new(AWAY), task: cx.waker().clone() });
                let waker = Waker::from(made.clone());
                bell.insert((made, waker))
            }
        };
        for _ in 0..LOOKS_MAX {
            if let Some(poll) = bell.look(waker, future.as_mut()) {
                return poll;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use std::future::poll_fn;
    use std::sync::Mutex;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Polls once; gives what came of it, and how often the task has been woken in all.
    fn poll_once<T>(task: &Arc<Task>, future: Pin<&mut impl Future<Output = T>>) -> (Poll<T>, usize) {
        let waker = Waker::from(task.clone());
        let poll = future.poll(&mut Context::from_waker(&waker));
        (poll, task.0.load(Ordering::Acquire))
    }

    /// Wakes itself so often, then is ready.
    fn restless(mut n_wakes: usize) -> impl Future<Output = &'static str> {
        poll_fn(move |cx| {
            if n_wakes == 0 {
                return Poll::Ready("done");
            }
            n_wakes -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }

    #[test]
    fn a_future_that_wakes_itself_goes_on_without_its_task_being_woken() {
        let task = Arc::new(Task::default());
        let mut future = pin!(in_one_turn(restless(LOOKS_MAX - 1)));
        assert_eq!(poll_once(&task, future.as_mut()), (Poll::Ready("done"), 0));
    }

    #[test]
    fn one_that_never_stops_leaves_others_their_turn() {
        let task = Arc::new(Task::default());
        let mut future = pin!(in_one_turn(restless(2 * LOOKS_MAX)));
        assert_eq!(poll_once(&task, future.as_mut()), (Poll::Pending, 1));
        assert_eq!(poll_once(&task, future.as_mut()), (Poll::Pending, 2));
        assert_eq!(poll_once(&task, future.as_mut()), (Poll::Ready("done"), 2));
    }

    #[test]
    fn a_wake_from_elsewhere_reaches_the_task_that_looked_last() {
        let kept: Mutex<Option<Waker>> = Mutex::default();
        let keep = poll_fn(|cx| {
            *kept.lock().unwrap() = Some(cx.waker().clone());
            Poll::<()>::Pending
        });
        let mut future = pin!(in_one_turn(keep));
        let (first, second) = (Arc::new(Task::default()), Arc::new(Task::default()));
        let wake = || kept.lock().unwrap().take().unwrap().wake();
        assert_eq!(poll_once(&first, future.as_mut()), (Poll::Pending, 0));
        wake();
        assert_eq!(poll_once(&first, future.as_mut()), (Poll::Pending, 1));
        assert_eq!(poll_once(&second, future.as_mut()), (Poll::Pending, 0));
        wake();
        assert_eq!((first.0.load(Ordering::Acquire), second.0.load(Ordering::Acquire)), (1, 1));
    }
}
