// SPDX-License-Identifier: GPL-2.0

use super::*;
use crate::story::Name;
use crate::testing;
use proptest::prelude::*;
use std::sync::Arc;

/// The page as XML, for a parser that wants each element to have an end.
fn parsed(page: &str) -> Result<(), String> {
    let start = page.find("<html").ok_or("no html")?;
    let end = page.find("<script>").ok_or("no script")?;
    let mut xml = page[start..end].replace("<meta ", "<meta/><i ");
    // Void elements: the attributes go to an element of which the end is put in.
    while let Some(at) = xml.find("<i ") {
        let close = at + xml[at..].find('>').ok_or("no end of meta")?;
        xml.replace_range(close..=close, "/>");
        xml.replace_range(at..at + 3, "<j ");
    }
    xml += "</body></html>";
    roxmltree::Document::parse(&xml).map_err(|e| e.to_string())?;
    Ok(())
}

/// A recording in which all that a stranger can choose is this.
fn with_name(name: &str) -> Findings {
    let mut findings = testing::small();
    let name: Name = Arc::from(name);
    findings.about.insert(name.to_string(), name.to_string());
    findings.losses.module.insert(name.to_string(), 1);
    for holder in &mut findings.holders {
        holder.task.comm = name.clone();
        holder.reasons = vec![name.clone()];
    }
    for stack in findings.stacks.values_mut() {
        stack.frames.iter_mut().for_each(|f| *f = name.clone());
    }
    for story in &mut findings.stories {
        story.reason = name.clone();
        story.stage = name.clone();
        for failure in &mut story.failures {
            failure.reason = name.clone();
            failure.stage = name.clone();
            failure.task.comm = name.clone();
        }
        story
            .puts
            .iter_mut()
            .for_each(|p| p.task.comm = name.clone());
        for reference in &mut story.held {
            reference.task.comm = name.clone();
            reference.sure = name.clone();
        }
    }
    findings
}

fn check(name: &str) -> Result<(), TestCaseError> {
    let findings = with_name(name);
    let page = page(&findings).unwrap();
    prop_assert_eq!(page.to_lowercase().matches("<script").count(), 1);
    prop_assert_eq!(page.matches("</style").count(), 1);
    let ok = parsed(&page);
    prop_assert!(ok.is_ok(), "{:?}", ok);
    for svg in [
        flame::svg(&findings, Weight::Time, false).unwrap(),
        timeline::svg(&findings, 200, true),
    ] {
        let options = roxmltree::ParsingOptions {
            allow_dtd: true,
            ..Default::default()
        };
        let error = roxmltree::Document::parse_with_options(&svg, options).err();
        prop_assert!(error.is_none(), "{:?}", error);
        // inferno's own.
        prop_assert!(svg.to_lowercase().matches("<script").count() <= 1);
    }
    Ok(())
}

#[test]
fn names_that_would_be_markup() {
    for name in [
        "<script>alert(1)</script>",
        "\"><svg onload=alert(1)>",
        "' onmouseover='x",
        "]]>",
        "--><b>",
        "</style><style>*{display:none}",
        "&amp;&#0;&nosuch;",
        "a;b 12",
        "\u{1}\u{8}\u{b}\u{7f}\u{85}\u{fffe}\u{202e}",
        "",
        " ",
        "-",
        "--",
        "_[k]",
    ] {
        check(name).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_name_is_text(name in any::<String>()) {
        check(&name)?;
    }

    #[test]
    fn any_name_near_to_markup_is_text(name in "[<>&\"'/;! =a-c\\x00-\\x20#\\]\\[-]{0,15}") {
        check(&name)?;
    }
}

#[test]
fn page_of_a_recording() {
    let findings = testing::small();
    let page = page(&findings).unwrap();
    parsed(&page).unwrap();
    for holder in &findings.holders {
        assert!(page.contains(&format!("data-v=\"{}\">{}<", holder.folios, holder.folios)));
    }
    assert!(page.contains("8 folios could not be moved"));
    assert!(page.contains("2 are held still"));
    assert!(!page.contains("http://") || !page.contains("src="));
    assert!(!page.contains(" style="), "the policy forbids it");
    assert!(!page.contains("class=\"losses\""));
}

#[test]
fn losses_are_told() {
    let mut findings = testing::small();
    findings.losses.events = 17;
    let page = page(&findings).unwrap();
    assert!(page.contains("17 events did not fit"));
}

#[test]
fn nothing_failed() {
    let page = page(&Findings::default()).unwrap();
    parsed(&page).unwrap();
    assert!(page.contains("No page failed to move"));
}

#[test]
fn many_are_bounded() {
    let page = page(&testing::big(5000)).unwrap();
    assert!(page.len() < 1_000_000, "{}", page.len());
    parsed(&page).unwrap();
}
