// SPDX-License-Identifier: GPL-2.0

//! Where the kernel calls us, and the transaction that attaches all of it.
//!
//! | file | hook | does |
//! | --- | --- | --- |
//! | `migrate` | migrate_pages(), fprobe | marks what could not be migrated |
//! | `isolation` | test_pages_isolated(), fprobe | marks what could not even be isolated |
//! | `compaction` | mm_compaction_isolate_migratepages, tracepoint | marks what compaction passed over |
//! | `longterm` | folio_isolate_lru(), fprobe | marks what a long-term pin could not isolate |
//! | `memory_failure` | memory_failure_event, tracepoint; soft_offline_page(), unpoison_memory(), fprobes | marks and forgets bad memory |
//! | `page_ref` | page_ref_*, tracepoints | records puts of marked folios, and all changes of watched pages |
//! | `putback` | putback_movable_pages(), fprobe | knows the stack of the puts it makes |
//! | `page_free` | mm_page_free, tracepoint | ends the story |
//! | `manual` | the file `mark` | marks and forgets by hand |
//! | `watch` | the file `watch` | watches pages |
//!
//! # Attaching
//!
//! Enabling an event calls [`attach`], disabling it [`detach`], both under the kernel's
//! event_mutex; the first attaches every hook or none, the last detaches them. Whoever is attached
//! holds a reference to the module: rmmod says EBUSY while an event is enabled, as it would wipe
//! the trace buffer.
//!
//! Lock order: event_mutex, then [`ATTACHED`], then the locks of tracepoints and ftrace.
//!
//! With `arming=on_demand` the hooks of puts, which are called for every page, are attached by
//! [`deferred`] soon after the first folio is marked, at once if by hand, and detached some seconds
//! after the last one is not any more. What holders let go of before that is lost, and counted
//! where it can be known.
//!
//! # Lifetimes
//!
//! Marks live while hooks are attached, as without hooks nobody would see a marked page be freed.
//! Stacks live until unload: events that were recorded refer to them.
//!
//! # A bug of our own
//!
//! When an invariant of the tables turns out not to hold, nothing is recorded from then on, the
//! hooks are detached by [`deferred`], one line in the log says so, and the tables stay as they
//! are, to be read, until unload.

mod by_task;
mod compaction;
mod isolation;
mod longterm;
pub(crate) mod manual;
mod memory_failure;
mod migrate;
mod page_free;
mod page_ref;
mod putback;
pub(crate) mod stats;
pub(crate) mod watch;

use crate::events;
use crate::store::depot::Handle;
use crate::store::invariant::broken;
use crate::store::page_ext::{Block, Marked};
use crate::store::reason::{Cause, Reason, Recovery, Stage};
use crate::store::record::{Failure, Lost, Record, Task};
use crate::store::{Depot, Ledger, Limit, PageExt};
use crate::sys::context::{Context, Text};
use crate::sys::{
    self,
    folio::{Page, State},
    fprobe::{self, Watched},
    lock::Locked,
    memory::Marks,
    params,
};
use core::ptr::NonNull;
use core::sync::atomic::{fence, AtomicBool, Ordering};
use kernel::error::{
    code::{EAGAIN, EBUSY, EIO},
    Result,
};
use kernel::prelude::*;
use stats::Loss;

/// The reference of the one who isolated a folio to migrate it.
const ISOLATION: i32 = 1;

/// Folios that are marked in one go, with preemption off: 500 to 1500 instructions each. As many as
/// a memory block of 128 MiB has, so that what memory offline tries at once fits.
const AT_ONCE: usize = 32768;

/// The marks of all pages.
pub(crate) static MARKS: PageExt = PageExt::new();
/// The references of watched pages.
pub(crate) static LEDGER: Ledger = Ledger::new();
/// The stacks.
pub(crate) static DEPOT: Depot = Depot::new();
/// The reports of this second.
static REPORTS: Limit = Limit::new();

/// The functions that are watched, those that are called most first.
static FUNCTIONS: [Watched; FUNCTIONS_LEN] = [
    Watched::new::<longterm::FolioIsolateLru>(),
    Watched::new::<migrate::MigratePages>(),
    Watched::new::<putback::PutbackMovablePages>(),
    Watched::new::<isolation::TestPagesIsolated>(),
    #[cfg(CONFIG_MEMORY_FAILURE)]
    Watched::new::<memory_failure::SoftOfflinePage>(),
    #[cfg(CONFIG_MEMORY_FAILURE)]
    Watched::new::<memory_failure::UnpoisonMemory>(),
];
const FUNCTIONS_LEN: usize = 4 + if cfg!(CONFIG_MEMORY_FAILURE) { 2 } else { 0 };

/// The hooks, in the order in which they are detached: first what marks, last what clears marks.
struct Hooks {
    functions: fprobe::Probe,
    _tried: sys::tracepoint::Probe,
    _compaction: Option<sys::tracepoint::Probe>,
    _memory_failure: Option<sys::tracepoint::Probe>,
    /// Attached when armed, unless the hooks of watched pages see them all
    puts: Option<page_ref::Puts>,
    /// Since when no folio is marked while armed on demand, in nanoseconds
    idle_since: Option<u64>,
    _frees: sys::tracepoint::Probe,
}

impl Hooks {
    /// All hooks, or none: what was attached before one fails is dropped with the error.
    fn attach(is_watched: bool) -> Result<Self> {
        putback::forget_calls();
        let frees = page_free::attach().map_err(refused("attach to mm_page_free"))?;
        let puts = (!params::on_demand() && !is_watched)
            .then(page_ref::attach)
            .transpose()
            .map_err(refused("attach to page_ref_mod*"))?;
        let memory_failure =
            memory_failure::attach().map_err(refused("attach to memory_failure_event"))?;
        let compaction = compaction::attach()
            .map_err(refused("attach to mm_compaction_isolate_migratepages"))?;
        let tried = migrate::attach().map_err(refused("attach to mm_migrate_pages"))?;
        let functions = fprobe::Probe::attach(&FUNCTIONS)
            .map_err(refused("attach to migrate_pages() and other functions"))?;
        Ok(Hooks {
            functions,
            _tried: tried,
            _compaction: compaction,
            _memory_failure: memory_failure,
            puts,
            idle_since: None,
            _frees: frees,
        })
    }
}

/// Says in the log what the kernel refused, and hands the error on.
fn refused(what: &str) -> impl FnOnce(Error) -> Error + '_ {
    move |e| {
        pr_err!(
            "cannot {what}, error {}; the event stays off\n",
            e.to_errno()
        );
        e
    }
}

/// The hooks of puts are attached.
static ARMED: AtomicBool = AtomicBool::new(false);

struct Attached {
    allowed: bool,
    users: u32,
    hooks: Option<Hooks>,
    /// There are tables of marks.
    is_open: bool,
    /// That an invariant does not hold was said in the log.
    is_told: bool,
    /// Calls that earlier hooks have missed.
    missed: usize,
    /// That the hooks of puts cannot be attached was said in the log.
    is_unarmed_told: bool,
    watch: watch::Watch,
}

// SAFETY: The only `Locked` of the module.
static ATTACHED: Locked<Attached> = unsafe {
    Locked::new(Attached {
        allowed: false,
        users: 0,
        hooks: None,
        is_open: false,
        is_told: false,
        missed: 0,
        is_unarmed_told: false,
        watch: watch::Watch::new(),
    })
};

impl Attached {
    /// Detaches the hooks, if they are attached. May sleep.
    fn detach(&mut self) {
        if let Some(hooks) = self.hooks.take() {
            self.missed += hooks.functions.missed();
        }
        // Not before: what is freed meanwhile was watched.
        ARMED.store(false, Ordering::Relaxed);
    }

    /// Makes the memory that marks need, then attaches the hooks. May sleep.
    fn open(&mut self) -> Result {
        if broken().is_some() {
            return Err(EIO).map_err(refused("go on after a bug of this module"));
        }
        Marks::open().map_err(refused("make the reserve of memory"))?;
        self.is_open = true;
        match Hooks::attach(self.watch.is_on()) {
            Ok(hooks) => {
                let is_armed = hooks.puts.is_some() || self.watch.is_on();
                ARMED.store(is_armed, Ordering::Relaxed);
                self.hooks = Some(hooks);
            }
            Err(e) => {
                self.close();
                return Err(e);
            }
        }
        Ok(())
    }

    /// Attaches the hooks of puts if there may be some to record, and detaches them when there have
    /// been none for long. Milliseconds after which to look again, if so. May sleep.
    fn arm(&mut self) -> Option<u32> {
        let hooks = self.hooks.as_mut()?;
        if self.watch.is_on() {
            hooks.puts = None;
            hooks.idle_since = None;
            if !ARMED.swap(true, Ordering::Relaxed) {
                count_unseen();
            }
            return None;
        }
        if !params::on_demand() || !MARKS.is_empty() {
            hooks.idle_since = None;
            if hooks.puts.is_some() {
                return None;
            }
            if !self.attach_puts() {
                return Some(ARM_AGAIN_MS);
            }
            ARMED.store(true, Ordering::Relaxed);
            count_unseen();
            return None;
        }
        hooks.puts.as_ref()?;
        let now = sys::now();
        let since = *hooks.idle_since.get_or_insert(now);
        if now.saturating_sub(since) < u64::from(LINGER_MS) * 1_000_000 {
            return Some(LINGER_MS);
        }
        hooks.idle_since = None;
        ARMED.store(false, Ordering::Relaxed);
        hooks.puts = None;
        // Who marks a folio after this look sees that we are not armed, and kicks.
        fence(Ordering::SeqCst);
        (!MARKS.is_empty()).then_some(0)
    }

    /// As [`Attached::arm`], which [`deferred`] goes on with. May sleep.
    fn arm_and_look_again(&mut self) {
        if let Some(ms) = self.arm() {
            sys::deferred::later(ms);
        }
    }

    /// Attaches the hooks of puts. False if that fails, which is said in the log, once. May sleep.
    fn attach_puts(&mut self) -> bool {
        let Some(hooks) = self.hooks.as_mut() else {
            return false;
        };
        match page_ref::attach() {
            Ok(puts) => {
                hooks.puts = Some(puts);
                self.is_unarmed_told = false;
                true
            }
            Err(e) => {
                if !self.is_unarmed_told {
                    self.is_unarmed_told = true;
                    pr_err!(
                        "cannot attach to page_ref_mod*, error {}; no put is seen meanwhile\n",
                        e.to_errno()
                    );
                }
                false
            }
        }
    }

    /// Attaches the hooks of puts, if there may be some to record, before those of watched pages
    /// are detached. May sleep.
    fn take_over_puts(&mut self) {
        let wants = self.hooks.is_some() && (!params::on_demand() || !MARKS.is_empty());
        let is_armed = wants && self.attach_puts();
        ARMED.store(is_armed, Ordering::Relaxed);
    }

    /// Forgets all marks and gives their memory back, when no hook is attached any more. Not
    /// before unload if an invariant is broken, so that the tables can be read. May sleep.
    fn close(&mut self) {
        if !self.is_open {
            return;
        }
        sys::tracepoint::synchronize();
        if cfg!(debug_assertions) {
            MARKS.audit();
        }
        self.tell_of_bug();
        if broken().is_none() || !self.allowed {
            // Readers of the tables and the deferred work take ATTACHED too, which is held.
            // SAFETY: The hooks are detached and nobody is in them; the rest is excluded as said.
            unsafe { MARKS.drain(&Marks, end_of) };
            Marks::close();
            self.is_open = false;
        }
    }

    /// Says in the log, once, that an invariant does not hold.
    fn tell_of_bug(&mut self) {
        let Some(invariant) = broken().filter(|_| !self.is_told) else {
            return;
        };
        self.is_told = true;
        pr_err!(
            "BUG: '{}' does not hold in its tables; switched off, they can be read until unload\n",
            invariant.name()
        );
    }
}

/// Events may be enabled from now on. May sleep.
pub(crate) fn allow() {
    page_ref::find_frames();
    ATTACHED.lock().allowed = true;
}

/// Attaches for one event. May sleep.
///
/// # Errors
///
/// EAGAIN before the module is ready, ENODEV while it is unloaded, what attaching a hook says.
fn attach() -> Result {
    let mut attached = ATTACHED.lock();
    if !attached.allowed {
        return Err(EAGAIN);
    }
    sys::module::get()?;
    if attached.hooks.is_none() {
        MARKS.configure(params::max_marks(), sys::folio::block_bias());
        DEPOT.set_cap(params::depot_bytes());
        // Without memory for stacks the hooks still report; the stacks are counted as lost.
        DEPOT.refill(&sys::memory::Sleeping);
        attached.open().inspect_err(|_| sys::module::put())?;
    }
    attached.users += 1;
    drop(attached);
    max_age_changed();
    Ok(())
}

/// Detaches for one event. May sleep.
fn detach() {
    let mut attached = ATTACHED.lock();
    if attached.users == 0 {
        return;
    }
    attached.users -= 1;
    if attached.users == 0 {
        attached.detach();
        attached.close();
    }
    sys::module::put();
}

/// Ends everything, at unload.
pub(crate) fn stop() {
    let mut attached = ATTACHED.lock();
    attached.allowed = false;
    // Its hooks ask for deferred work.
    attached.unwatch();
    // What was kept to be read
    attached.close();
    attached.unwatch();
    drop(attached);
    sys::deferred::stop();
    if cfg!(debug_assertions) {
        DEPOT.audit();
    }
    ATTACHED.lock().tell_of_bug();
    // SAFETY: No event is enabled, as each would hold the module, so no hook is attached; the
    // files are gone, and the deferred work was stopped.
    unsafe { DEPOT.drain(&sys::memory::Sleeping) };
}

/// Runs `reader` while marks and stacks cannot be taken away. May sleep.
pub(crate) fn reading<R>(reader: impl FnOnce() -> R) -> R {
    let _attached = ATTACHED.lock();
    reader()
}

/// How the hooks are.
pub(crate) struct Hooked {
    /// They are attached.
    pub(crate) is_on: bool,
    /// Those of puts, too.
    pub(crate) is_armed: bool,
    /// Calls of watched functions that were not seen.
    pub(crate) missed: usize,
}

/// As [`reading`], while the hooks stay as they are, too. May sleep.
pub(crate) fn reading_all<R>(reader: impl FnOnce(Hooked) -> R) -> R {
    let attached = ATTACHED.lock();
    let missed = |hooks: &Hooks| hooks.functions.missed();
    reader(Hooked {
        is_on: attached.hooks.is_some(),
        is_armed: attached
            .hooks
            .as_ref()
            .is_some_and(|hooks| hooks.puts.is_some() || attached.watch.is_on()),
        missed: attached.missed + attached.hooks.as_ref().map_or(0, missed),
    })
}

/// Runs `marker` while hooks are attached and so marks can be made. Puts of what it has marked are
/// watched from then on, with `arming=on_demand`, too. May sleep.
///
/// # Errors
///
/// EBUSY if none is, EIO after a bug of our own.
fn marking<R>(marker: impl FnOnce() -> Result<R>) -> Result<R> {
    let mut attached = ATTACHED.lock();
    if broken().is_some() {
        return Err(EIO);
    }
    if attached.hooks.is_none() {
        return Err(EBUSY);
    }
    let done = marker();
    attached.arm_and_look_again();
    done
}

/// What the hot paths left to do: makes stack pools, takes out empty blocks of marks, fills the
/// reserve up; and forgets what is too old.
pub(crate) fn deferred() {
    let mut attached = ATTACHED.lock();
    if broken().is_some() {
        attached.detach();
        attached.watch.detach();
        sys::tracepoint::synchronize();
        return attached.tell_of_bug();
    }
    if attached.hooks.is_some() || attached.watch.is_on() {
        DEPOT.refill(&sys::memory::Sleeping);
    }
    if attached.hooks.is_none() {
        return;
    }
    while MARKS.is_crowded() && reap() {}
    Marks::fill();
    let mut again = attached.arm();
    if let Some(max_age) = params::max_age() {
        expire(max_age);
        again = Some(again.map_or(EXPIRY_MS, |ms| ms.min(EXPIRY_MS)));
    }
    if let Some(ms) = again {
        sys::deferred::later(ms);
    }
}

/// Gives some empty blocks back, with [`ATTACHED`] held. False if there is none.
fn reap() -> bool {
    let mut dead = [None::<NonNull<Block>>; 32];
    if MARKS.reap(&mut dead) == 0 {
        return false;
    }
    // Whoever looks at a block does so in a probe, with preemption off or in RCU.
    sys::tracepoint::synchronize();
    for &block in dead.iter().flatten() {
        // SAFETY: Taken out by `reap`, and nobody who saw it is left.
        unsafe { MARKS.free_block(block, &Marks) };
    }
    true
}

/// How long the hooks of puts stay when no folio is marked any more.
const LINGER_MS: u32 = 5000;

/// When it is tried again to attach them.
const ARM_AGAIN_MS: u32 = 1000;

/// Counts what holders have let go of since their folios were marked, when puts were not seen; and
/// ends the stories of huge pages that went back to their pool, which nothing else tells. With
/// [`ATTACHED`] held. One that is put just now, the hooks being attached already, is recorded and
/// counted, too.
fn count_unseen() {
    let mut index = 0;
    while let Some(user) = MARKS.records().next(index) {
        index = user.index() + 1;
        let failure = user.snapshot().failure;
        let Some(page) = Page::at(failure.pfn) else {
            continue;
        };
        let before = excess(failure.count, failure.expected);
        if page.is_in_pool() {
            MARKS.end(&user, |record| end_of(record, Cause::Freed));
            Loss::Unarmed.add(before);
        } else {
            let now = page.read();
            Loss::Unarmed.add(before.saturating_sub(excess(now.count, now.expected)));
        }
    }
}

/// How many references there are that the kernel does not account for.
fn excess(count: i32, expected: i32) -> u32 {
    u32::try_from(count.saturating_sub(expected)).unwrap_or(0)
}

/// How often it is looked for folios that are too old.
const EXPIRY_MS: u32 = 1000;

/// Forgets every folio that was marked `max_age` nanoseconds ago. With [`ATTACHED`] held.
fn expire(max_age: u64) {
    let mut index = 0;
    while let Some(user) = MARKS.records().next(index) {
        index = user.index() + 1;
        if sys::now().saturating_sub(user.first()) >= max_age {
            MARKS.end(&user, |record| end_of(record, Cause::Expired));
        }
    }
}

/// Folios may be too old by now. May sleep.
pub(crate) fn max_age_changed() {
    // Not when it is given at load: nobody would stop the work if loading failed.
    if params::max_age().is_some() && reading_all(|hooked| hooked.is_on) {
        sys::deferred::kick();
    }
}

/// Attaches the hooks of puts before it returns, if they are to be from now on. May sleep.
pub(crate) fn arming_changed() {
    // Not at load, either.
    ATTACHED.lock().arm_and_look_again();
}

/// With `arming=on_demand`: a folio is marked and puts are not watched, or they are and none is.
/// Context: any.
fn wants_arming() -> bool {
    if !params::on_demand() || page_ref::is_watched() {
        return false;
    }
    // Either who disarms sees the mark that was made before, or we see that it has.
    fence(Ordering::SeqCst);
    ARMED.load(Ordering::Relaxed) == MARKS.is_empty()
}

/// Asks for [`deferred`] if there is something for it to do. Context: any.
fn kick_if_needed() {
    if DEPOT.wants_refill() || MARKS.is_crowded() || broken().is_some() || wants_arming() {
        sys::deferred::kick();
    }
}

/// This CPU's scratch, for a hook that has something to record. If it is in use that is lost, and
/// counted. Context: any.
fn record() -> Option<Context> {
    if broken().is_some() {
        return None;
    }
    let context = Context::enter();
    if context.is_none() {
        Loss::Nested.count();
    }
    context
}

/// The stack with that handle, once more; `None` if it is not in the depot. Context: any.
fn again(handle: u32) -> Option<Handle> {
    let stack = DEPOT.get(Handle(handle))?;
    stack.hit();
    Some(stack.handle)
}

/// A failed attempt of the kernel to move folios: what all of them have in common.
struct Attempt {
    reason: Reason,
    stage: Stage,
    err: i32,
    recovery: Option<Recovery>,
    stack: u32,
    task: Task,
}

impl Attempt {
    /// Unwinds the stack of the attempt, once for all its folios.
    fn new(
        context: &mut Context,
        reason: Reason,
        stage: Stage,
        err: i32,
        site: fprobe::Site,
    ) -> Self {
        let stack = DEPOT.save(context.return_stack(site));
        Self::with(reason, stage, err, stack)
    }

    /// One that is under way: its stack is the current one, without the functions in `hooks`.
    fn here(context: &mut Context, reason: Reason, stage: Stage, err: i32, hooks: &[Text]) -> Self {
        let stack = DEPOT.save(context.caller_stack(hooks));
        Self::with(reason, stage, err, stack)
    }

    fn with(reason: Reason, stage: Stage, err: i32, stack: Handle) -> Self {
        Attempt {
            reason,
            stage,
            err,
            recovery: None,
            stack: stack.0,
            task: sys::context::task(),
        }
    }

    /// Marks a folio, or counts a failure more, and reports it once in a burst of them. The folio
    /// must not be freed meanwhile; `ours` of its references are the attempt's.
    fn mark(&self, page: Page, ours: i32) {
        let mut folio = page.read();
        folio.count -= ours;
        if self.stage == Stage::Migrate {
            folio.expected += ISOLATION;
        }
        let failure = self.failure(&folio);
        let marked = MARKS.mark(&failure, &Marks, end_of);
        self.done(marked, &failure, folio);
    }

    /// The same for a folio that was looked at and may be freed by now. Not everybody who has
    /// allocated memory puts up with another reference to it, so we take none.
    fn mark_unheld(&self, folio: State) {
        let failure = self.failure(&folio);
        let marked = MARKS.mark_unheld(&failure, &Marks, end_of, || folio.is_still_there());
        self.done(marked, &failure, folio);
    }

    /// The attempt's failure with this folio.
    fn failure(&self, folio: &State) -> Failure {
        Failure {
            pfn: folio.pfn,
            order: folio.order as u8,
            reason: self.reason,
            stage: self.stage,
            err: self.err,
            recovery: self.recovery,
            count: folio.count,
            expected: folio.expected,
            now: sys::now(),
            stack: self.stack,
            task: self.task,
        }
    }

    /// Counts and reports what came of it.
    fn done(&self, marked: core::result::Result<Marked, Lost>, failure: &Failure, folio: State) {
        match marked {
            Ok(Marked::New) => stats::MARKED.count(),
            Ok(Marked::Again(..)) => stats::REPEATED.count(),
            Err(lost) => {
                Loss::of(lost).count();
                return sys::deferred::kick();
            }
        }
        report(failure, folio);
        kick_if_needed();
        if Marks::is_low() {
            sys::deferred::kick();
        }
    }
}

/// Reports a failure of a marked folio, unless its burst was reported already or there were as
/// many reports in this second as allowed.
fn report(failure: &Failure, folio: State) {
    let Some(marked) = MARKS.lookup(failure.pfn).filter(|r| r.claim_report()) else {
        return;
    };
    if REPORTS.take(failure.now, params::report_rate()) {
        stats::REPORTS.count();
        events::report(failure, folio);
    } else {
        marked.not_reported();
        Loss::Report.count();
    }
}

/// The story of a marked folio ended.
fn end_of(record: &Record, cause: Cause) {
    stats::ended(cause).count();
    if cause == Cause::Freed && params::on_demand() && !ARMED.load(Ordering::Relaxed) {
        let failure = record.snapshot().failure;
        Loss::Unarmed.add(excess(failure.count, failure.expected));
    }
    events::free(record, cause, sys::now());
}

#[no_mangle]
extern "C" fn ppo_rust_attach() -> kernel::ffi::c_int {
    attach().map_or_else(|e| e.to_errno(), |()| 0)
}

#[no_mangle]
extern "C" fn ppo_rust_detach() {
    detach();
}
