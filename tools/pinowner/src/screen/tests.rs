// SPDX-License-Identifier: GPL-2.0

use super::*;
use crate::machine::made::Made;
use expect_test::expect;
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

const STATS: &str = "attached=1\nbroken=none\nmarks=3\nmarked=7\nrepeated=30\nputs=200\n\
    lost_stacks=0\nlost_put_stacks=2\nwatched_pages=131072\nledger_bytes=13666304\n";
const MARKED: &str = "\
pfn=0x3f56b order=0 reason=contig_range stage=migrate err=-16 attempts=5 count=3 expected=2 puts=4 refs=4 age_us=460150 last_us=20000 pid=1 comm=sh stack=1 put_pid=1 put_comm=sh put_stack=2

pfn=0x3f600 order=9 reason=memory_hotplug stage=isolate err=-16 attempts=90 count=515 expected=513 puts=0 refs=0 age_us=72000000 last_us=1000 pid=1 comm=sh stack=1

pfn=0x3f7a4 order=0 reason=syscall_or_cpuset stage=migrate err=1 attempts=1 count=1026 expected=2 puts=1 refs=1 age_us=1503000 last_us=1503000 pid=9 comm=migratepages stack=3

";
const LEDGER: &str = "\
pfn=0x3f7a4 order=0 count=1026 expected=2 reason=contig_range refs=1024 pin=1 sure=certain age_ms=1503 long=1 pid=83 comm=ppo-pin owner=1119 class=holder stack=1190
 try_get_folio+0xf5/0x190
 gup_fast_fallback+0x42e/0xbb0
 get_user_pages_fast+0x43/0x60
 __iov_iter_get_pages_alloc+0xd8/0x840
 iov_iter_get_pages2+0x19/0x30
 __do_sys_vmsplice+0x2dd/0x4c0
 do_syscall_64+0x47/0x110

pfn=0x3f56b order=0 count=3 expected=2 reason=contig_range refs=1 pin=0 sure=certain age_ms=9000 long=1 pid=-1 comm=- owner=lost class=lru stack=7
 folio_add_lru+0x1/0x2

";
const HOLDERS: &str = "\
folios=1 puts=1 reasons=contig_range age_min_us=460150 age_avg_us=460150 age_max_us=460150 pid=63 comm=ppo-pin class=holder stack=14
 page_cache_pipe_buf_release+0x42/0x80
 free_pipe_info+0x5a/0x90
 pipe_release+0xe4/0xf0

folios=0 puts=0 long=1 class=holder stack=1190
 try_get_folio+0xf5/0x190

puts=2 stack=lost

";

fn made() -> Made {
    Made::new()
        .with("stats", STATS)
        .with("marked", MARKED)
        .with("ledger", LEDGER)
        .with("holders", HOLDERS)
}

fn screen() -> Screen {
    let made = made();
    let mut screen = Screen::default();
    let before = Snapshot::default();
    screen.update(before, Duration::ZERO);
    let snapshot = Snapshot::read(&made.root).expect("tables");
    screen.update(snapshot, Duration::from_secs(2));
    screen
}

fn drawn(screen: &mut Screen, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    terminal.draw(|frame| screen.draw(frame)).expect("drawn");
    let buffer = terminal.backend().buffer();
    let rows = (0..height).map(|y| {
        let row: String = (0..width).map(|x| buffer[(x, y)].symbol()).collect();
        row.trim_end().to_owned() + "\n"
    });
    rows.collect()
}

fn press(screen: &mut Screen, code: KeyCode) -> Asked {
    screen.key(KeyEvent::new(code, KeyModifiers::NONE))
}

#[test]
fn on_80_columns() {
    expect![[r#"
        pinowner top - 3 folios marked
        failures 37 (+18/s)  puts 200 (+100/s)  watched 131072 pages in 13346 KiB
        lost (+1/s): lost_put_stacks=2
        --- 3 folios that failed to move, by most wanted -------------------------------
        PFN       REASON       STAGE   EXTRA TRIES AGE     HELD BY, OR PUT BY LAST
        0x3f7a4   syscall_or_c migrate 1024  1     1503 ms ppo-pin:83 for 1503 ms: __do_
        0x3f600   memory_hotpl isolate 2     90    72 s    ?
        0x3f56b   contig_range migrate 1     5     460 ms  (put by sh:1)







        --- 2 stacks that put them, or hold some ---------------------------------------
        FOLIOS PUTS   LONG MAX     CLASS    TASK            STACK
        1      1      0    460 ms  holder   ppo-pin:63      page_cache_pipe_buf_release
        0      0      1    0 us    holder   -               try_get_folio




        q quit  s sort  / only some  Tab other table  arrows move
    "#]]
    .assert_eq(&drawn(&mut screen(), 80, 24));
}

#[test]
fn on_120_columns() {
    expect![[r#"
        pinowner top - 3 folios marked
        failures 37 (+18/s)  puts 200 (+100/s)  watched 131072 pages in 13346 KiB
        lost (+1/s): lost_put_stacks=2
        --- 3 folios that failed to move, by most wanted -----------------------------------------------------------------------
        PFN         ORDER REASON            STAGE   EXTRA TRIES AGE     LAST    HELD BY, OR PUT BY LAST
        0x3f7a4     0     syscall_or_cpuset migrate 1024  1     1503 ms 1503 ms ppo-pin:83 for 1503 ms: __do_sys_vmsplice
        0x3f600     9     memory_hotplug    isolate 2     90    72 s    1 ms    ?
        0x3f56b     0     contig_range      migrate 1     5     460 ms  20 ms   (put by sh:1)


        --- 2 stacks that put them, or hold some -------------------------------------------------------------------------------
        FOLIOS PUTS     LONG  AVERAGE  MAX      CLASS    TASK                  STACK
        1      1        0     460 ms   460 ms   holder   ppo-pin:63            page_cache_pipe_buf_release < free_pipe_info < pi
        0      0        1     0 us     0 us     holder   -                     try_get_folio

        q quit  s sort  / only some  Tab other table  arrows move
    "#]].assert_eq(&drawn(&mut screen(), 120, 16));
}

#[test]
fn with_a_row_selected() {
    let mut screen = screen();
    press(&mut screen, KeyCode::Down);
    expect![[r#"
        pinowner top - 3 folios marked
        failures 37 (+18/s)  puts 200 (+100/s)  watched 131072 pages in 13346 KiB
        lost (+1/s): lost_put_stacks=2
        --- 3 folios that failed to move, by most wanted -------------------------------
        PFN       REASON       STAGE   EXTRA TRIES AGE     HELD BY, OR PUT BY LAST
        0x3f7a4   syscall_or_c migrate 1024  1     1503 ms ppo-pin:83 for 1503 ms: __do_
        0x3f600   memory_hotpl isolate 2     90    72 s    ?
        0x3f56b   contig_range migrate 1     5     460 ms  (put by sh:1)

        --- 2 stacks that put them, or hold some ---------------------------------------
        FOLIOS PUTS   LONG MAX     CLASS    TASK            STACK
        1      1      0    460 ms  holder   ppo-pin:63      page_cache_pipe_buf_release
        0      0      1    0 us    holder   -               try_get_folio
        ppo-pin:83 for 1503 ms: __do_sys_vmsplice

        q quit  s sort  / only some  Tab other table  arrows move
    "#]]
    .assert_eq(&drawn(&mut screen, 80, 16));
}

#[test]
fn too_small() {
    expect![[r#"
        terminal too small: it has 40x4, 60x10
        are needed


    "#]]
    .assert_eq(&drawn(&mut screen(), 40, 4));
}

#[test]
fn printed() {
    let mut out = Vec::new();
    screen().print(&mut out).expect("printed");
    expect![[r#"
        pinowner top - 3 folios marked
        failures 37 (+18/s)  puts 200 (+100/s)  watched 131072 pages in 13346 KiB
        lost (+1/s): lost_put_stacks=2

        3 folios that failed to move, by most wanted
        PFN     ORDER REASON            STAGE   EXTRA TRIES AGE     LAST    HELD BY, OR PUT BY LAST
        0x3f7a4 0     syscall_or_cpuset migrate 1024  1     1503 ms 1503 ms ppo-pin:83 for 1503 ms: __do_sys_vmsplice
        0x3f600 9     memory_hotplug    isolate 2     90    72 s    1 ms    ?
        0x3f56b 0     contig_range      migrate 1     5     460 ms  20 ms   (put by sh:1)

        2 stacks that put them, or hold some
        FOLIOS PUTS LONG AVERAGE MAX    CLASS  TASK       STACK
        1      1    0    460 ms  460 ms holder ppo-pin:63 page_cache_pipe_buf_release < free_pipe_info < pipe_release
        0      0    1    0 us    0 us   holder -          try_get_folio

    "#]].assert_eq(&String::from_utf8_lossy(&out));
}

#[test]
fn keys() {
    let mut screen = screen();
    let first = |screen: &mut Screen| {
        let text = drawn(screen, 120, 16);
        let row = text.lines().nth(5).unwrap_or_default();
        row.split(' ').next().unwrap_or_default().to_owned()
    };
    assert_eq!(first(&mut screen), "0x3f7a4");
    for wanted in ["0x3f600", "0x3f600", "0x3f7a4", "0x3f56b", "0x3f7a4"] {
        assert_eq!(press(&mut screen, KeyCode::Char('s')), Asked::Nothing);
        assert_eq!(first(&mut screen), wanted);
    }
    for c in "/hotplug".chars() {
        press(&mut screen, KeyCode::Char(c));
    }
    press(&mut screen, KeyCode::Enter);
    assert_eq!(first(&mut screen), "0x3f600");
    press(&mut screen, KeyCode::Esc);
    assert_eq!(first(&mut screen), "0x3f7a4");
    for code in [
        KeyCode::Down,
        KeyCode::Tab,
        KeyCode::End,
        KeyCode::PageUp,
        KeyCode::Up,
    ] {
        press(&mut screen, code);
        drawn(&mut screen, 80, 24);
    }
    assert_eq!(press(&mut screen, KeyCode::Char('q')), Asked::Quit);
    let control = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(screen.key(control), Asked::Quit);
}

proptest! {
    #[test]
    fn any_size(width in 0u16..200, height in 0u16..60) {
        drawn(&mut screen(), width, height);
    }

    #[test]
    fn any_tables(text in "(pfn=0x1|age_us=|[0-9]{1,21}|class=holder|stack=|\n| |\\PC)*") {
        let made = Made::new()
            .with("stats", STATS)
            .with("marked", &text)
            .with("ledger", &text)
            .with("holders", &text);
        let mut screen = Screen::default();
        screen.update(Snapshot::read(&made.root).expect("tables"), Duration::from_millis(1));
        drawn(&mut screen, 80, 24);
        screen.print(&mut Vec::new()).expect("printed");
    }
}
