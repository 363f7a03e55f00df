// SPDX-License-Identifier: GPL-2.0

//! `/proc/zoneinfo`: where the zones of each node's memory are.

/// A zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Its node.
    pub node: u32,
    /// Its name, as in `Movable`.
    pub name: String,
    /// Its first page.
    pub start: u64,
    /// Pages from the first to the last, with the holes between them; 0 if it is empty.
    pub spanned: u64,
    /// Pages that are there.
    pub present: u64,
}

/// All zones, as far as they can be read.
pub fn zones(text: &str) -> Vec<Zone> {
    let mut zones: Vec<Zone> = Vec::new();
    for line in text.lines() {
        if let Some((node, name)) = heading(line) {
            zones.push(Zone {
                node,
                name: name.to_owned(),
                start: 0,
                spanned: 0,
                present: 0,
            });
            continue;
        }
        let mut words = line.split_ascii_whitespace();
        let (Some(key), Some(value), None) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let (Some(zone), Ok(value)) = (zones.last_mut(), value.parse()) else {
            continue;
        };
        match key {
            "spanned" => zone.spanned = value,
            "present" => zone.present = value,
            "start_pfn:" => zone.start = value,
            _ => (),
        }
    }
    zones
}

/// `Node 0, zone  Movable`
fn heading(line: &str) -> Option<(u32, &str)> {
    let (node, zone) = line.strip_prefix("Node ")?.split_once(", zone")?;
    Some((node.trim().parse().ok()?, zone.trim()))
}

/// The first page behind all memory.
pub fn end_of_memory(zones: &[Zone]) -> u64 {
    let ends = zones.iter().filter(|zone| zone.spanned > 0);
    ends.map(|zone| zone.start.saturating_add(zone.spanned))
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Of a guest with two nodes.
    const TEXT: &str = "\
Node 0, zone      DMA
  per-node stats
      nr_inactive_anon 0
  pages free     2814
        boost    0
        min      11
        spanned  4095
        present  3998
        managed  3840
        cma      0
        protection: (0, 450, 450, 450, 450)
      nr_free_pages 2814
  pagesets
    cpu: 0
              count: 0
              high:  4
  vm stats threshold: 4
  node_unreclaimable:  0
  start_pfn:           1
Node 1, zone  Movable
  pages free     32768
        spanned  65536
        present  32768
        managed  32768
  start_pfn:           196608
Node 1, zone   Device
  pages free     0
        spanned  0
        present  0
        managed  0
";

    #[test]
    fn all_zones() {
        let zones = zones(TEXT);
        let of = |node, name: &str, start, spanned, present| Zone {
            node,
            name: name.to_owned(),
            start,
            spanned,
            present,
        };
        let wanted = [
            of(0, "DMA", 1, 4095, 3998),
            of(1, "Movable", 196_608, 65_536, 32_768),
            of(1, "Device", 0, 0, 0),
        ];
        assert_eq!(zones, wanted);
        assert_eq!(end_of_memory(&zones), 196_608 + 65_536);
    }

    proptest! {
        #[test]
        fn anything(text in "(Node|zone|spanned|start_pfn:|[0-9]{1,22}|,| |\n|\\PC)*") {
            end_of_memory(&zones(&text));
        }
    }
}
