//! Asking the sources for a whole list: some questions at a time, no faster than is polite, again
//! after a fault that may pass, and never again after an answer.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::journal::{Journal, Standing};
use super::source::{Answer, Fault, Question, Source};
use super::tracks::{Track, TrackList};
use crate::error::{Error, Result};

/// A source that fails so often in a row is left alone for good.
const GIVE_UP: u32 = 20;
/// The same before it has answered anything: a wrong address, no network.
const GIVE_UP_AT_ONCE: u32 = 5;
/// A source that wants to be left alone for longer is left alone for good.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// Longest pause of our own making.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(60);
/// Between two looks at whether to stop.
const GLANCE: Duration = Duration::from_millis(20);

/// How the sources are treated.
#[derive(Debug, Clone)]
pub struct Manners {
    /// Questions a second to a source that is not one's own; 0 for no limit.
    pub rate: f64,
    /// Questions under way at once.
    pub concurrency: usize,
    /// How often a question is put again after a fault that may pass.
    pub retries: u32,
    /// First pause before a question is put again; each further one is twice as long.
    pub back_off: Duration,
}

/// Where a look-up stands.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Tally {
    /// Songs on the list.
    pub all: u64,
    /// Songs with lyrics.
    pub found: u64,
    /// Songs that nobody sings to.
    pub instrumental: u64,
    /// Songs that no source has, or without a name.
    pub missing: u64,
    /// Songs that a source gave no answer for.
    pub failed: u64,
    /// Of all these, songs that something was asked for in this run.
    pub asked: u64,
    /// Questions answered in this run.
    pub answers: u64,
    /// Seconds since the run began.
    pub seconds: f64,
}

impl Tally {
    /// Songs done.
    pub fn done(&self) -> u64 {
        self.found + self.instrumental + self.missing + self.failed
    }

    /// Seconds left, if the rest has to be asked for as fast as before.
    pub fn seconds_left(&self) -> f64 {
        if self.asked == 0 { 0.0 } else { (self.all - self.done()) as f64 * self.seconds / self.asked as f64 }
    }
}

/// Looks up each song of a list that the journal has no answer for yet, until all are done or
/// `stop` says so; `news` hears now and then how it goes. Songs are counted before, as `all`.
///
/// # Errors
/// The list or the journal can't be read, or a source does not answer any more. What was answered
/// is in the journal.
pub fn look_up(
    lists: &[TrackList],
    all: u64,
    sources: &[Box<dyn Source>],
    journal: &Mutex<Journal>,
    manners: &Manners,
    stop: &AtomicBool,
    news: &mut dyn FnMut(&Tally),
) -> Result<Tally> {
    let started = Instant::now();
    let shared = Shared {
        sources,
        journal,
        manners,
        stop,
        over: AtomicBool::new(false),
        error: Mutex::new(None),
        under_way: Mutex::new(HashSet::new()),
        answered: Condvar::new(),
        pace: Mutex::new(Pace { turn: started, quiet_until: started }),
        failures: AtomicU32::new(0),
        answers: AtomicU64::new(0),
        tally: Mutex::new(Tally { all, ..Tally::default() }),
    };
    std::thread::scope(|scope| {
        // Short, so that no more songs are held than are worked on.
        let (send, receive) = sync_channel::<Track>(manners.concurrency);
        let receive = Arc::new(Mutex::new(receive));
        let (finished, all_finished) = sync_channel::<()>(0);
        for _ in 0..manners.concurrency.max(1) {
            let (receive, finished, shared) = (receive.clone(), finished.clone(), &shared);
            scope.spawn(move || {
                // Dropped when the thread ends, which tells that it has.
                let _finished = finished;
                loop {
                    let track = lock(&receive).recv();
                    let Ok(track) = track else { break };
                    if shared.stopped() {
                        break;
                    }
                    if let Err(error) = shared.track(&track) {
                        shared.fail(error);
                        break;
                    }
                }
            });
        }
        drop((receive, finished));
        let feeder = &shared;
        scope.spawn(move || {
            let gone = || Error::Data("The look-up ended early; run the same command again.".into());
            let fed = lists.iter().try_for_each(|l| l.each(&mut |t| send.send(t).map_err(|_| gone())));
            // Once the run is over the workers are gone, which is no error of its own.
            if let Err(error) = fed
                && !feeder.stopped()
            {
                feeder.fail(error);
            }
        });
        loop {
            let wait = all_finished.recv_timeout(Duration::from_millis(100));
            let mut tally = *lock(&shared.tally);
            tally.answers = shared.answers.load(Ordering::Relaxed);
            tally.seconds = started.elapsed().as_secs_f64();
            news(&tally);
            if wait == Err(RecvTimeoutError::Disconnected) {
                break lock(&shared.error).take().map_or(Ok(tally), Err);
            }
        }
    })
}

/// A thread that panicked has lost its own song and nothing that is kept here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Shared<'a> {
    sources: &'a [Box<dyn Source>],
    journal: &'a Mutex<Journal>,
    manners: &'a Manners,
    stop: &'a AtomicBool,
    /// An error ends the run.
    over: AtomicBool,
    error: Mutex<Option<Error>>,
    /// Questions that a thread is asking just now, so that no other asks the same.
    under_way: Mutex<HashSet<(usize, String)>>,
    answered: Condvar,
    pace: Mutex<Pace>,
    /// Questions in a row that got no answer.
    failures: AtomicU32,
    answers: AtomicU64,
    tally: Mutex<Tally>,
}

/// When questions may be put to sources that are not one's own.
struct Pace {
    /// The next one, by the rate that we keep to ourselves.
    turn: Instant,
    /// None before that: a source asked for it.
    quiet_until: Instant,
}

/// Takes the question off those under way, however asking it ends.
struct UnderWay<'a>(&'a Shared<'a>, (usize, String));

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        lock(&self.0.under_way).remove(&self.1);
        self.0.answered.notify_all();
    }
}

impl Shared<'_> {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.over.load(Ordering::Relaxed)
    }

    /// Ends the run; the first error counts.
    fn fail(&self, error: Error) {
        self.over.store(true, Ordering::Relaxed);
        lock(&self.error).get_or_insert(error);
    }

    /// Asks what there is to ask for a song, and counts it.
    fn track(&self, track: &Track) -> Result<()> {
        let mut asked = false;
        let outcome = loop {
            let standing = lock(self.journal).standing(track, self.sources, false)?;
            match standing {
                Standing::Known(answer) => break Some(answer),
                Standing::Nameless => break Some(Answer::Missing),
                Standing::Open(source, question) => {
                    asked = true;
                    match self.question(source, &question)? {
                        ControlFlow::Continue(()) => {}
                        ControlFlow::Break(()) if self.stopped() => return Ok(()),
                        ControlFlow::Break(()) => break None,
                    }
                }
            }
        };
        let mut tally = lock(&self.tally);
        tally.asked += u64::from(asked);
        *match outcome {
            Some(Answer::Found(_)) => &mut tally.found,
            Some(Answer::Instrumental) => &mut tally.instrumental,
            Some(Answer::Missing) => &mut tally.missing,
            None => &mut tally.failed,
        } += 1;
        Ok(())
    }

    /// Has a question answered, by this thread or by the one that is at it; breaks off if it fails.
    fn question(&self, source: usize, question: &Question) -> Result<ControlFlow<()>> {
        let key = question.key();
        let id = (source, key.clone());
        let name = self.sources[source].name();
        let mut under_way = lock(&self.under_way);
        while under_way.contains(&id) {
            under_way = self.answered.wait(under_way).unwrap_or_else(PoisonError::into_inner);
        }
        under_way.insert(id.clone());
        drop(under_way);
        let _mine = UnderWay(self, id);
        if lock(self.journal).answer(name, &key, false)?.is_some() {
            return Ok(ControlFlow::Continue(()));
        }
        match self.ask(&*self.sources[source], question) {
            Ok(answer) => {
                lock(self.journal).record(name, &key, &answer)?;
                self.failures.store(0, Ordering::Relaxed);
                self.answers.fetch_add(1, Ordering::Relaxed);
                Ok(ControlFlow::Continue(()))
            }
            Err(Fault::Fatal(error)) => Err(error),
            Err(_) if self.stopped() => Ok(ControlFlow::Break(())),
            Err(Fault::Passing { why, .. } | Fault::Refused(why)) => {
                lock(self.journal).record_failure(name, &key, &why)?;
                let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
                let answered = self.answers.load(Ordering::Relaxed) > 0;
                if failures >= if answered { GIVE_UP } else { GIVE_UP_AT_ONCE } {
                    return Err(Error::Data(format!(
                        "{name} gave no answer {failures} times in a row ({why}). What was answered before is kept; run the same command again later."
                    )));
                }
                Ok(ControlFlow::Break(()))
            }
        }
    }

    /// Puts a question, again and again if need be.
    fn ask(&self, source: &dyn Source, question: &Question) -> std::result::Result<Answer, Fault> {
        let mut tried = 0;
        loop {
            if source.remote() {
                self.wait_for_turn();
            }
            if self.stopped() {
                return Err(Fault::Refused("stopped".into()));
            }
            match source.ask(question) {
                Err(Fault::Passing { why, pause }) => {
                    if let Some(pause) = pause.filter(|p| *p > LONGEST_PAUSE) {
                        return Err(Fault::Fatal(Error::Data(format!(
                            "{} wants to be left alone for {} minutes. What was answered before is kept; run the same command again then.",
                            source.name(),
                            pause.as_secs().div_ceil(60)
                        ))));
                    }
                    // Whoever asks for a pause means all of us, not this question alone.
                    if let Some(pause) = pause {
                        let mut pace = lock(&self.pace);
                        pace.quiet_until = pace.quiet_until.max(Instant::now() + pause);
                    }
                    if tried == self.manners.retries {
                        return Err(Fault::Passing { why, pause });
                    }
                    let back_off = (self.manners.back_off * 2u32.pow(tried.min(10))).min(LONGEST_BACK_OFF);
                    self.sleep_until(Instant::now() + back_off);
                    tried += 1;
                }
                other => return other,
            }
        }
    }

    /// Waits until the next question may be put.
    fn wait_for_turn(&self) {
        let turn = {
            let mut pace = lock(&self.pace);
            let turn = pace.turn.max(Instant::now());
            if self.manners.rate > 0.0 {
                pace.turn = turn + Duration::from_secs_f64(1.0 / self.manners.rate);
            }
            turn
        };
        self.sleep_until(turn);
        loop {
            let quiet_until = lock(&self.pace).quiet_until;
            if quiet_until <= Instant::now() || self.stopped() {
                return;
            }
            self.sleep_until(quiet_until);
        }
    }

    fn sleep_until(&self, end: Instant) {
        while !self.stopped() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(GLANCE));
        }
    }
}
