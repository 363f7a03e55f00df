// SPDX-License-Identifier: GPL-2.0

//! Who is said to have held a folio, in cases that are easily mistaken.

use pinowner::gather::Gatherer;
use pinowner::recording::Section;
use pinowner::story::{End, Findings, Role, Story};
use std::fmt::Write;

const HOLDER: u32 = 1;
const OTHER: u32 = 2;
const MIGRATOR: u32 = 3;
const LRU: u32 = 4;

const STACKS: &str = "\
stack=1 hits=1
 pipe_release+0x1/0x2

stack=2 hits=1
 read_pages+0x1/0x2

stack=3 hits=1
 migrate_folio_undo_src+0x1/0x2
 migrate_pages_batch+0x1/0x2

stack=4 hits=1
 folio_batch_move_lru+0x1/0x2

";

/// A trace that is being made up: of one folio, with count and mapcount as they change.
#[derive(Default)]
struct Trace {
    text: String,
    marked: u64,
    now: u64,
    mapcount: i32,
    /// It is in a batch of the LRU lists, or isolated.
    is_batched: bool,
}

impl Trace {
    fn event(&mut self, comm: &str, event: &str) -> &mut Self {
        let (s, us) = (self.now / 1_000_000, self.now % 1_000_000);
        writeln!(self.text, "{comm}-7 [000] ..... {s}.{us:06}: {event}").unwrap();
        self
    }

    fn wait(&mut self, ms: u64) -> &mut Self {
        self.now += ms * 1000;
        self
    }

    fn flags(&self) -> &'static str {
        if self.is_batched {
            "swapbacked"
        } else {
            "lru|swapbacked"
        }
    }

    fn report(&mut self, stage: &str, count: i32, expected: i32) -> &mut Self {
        let (mapcount, flags) = (self.mapcount, self.flags());
        self.event(
            "sh",
            &format!(
                "report_page_pinners: pfn=0x10 flags={flags} count={count} \
                 mapcount={mapcount} mapping=00000000ddcb0d99 mt=5 reason=contig_range err=-16 \
                 stage={stage} expected={expected} order=0 stack=9"
            ),
        )
    }

    /// The folio is marked: the first report.
    fn failed(&mut self, stage: &str, count: i32, expected: i32) -> &mut Self {
        self.marked = self.now;
        self.report(stage, count, expected)
    }

    /// Somebody puts it, and `count` is left.
    fn put(&mut self, stack: u32, refs: i32, count: i32) -> &mut Self {
        let (age, mapcount, flags) = (self.now - self.marked, self.mapcount, self.flags());
        self.event(
            &format!("task{stack}"),
            &format!(
                "page_pin_owner_put: pfn=0x10 flags={flags} count={count} \
                 mapcount={mapcount} mapping=00000000ddcb0d99 mt=5 reason=contig_range \
                 stage=migrate refs={refs} age_us={age} last={} stack={stack}",
                i32::from(count == 0)
            ),
        )
    }

    fn free(&mut self, cause: &str) -> &mut Self {
        let age = self.now - self.marked;
        self.event(
            "sh",
            &format!(
                "page_pin_owner_free: pfn=0x10 reason=contig_range stage=migrate puts=1 \
                 age_us={age} cause={cause}"
            ),
        )
    }

    fn findings(&self, tables: &[(Section, &str)]) -> Findings {
        let mut gatherer = Gatherer::new();
        for (section, text) in [(Section::Events, &*self.text), (Section::Stacks, STACKS)]
            .iter()
            .chain(tables)
        {
            gatherer.begin(*section);
            for line in text.lines() {
                gatherer.section_line(*section, line.as_bytes());
            }
        }
        gatherer.finish()
    }

    fn stories(&self) -> Vec<Story> {
        self.findings(&[]).stories
    }
}

/// What there is to find in a trace as the kernel prints it.
fn findings_of(text: &str) -> Findings {
    let mut gatherer = Gatherer::new();
    for line in text.lines() {
        gatherer.trace_line(line.as_bytes());
    }
    gatherer.finish()
}

/// Roles and stacks of a story's puts.
fn roles(story: &Story) -> Vec<(Role, u32)> {
    story.puts.iter().map(|p| (p.role, p.stack)).collect()
}

/// The stacks of those who held it and let go.
fn held_by(story: &Story) -> Vec<u32> {
    story.held_by().map(|(stack, ..)| stack).collect()
}

fn mapped() -> Trace {
    Trace {
        mapcount: 1,
        now: 1_000_000,
        ..Trace::default()
    }
}

/// Every field but for the name of the task.
fn nameless(trace: &Trace) -> String {
    trace.text.replace("task1-7", "<...>-7")
}

#[test]
fn a_batch_that_was_not_emptied_is_no_holder() {
    let mut trace = mapped();
    trace.is_batched = true;
    // Put back: its batch has one more.
    trace.failed("migrate", 4, 3).put(MIGRATOR, 1, 4);
    trace.wait(10).put(OTHER, 1, 4).wait(10).put(HOLDER, 1, 3);
    let story = &trace.stories()[0];
    assert_eq!(held_by(story), [HOLDER]);
    assert_eq!(story.let_go_us, Some(20_000));
    assert_eq!(story.end, End::LetGo);
    // On its list it is not: somebody has one.
    trace.is_batched = false;
    trace.wait(10).put(OTHER, 1, 3);
    let story = &trace.stories()[0];
    assert_eq!((held_by(story).len(), story.end), (0, End::Held));
}

#[test]
fn a_batch_that_was_in_the_way_is_not_let_go_by_who_passes_by() {
    let mut trace = mapped();
    trace.is_batched = true;
    trace.failed("isolate", 3, 2).wait(10).put(OTHER, 1, 3);
    let story = &trace.stories()[0];
    assert_eq!((held_by(story).len(), story.end), (0, End::Held));
    // With a holder besides, and once the batch is empty.
    let mut trace = mapped();
    trace.is_batched = true;
    trace
        .failed("isolate", 4, 2)
        .wait(10)
        .put(OTHER, 1, 4)
        .wait(10)
        .put(HOLDER, 1, 3);
    assert_eq!(held_by(&trace.stories()[0]), [HOLDER]);
    trace.is_batched = false;
    trace.wait(10).put(LRU, 1, 2);
    let story = &trace.stories()[0];
    assert_eq!((held_by(story), story.end), (vec![HOLDER], End::LetGo));
}

#[test]
fn a_task_is_named_by_its_other_events_and_by_the_kernel() {
    let mut trace = mapped();
    trace.failed("migrate", 4, 3).wait(10).put(HOLDER, 1, 2);
    let mut nameless = Trace {
        text: nameless(&trace),
        ..Trace::default()
    };
    let name = |findings: Findings| findings.stories[0].puts[0].task.comm.to_string();
    assert_eq!(name(nameless.findings(&[])), "sh");
    nameless.text = nameless.text.replace("sh-7", "sh-8");
    assert_eq!(name(nameless.findings(&[])), "<...>");
    let tasks = [(Section::Tasks, "8 sh\n7 a b\n9 <...>\n")];
    assert_eq!(name(nameless.findings(&tasks)), "a b");
}

/// What the trace has of a put on that processor: the event, and the stack that belongs to it.
fn put_on(cpu: u32, pid: u32, flags: &str, pfn: u64, function: &str) -> (String, String) {
    let at = format!("x-{pid} [{cpu:03}] {flags}1.5:");
    let event = format!(
        "{at} page_pin_owner_put: pfn={pfn:#x} flags=lru count=1 mapcount=0 \
         mapping=00000000ddcb0d99 mt=5 reason=contig_range stage=migrate refs=1 age_us=7 last=0 \
         stack={pfn}\n"
    );
    let stack = format!("{at} <stack trace>\n => ppo_trace_put\n => {function}\n");
    (event, stack)
}

/// Function of the stack of the folio's first put, if it is known.
fn function_of(findings: &Findings, pfn: u64) -> Option<&str> {
    let story = findings.stories.iter().find(|story| story.pfn == pfn)?;
    let stack = findings.stacks.get(&story.puts[0].stack)?;
    Some(&stack.frames[0])
}

#[test]
fn a_printed_stack_is_of_the_event_of_its_task_and_processor() {
    for flags in ["", "..... "] {
        let (of_a, a) = put_on(0, 7, flags, 1, "a");
        let (of_b, b) = put_on(1, 8, flags, 2, "b");
        for text in [format!("{of_a}{of_b}{a}{b}"), format!("{of_a}{of_b}{b}{a}")] {
            let findings = findings_of(&text);
            assert_eq!(function_of(&findings, 1), Some("a"), "{text}");
            assert_eq!(function_of(&findings, 2), Some("b"), "{text}");
        }
    }
    // An interrupt comes between the two.
    let (of_task, task) = put_on(0, 7, "..... ", 1, "task");
    let (of_irq, irq) = put_on(0, 7, "d.h.. ", 2, "irq");
    let findings = findings_of(&format!("{of_task}{of_irq}{irq}{task}"));
    assert_eq!(function_of(&findings, 1), Some("task"));
    assert_eq!(function_of(&findings, 2), Some("irq"));
}

#[test]
fn a_printed_stack_of_something_else_is_nobodys() {
    let (of_a, a) = put_on(0, 7, "..... ", 1, "a");
    for between in [
        "x-7 [000] ..... 1.6: sched_switch: prev_comm=a: b [000] 1: ==> next_pid=1\n",
        "CPU:0 [LOST 3 EVENTS]\n",
        "x-7 [000] ..... 1.6: page_pin_owner_put: pfn=0x2 flags=lru\n",
        "x-7 [000] ..... 1.6: page_pin_owner_free: pfn=0x1 reason=contig_range stage=migrate \
         puts=1 age_us=8 cause=freed\n",
    ] {
        let findings = findings_of(&format!("{of_a}{between}{a}"));
        assert_eq!(function_of(&findings, 1), None, "{between}");
    }
    for between in [
        "x-7 [001] ..... 1.6: sched_switch: prev_comm=a\n",
        "x-8 [000] ..... 1.6: sched_switch: prev_comm=a\n",
        "x-7 [000] d.h.. 1.6: sched_switch: prev_comm=a\n",
    ] {
        let findings = findings_of(&format!("{of_a}{between}{a}"));
        assert_eq!(function_of(&findings, 1), Some("a"), "{between}");
    }
}

#[test]
fn isolation_is_nobodys_reference() {
    let mut trace = mapped();
    // Mapped, in the page cache, isolated, and held by two.
    trace.failed("migrate", 5, 3).put(MIGRATOR, 1, 4);
    // Back to what was expected then, but there is no isolation any more.
    trace.wait(10).put(OTHER, 1, 3).wait(10).put(HOLDER, 1, 2);
    let story = &trace.stories()[0];
    let expected = [
        (Role::LetGo, OTHER),
        (Role::LetGo, HOLDER),
        (Role::Migrator, MIGRATOR),
    ];
    assert_eq!(roles(story), expected);
    assert_eq!(story.let_go_us, Some(20_000));
    assert_eq!(story.end, End::LetGo);
}

#[test]
fn the_holder_lets_go_before_a_batch_does() {
    let mut trace = mapped();
    trace.failed("migrate", 4, 3);
    trace.wait(10).put(HOLDER, 1, 3).wait(10).put(LRU, 1, 2);
    let story = &trace.stories()[0];
    assert_eq!(roles(story), [(Role::LetGo, HOLDER), (Role::Lru, LRU)]);
    assert_eq!(story.let_go_us, Some(10_000));
}

#[test]
fn who_only_passes_by_is_no_holder() {
    let mut trace = mapped();
    trace.failed("isolate", 3, 2);
    // He took it after the failure, and gave it back.
    trace.wait(10).put(OTHER, 1, 3).wait(10).put(HOLDER, 1, 2);
    let findings = trace.findings(&[]);
    let expected = [(Role::LetGo, HOLDER), (Role::Before, OTHER)];
    assert_eq!(roles(&findings.stories[0]), expected);
    assert_eq!(findings.holders.len(), 1);
    assert_eq!(findings.holders[0].stack, HOLDER);
}

#[test]
fn what_comes_after_is_no_holders() {
    let mut trace = mapped();
    trace.failed("isolate", 2 + 1024, 2);
    trace.wait(10).put(HOLDER, 1024, 2);
    trace.mapcount = 0;
    trace
        .wait(10)
        .put(OTHER, 1, 1)
        .put(OTHER, 1, 0)
        .free("freed");
    let story = &trace.stories()[0];
    assert_eq!(roles(story), [(Role::LetGo, HOLDER), (Role::After, OTHER)]);
    assert_eq!((story.end, story.age_us), (End::Freed, 20_000));
    assert_eq!(story.excess(), 1024);
}

#[test]
fn unmapping_is_no_letting_go() {
    let mut trace = mapped();
    trace.failed("isolate", 3, 2);
    trace.mapcount = 0;
    trace.wait(10).put(OTHER, 1, 2).wait(10).put(HOLDER, 1, 1);
    let story = &trace.stories()[0];
    assert_eq!(roles(story)[0], (Role::LetGo, HOLDER));
    assert_eq!(story.let_go_us, Some(20_000));
}

#[test]
fn one_who_takes_it_again_lets_go_again() {
    let mut trace = mapped();
    trace.failed("isolate", 3, 2).wait(10).put(OTHER, 1, 2);
    trace.wait(2000).report("isolate", 3, 2);
    trace.wait(10).put(HOLDER, 1, 2);
    let stories = trace.stories();
    assert_eq!(stories.len(), 1);
    assert_eq!(
        roles(&stories[0]),
        [(Role::LetGo, HOLDER), (Role::Before, OTHER)]
    );
    assert_eq!(stories[0].attempts, 2);
    assert_eq!(stories[0].failures[0].reports, 2);
}

#[test]
fn under_writeback_it_is_who_puts_it() {
    let mut trace = mapped();
    trace.failed("migrate", 3, 3).wait(10).put(HOLDER, 1, 2);
    let story = &trace.stories()[0];
    assert_eq!(roles(story), [(Role::Before, HOLDER)]);
    assert_eq!((held_by(story), story.end), (vec![HOLDER], End::LetGo));
    assert!(!trace.free("expired").stories()[0].is_held());
}

#[test]
fn who_passes_by_while_it_is_held_has_not_let_go() {
    let mut trace = mapped();
    trace.failed("isolate", 4, 2).wait(10).put(OTHER, 1, 3);
    let findings = trace.findings(&[]);
    let story = &findings.stories[0];
    assert_eq!(roles(story), [(Role::Before, OTHER)]);
    assert!(story.is_held() && held_by(story).is_empty());
    assert!(findings.holders.is_empty());
    for cause in ["expired", "evicted", "forgotten"] {
        let mut ended = mapped();
        ended.failed("isolate", 4, 2).wait(10).put(OTHER, 1, 3);
        assert!(
            ended.free(cause).findings(&[]).holders.is_empty(),
            "{cause}"
        );
    }
    // Freed it is held by nobody, and one of those who put it had it.
    assert_eq!(held_by(&trace.free("freed").stories()[0]), [OTHER]);
}

#[test]
fn a_page_may_fail_again_though_its_end_was_lost() {
    let mut trace = mapped();
    trace.failed("isolate", 3, 2).wait(500).put(OTHER, 1, 2);
    // Freed, and marked again, of which nothing was recorded.
    trace.wait(1000);
    trace.marked = trace.now;
    trace.wait(10).put(HOLDER, 1, 2);
    let stories = trace.stories();
    assert_eq!(stories.len(), 2);
    assert_eq!(
        stories.iter().map(|s| s.puts.len()).collect::<Vec<_>>(),
        [1, 1]
    );
}

#[test]
fn a_put_is_told_without_its_report() {
    let mut trace = mapped();
    trace.wait(500).put(HOLDER, 1, 2).free("freed");
    let story = &trace.stories()[0];
    assert_eq!(story.marked_ns, 0);
    assert_eq!(roles(story), [(Role::Before, HOLDER)]);
    assert!(story.failures.is_empty());
}

const MARKED: &str = "pfn=0x10 order=0 reason=contig_range stage=isolate err=-16 attempts=5 count=3 \
    expected=2 puts=0 refs=0 age_us=324002 last_us=317094 pid=74 comm=sh stack=9\n\n";

#[test]
fn the_ledger_knows_who_holds_it_still() {
    let mut trace = mapped();
    trace.failed("isolate", 3, 2);
    let ledger = "pfn=0x10 order=0 count=3 expected=2 reason=contig_range refs=1 pin=0 \
        sure=likely age_ms=538 long=1 pid=135 comm=ppo-pin owner=647 class=holder stack=790\n \
        __do_sys_vmsplice+0x2dd/0x4c0\n\n\
        pfn=0x10 order=0 count=3 expected=2 reason=contig_range refs=1 pin=0 sure=certain \
        age_ms=5 long=0 pid=1 comm=sh owner=647 class=lru stack=791\n \
        __folio_batch_add_and_move+0x92/0xa0\n\n";
    let findings = trace.findings(&[(Section::Marked, MARKED), (Section::Ledger, ledger)]);
    let story = &findings.stories[0];
    assert_eq!((story.end, story.attempts), (End::Held, 5));
    assert_eq!(story.held.len(), 1);
    assert_eq!(&*story.held[0].task.comm, "ppo-pin");
    let holder = &findings.holders[0];
    assert_eq!(
        (holder.stack, holder.still, holder.sum_us),
        (790, true, 538_000)
    );
}

#[test]
fn what_is_not_marked_any_more_has_ended_unseen() {
    let mut trace = mapped();
    trace.failed("isolate", 3, 2);
    let end = |tables: &[(Section, &str)]| trace.findings(tables).stories[0].end;
    assert_eq!(end(&[]), End::Held);
    assert_eq!(end(&[(Section::Marked, MARKED)]), End::Held);
    assert_eq!(end(&[(Section::Marked, "")]), End::Unseen);
}

#[test]
fn what_was_marked_before_is_told_unless_only_some_is_asked_for() {
    let stories = |about: &'static str| {
        let tables = [(Section::Meta, about), (Section::Marked, MARKED)];
        Trace::default().findings(&tables).stories
    };
    assert_eq!(stories("host=a")[0].end, End::Held);
    assert!(stories("reason=compaction").is_empty());
}

#[test]
fn those_still_held_come_first() {
    let mut trace = mapped();
    trace
        .failed("isolate", 3, 2)
        .wait(9000)
        .put(HOLDER, 1, 2)
        .free("freed");
    trace
        .failed("isolate", 3, 2)
        .wait(10)
        .put(HOLDER, 1, 2)
        .free("freed");
    trace.failed("isolate", 3, 2).wait(10).free("evicted");
    trace.failed("isolate", 3, 2).wait(5);
    let ends: Vec<_> = trace.stories().iter().map(|s| (s.end, s.age_us)).collect();
    let expected = [
        (End::Held, 0),
        (End::Evicted, 10_000),
        (End::Freed, 9_000_000),
        (End::Freed, 10_000),
    ];
    assert_eq!(ends, expected);
}

#[test]
fn a_story_does_not_grow_with_its_events() {
    let mut trace = mapped();
    trace.failed("isolate", 3, 2);
    for n in 0..5000 {
        trace.put(100 + n % 50, 1, 3);
        trace.wait(2000).report("isolate", 3, 2);
    }
    let story = &trace.stories()[0];
    assert_eq!((story.puts.len(), story.failures.len()), (32, 1));
    let kept: u64 = story.puts.iter().map(|p| p.puts).sum();
    assert_eq!(kept + story.more_puts, 5000);
    assert_eq!(story.attempts, 5001);
}
