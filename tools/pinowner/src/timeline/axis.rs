// SPDX-License-Identifier: GPL-2.0

//! The axis of time: round steps, in units that a person uses.

const US: u64 = 1_000;
const MS: u64 = 1_000 * US;
const S: u64 = 1_000 * MS;
const MIN: u64 = 60 * S;
const H: u64 = 60 * MIN;
const DAY: u64 = 24 * H;

/// From the first failure to the last that is known, and where that is in the picture.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    /// When it begins.
    pub start_ns: u64,
    /// How long it is.
    pub span_ns: u64,
    /// Where it begins.
    pub left: f64,
    /// How wide it is.
    pub width: f64,
}

impl Axis {
    /// Where a time is; the nearest end of the axis, if it is not on it.
    pub fn x(&self, ns: u64) -> f64 {
        let since = ns.saturating_sub(self.start_ns).min(self.span_ns);
        self.left + self.width * since as f64 / self.span_ns.max(1) as f64
    }

    /// Where its marks are, and what is written there.
    pub fn marks(&self) -> Vec<(f64, String)> {
        let step = step(self.span_ns, 10);
        let marks = (0..).map_while(|n: u64| {
            let since = n.checked_mul(step)?;
            (since <= self.span_ns).then_some(since)
        });
        marks
            .map(|since| {
                (
                    self.x(self.start_ns.saturating_add(since)),
                    label(since, step),
                )
            })
            .collect()
    }
}

/// A round step of which no more than `most` are in `span`.
fn step(span: u64, most: u64) -> u64 {
    let steps = [US, MS, S]
        .into_iter()
        .flat_map(|unit| [1, 10, 100].map(|ten| unit * ten))
        .flat_map(|ten| [1, 2, 5].map(|n| n * ten))
        .filter(|&step| step <= 30 * S)
        .chain([1, 2, 5, 10, 15, 30].map(|n| n * MIN))
        .chain([1, 2, 3, 6, 12].map(|n| n * H));
    let mut steps = steps.filter(|&step| span / step <= most);
    match steps.next() {
        Some(step) => step,
        None => DAY.saturating_mul((span / DAY / most).saturating_add(1)),
    }
}

/// In the unit that suits the step.
fn label(since: u64, step: u64) -> String {
    let units = [
        (DAY, "d"),
        (H, "h"),
        (MIN, "min"),
        (S, "s"),
        (MS, "ms"),
        (US, "us"),
    ];
    let unit = units
        .iter()
        .find(|(unit, _)| step >= *unit && step % unit == 0);
    match unit {
        _ if since == 0 => "0".into(),
        Some((unit, name)) => format!("{} {name}", since / unit),
        None => format!("{since} ns"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_few() {
        assert_eq!(step(460 * MS, 8), 100 * MS);
        assert_eq!(step(8 * S, 8), S);
        assert_eq!(step(9 * S, 8), 2 * S);
        assert_eq!(step(100 * S, 8), 20 * S);
        assert_eq!(step(3 * H, 8), 30 * MIN);
        for span in [0, 1, 999, US, 7 * S + 1, DAY, 400 * DAY, u64::MAX] {
            assert!(span / step(span, 8) <= 8, "{span}");
        }
    }

    #[test]
    fn labels() {
        assert_eq!(label(0, S), "0");
        assert_eq!(label(600 * MS, 200 * MS), "600 ms");
        assert_eq!(label(90 * MIN, 30 * MIN), "90 min");
        assert_eq!(label(3 * DAY, DAY), "3 d");
    }

    #[test]
    fn ends() {
        let axis = Axis {
            start_ns: 5,
            span_ns: 10,
            left: 100.0,
            width: 50.0,
        };
        assert_eq!(axis.x(5), 100.0);
        assert_eq!(axis.x(15), 150.0);
        assert_eq!(axis.x(0), 100.0);
        assert_eq!(axis.x(u64::MAX), 150.0);
        let none = Axis { span_ns: 0, ..axis };
        assert_eq!(none.x(5), 100.0);
        assert_eq!(none.marks().len(), 1);
    }
}
