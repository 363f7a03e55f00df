// SPDX-License-Identifier: GPL-2.0

//! Why and at which stage a folio was marked, what became of it, and how its story ended.
//!
//! The names of the reasons are the kernel's and differ between kernels, so they come from outside
//! as a list; a [`Reason`] is an index into it.

/// Index into the kernel's list of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason(pub u8);

/// Which step of the kernel's work failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Isolated, but migrate_pages() gave it back.
    Migrate,
    /// Never isolated, so that the range could not be taken.
    Isolate,
    /// A hard memory error hit it.
    Poison,
    /// Marked by hand.
    Manual,
}

impl Stage {
    /// All stages, in the order of their numbers.
    pub const ALL: [Stage; 4] = [Stage::Migrate, Stage::Isolate, Stage::Poison, Stage::Manual];

    /// The name used in events and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Migrate => "migrate",
            Stage::Isolate => "isolate",
            Stage::Poison => "poison",
            Stage::Manual => "manual",
        }
    }
}

/// What the kernel made of a hard memory error, in the order of its enum mf_result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Recovery {
    /// It could do nothing.
    Ignored,
    /// The page is still in use.
    Failed,
    /// The page will be dealt with later.
    Delayed,
    /// The page is out of use.
    Recovered,
}

impl Recovery {
    /// All results, in the order of their numbers.
    pub const ALL: [Recovery; 4] = [
        Recovery::Ignored,
        Recovery::Failed,
        Recovery::Delayed,
        Recovery::Recovered,
    ];

    /// Its number + 1, or 0 for none.
    pub fn code(recovery: Option<Self>) -> u8 {
        recovery.map_or(0, |recovery| recovery as u8 + 1)
    }

    /// The kernel's name for it, used in events and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Recovery::Ignored => "Ignored",
            Recovery::Failed => "Failed",
            Recovery::Delayed => "Delayed",
            Recovery::Recovered => "Recovered",
        }
    }
}

/// How the story of a marked folio ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cause {
    /// Its memory was freed.
    Freed,
    /// Its references are back to what the kernel expects.
    Unpinned,
    /// It was remembered for longer than asked for.
    Expired,
    /// It made room for another one.
    Evicted,
    /// By hand, or because tracing ended.
    Forgotten,
}

impl Cause {
    /// All causes, in the order of their numbers.
    pub const ALL: [Cause; 5] = [
        Cause::Freed,
        Cause::Unpinned,
        Cause::Expired,
        Cause::Evicted,
        Cause::Forgotten,
    ];

    /// The name used in events and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Cause::Freed => "freed",
            Cause::Unpinned => "unpinned",
            Cause::Expired => "expired",
            Cause::Evicted => "evicted",
            Cause::Forgotten => "forgotten",
        }
    }
}

/// Why a list of reasons was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownReason;

/// A set of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReasonSet(pub u32);

impl ReasonSet {
    /// Every reason, also those a later kernel may add.
    pub const ALL: ReasonSet = ReasonSet(u32::MAX);

    /// True if `reason` is in the set.
    #[inline]
    pub fn contains(self, reason: Reason) -> bool {
        1u32.checked_shl(reason.0.into())
            .is_some_and(|bit| self.0 & bit != 0)
    }

    /// Reads `all`, or names from `names` separated by commas, with a newline at the end or not.
    ///
    /// # Errors
    ///
    /// [`UnknownReason`] if there is no name, or one that is not in `names`.
    pub fn parse<'a>(
        text: &[u8],
        names: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Result<Self, UnknownReason> {
        let text = text.trim_ascii();
        if text == b"all" {
            return Ok(Self::ALL);
        }
        let mut set = 0;
        for word in text.split(|&c| c == b',') {
            let word = word.trim_ascii();
            let index = names
                .clone()
                .position(|name| name == word)
                .ok_or(UnknownReason)?;
            set |= u32::try_from(index)
                .ok()
                .and_then(|index| 1u32.checked_shl(index))
                .ok_or(UnknownReason)?;
        }
        Ok(ReasonSet(set))
    }
}
