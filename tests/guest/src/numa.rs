// SPDX-License-Identifier: GPL-2.0

//! On which NUMA node memory is, and having the kernel move it to another one.

use anyhow::{Context, Result, ensure};
use libc::{c_int, c_long, c_ulong, pid_t};
use linux_raw_sys::mempolicy::{MPOL_MF_MOVE, MPOL_MF_MOVE_ALL, MPOL_MF_STRICT};
use nix::errno::Errno;

use crate::memory::Mapping;

/// A set of nodes as the system calls take it.
struct Nodes(u64);

impl Nodes {
    /// One more than there are: the kernel takes one off.
    const BITS: c_ulong = u64::BITS as c_ulong + 1;

    fn only(node: u32) -> Result<Self> {
        ensure!(node < u64::BITS, "nodes are numbers below {}", u64::BITS);
        Ok(Self(1 << node))
    }
}

/// Has memory that this thread touches first come from that node, or from anywhere.
pub fn allocate_on(node: Option<u32>) -> Result<()> {
    let (mode, nodes) = match node {
        Some(node) => (libc::MPOL_BIND, Nodes::only(node)?),
        None => (libc::MPOL_DEFAULT, Nodes(0)),
    };
    // SAFETY: the mask is as long as said, and the kernel only reads it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_set_mempolicy,
            mode,
            &raw const nodes.0,
            Nodes::BITS,
        )
    };
    Errno::result(result).context("set_mempolicy")?;
    Ok(())
}

/// mbind(2): has all of it on that node; an error if one page did not move.
pub fn bind(memory: &Mapping, node: u32) -> Result<()> {
    let nodes = Nodes::only(node)?;
    // SAFETY: the mask is as long as said, and the kernel only reads it; the contents
    // of the memory stay.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mbind,
            memory.address(),
            memory.len(),
            libc::MPOL_BIND,
            &raw const nodes.0,
            Nodes::BITS,
            MPOL_MF_MOVE | MPOL_MF_STRICT,
        )
    };
    Errno::result(result).context("mbind")?;
    Ok(())
}

/// migrate_pages(2): moves a process from node to node; how many pages did not move.
pub fn migrate_pages(pid: pid_t, from: u32, to: u32) -> Result<c_long> {
    let (from, to) = (Nodes::only(from)?, Nodes::only(to)?);
    // SAFETY: the masks are as long as said, and the kernel only reads them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_migrate_pages,
            pid,
            Nodes::BITS,
            &raw const from.0,
            &raw const to.0,
        )
    };
    Errno::result(result).context("migrate_pages")
}

/// Whose pages move_pages(2) may move.
#[derive(Clone, Copy)]
pub enum Whose {
    /// Those that no other process has mapped
    Own = MPOL_MF_MOVE as isize,
    /// Any
    All = MPOL_MF_MOVE_ALL as isize,
}

/// move_pages(2): moves pages of a process (0: this one) to one node each. How many it says
/// did not move; and for each page the node where it is now, an error below 0, or what was
/// in `status` where the kernel did not get that far.
pub fn move_pages(
    pid: pid_t,
    pages: &[usize],
    nodes: &[c_int],
    status: &mut [c_int],
    whose: Whose,
) -> Result<c_long> {
    ensure!(
        nodes.len() == pages.len() && status.len() == pages.len(),
        "as many nodes and places as pages"
    );
    // SAFETY: three arrays of that many elements, of which the kernel writes the last. The
    // first has addresses of the process, which are not ours to follow.
    let left = unsafe {
        libc::syscall(
            libc::SYS_move_pages,
            pid,
            pages.len(),
            pages.as_ptr(),
            nodes.as_ptr(),
            status.as_mut_ptr(),
            whose as c_int,
        )
    };
    Errno::result(left).context("move_pages")
}

/// Moves one page of a process to a node; the node where it is now.
pub fn move_page(pid: pid_t, address: usize, node: u32) -> Result<c_int> {
    let mut status = [0];
    let left = move_pages(
        pid,
        &[address],
        &[node.try_into()?],
        &mut status,
        Whose::All,
    )?;
    // The call succeeds with a count of what did not move; the page's own error is here.
    let [status] = status;
    ensure!(status >= 0, "move_pages: {}", Errno::from_raw(-status));
    ensure!(left == 0, "move_pages: {left} did not move");
    Ok(status)
}
