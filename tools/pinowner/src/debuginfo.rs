// SPDX-License-Identifier: GPL-2.0

//! Where in the source a frame of a stack is: `function+0x12/0x34` becomes
//! `function+0x12/0x34 (mm/gup.c:120)`, by the debug information of vmlinux and of modules. Of
//! functions that were inlined there every line is told, the innermost first, as
//! `scripts/decode_stacktrace.sh` does.
//!
//! A frame has no address, as the kernel may be loaded anywhere, but a symbol. That is looked up,
//! and has to have the size that the frame says: else it is of another kernel.

use crate::machine::names;
use crate::story::{Findings, Name};
use anyhow::{Context as _, Result, bail};
use flate2::read::ZlibDecoder;
use gimli::{Dwarf, EndianArcSlice, RunTimeEndian, SectionId};
use object::read::{Object, ObjectSection, ObjectSymbol, ReadCache, ReadRef};
use object::{
    CompressionFormat, ObjectKind, RelocationKind, RelocationTarget, SectionIndex, SectionKind,
    SymbolKind,
};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Folders below that for modules that are looked into.
const DEEPEST: u32 = 12;
/// Files that are looked at there.
const MOST_FILES: usize = 1 << 20;
/// Lines told of one frame.
const MOST_LINES: usize = 16;
/// Sections of a relocatable file are taken to be as far apart.
const APART: u64 = 1 << 32;
/// No section with debug information is longer.
const LONGEST: u64 = 4 << 30;

type Slice = EndianArcSlice<RunTimeEndian>;

/// Debug information of a kernel and its modules.
pub struct Debuginfo {
    vmlinux: Image,
    /// What the paths in it begin with.
    base: String,
    modules: HashMap<String, PathBuf>,
    loaded: HashMap<String, Option<Image>>,
    /// What is known of a frame already.
    known: HashMap<Name, Name>,
    /// Frames of functions whose size is another one.
    foreign: u64,
}

/// A symbol: its address, and the sizes that one may take it to have.
struct Symbol {
    address: u64,
    size: u64,
    /// Up to the next one, as the kernel counts.
    distance: u64,
}

/// One file.
struct Image {
    context: addr2line::Context<Slice>,
    symbols: HashMap<String, Vec<Symbol>>,
}

/// `function+0x12/0x34 [module]`
struct Frame<'a> {
    function: &'a str,
    offset: u64,
    size: u64,
    module: Option<&'a str>,
}

impl<'a> Frame<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (place, module) = match text.split_once(" [") {
            Some((place, module)) => (place, Some(module.split([']', ' ']).next()?)),
            None => (text, None),
        };
        let (function, numbers) = place.trim_end().split_once('+')?;
        let (offset, size) = numbers.split_once('/')?;
        let number = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
        Some(Frame {
            function,
            offset: number(offset)?,
            size: number(size)?,
            module,
        })
    }
}

impl Debuginfo {
    /// Reads that of vmlinux, and looks which modules' there is in a folder.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is no file with debug information.
    pub fn open(vmlinux: &Path, modules: Option<&Path>) -> Result<Self> {
        let vmlinux = Image::open(vmlinux)?;
        let mut found = HashMap::new();
        if let Some(folder) = modules {
            let mut left = MOST_FILES;
            find_modules(folder, DEEPEST, &mut left, &mut found);
        }
        let base = vmlinux.base().unwrap_or_default();
        Ok(Debuginfo {
            vmlinux,
            base,
            modules: found,
            loaded: HashMap::new(),
            known: HashMap::new(),
            foreign: 0,
        })
    }

    /// Adds the lines to all frames. Returns how many frames are of another kernel.
    pub fn annotate(&mut self, findings: &mut Findings) -> u64 {
        let stacks = findings.stacks.values_mut().map(|stack| &mut stack.frames);
        let stories = findings.stories.iter_mut();
        let owners = stories.filter_map(|story| Some(&mut story.allocated.as_mut()?.frames));
        for frame in stacks.chain(owners).flatten() {
            *frame = self.frame(frame);
        }
        self.foreign
    }

    /// That frame with its lines, as far as they are known.
    pub fn frame(&mut self, frame: &Name) -> Name {
        if let Some(known) = self.known.get(frame) {
            return known.clone();
        }
        let lines = Frame::parse(frame).and_then(|parsed| self.lines(&parsed));
        let told = lines.map_or_else(
            || frame.clone(),
            |lines| format!("{frame} ({lines})").into(),
        );
        self.known.insert(frame.clone(), told.clone());
        told
    }

    fn lines(&mut self, frame: &Frame<'_>) -> Option<String> {
        let image = match frame.module {
            None => &self.vmlinux,
            Some(module) => {
                let modules = &self.modules;
                let open = || Image::open(modules.get(&plain(module))?).ok();
                let image = self.loaded.entry(module.to_owned()).or_insert_with(open);
                image.as_ref()?
            }
        };
        match image.address(frame) {
            Ok(address) => image.lines(address, &self.base),
            Err(Unknown::Foreign) => {
                self.foreign += 1;
                None
            }
            Err(Unknown::Nothing) => None,
        }
    }
}

/// Modules are called with dashes or underscores.
fn plain(module: &str) -> String {
    module.replace('-', "_")
}

fn find_modules(folder: &Path, deep: u32, left: &mut usize, found: &mut HashMap<String, PathBuf>) {
    for name in names(folder) {
        if *left == 0 {
            return;
        }
        *left -= 1;
        let path = folder.join(&name);
        let module = name
            .strip_suffix(".debug")
            .unwrap_or(&name)
            .strip_suffix(".ko");
        if let Some(module) = module {
            found.entry(plain(module)).or_insert(path);
        } else if deep > 0 && path.is_dir() && !path.is_symlink() {
            find_modules(&path, deep - 1, left, found);
        }
    }
}

/// Why a frame has no address.
enum Unknown {
    /// There is no such function, or more than one.
    Nothing,
    /// Its size is another one.
    Foreign,
}

impl Image {
    fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        let file = File::open(path).with_context(|| format!("{shown} cannot be opened"))?;
        let cache = ReadCache::new(file);
        let file =
            object::File::parse(&cache).with_context(|| format!("{shown} is no ELF file"))?;
        if file.section_by_name(".debug_info").is_none() {
            bail!("{shown} has no debug information: it takes a kernel with CONFIG_DEBUG_INFO");
        }
        let endian = match file.is_little_endian() {
            true => RunTimeEndian::Little,
            false => RunTimeEndian::Big,
        };
        let bases = bases(&file);
        let load = |id: SectionId| -> Result<Slice> {
            let data = match is_wanted(id) {
                true => section(&file, id.name(), &bases)?,
                false => Vec::new(),
            };
            Ok(EndianArcSlice::new(Arc::from(data), endian))
        };
        let dwarf = Dwarf::load(load).with_context(|| format!("{shown} cannot be read"))?;
        let context = addr2line::Context::from_dwarf(dwarf);
        Ok(Image {
            context: context.with_context(|| format!("{shown} cannot be understood"))?,
            symbols: symbols(&file, &bases),
        })
    }

    /// The address of the instruction that the frame means.
    fn address(&self, frame: &Frame<'_>) -> Result<u64, Unknown> {
        let all = self.symbols.get(frame.function).ok_or(Unknown::Nothing)?;
        let fits = |s: &&Symbol| s.distance == frame.size || s.size == frame.size;
        let mut fitting = all.iter().filter(fits);
        let symbol = fitting.next().ok_or(Unknown::Foreign)?;
        if fitting.any(|other| other.address != symbol.address) {
            return Err(Unknown::Nothing);
        }
        // It is where the call returns to: the call itself is before that.
        let offset = frame.offset.saturating_sub(1);
        symbol.address.checked_add(offset).ok_or(Unknown::Nothing)
    }

    /// `file:line` of an address, and those of the functions that it was inlined in.
    fn lines(&self, address: u64, base: &str) -> Option<String> {
        let mut frames = self.context.find_frames(address).skip_all_loads().ok()?;
        let mut lines = Vec::new();
        while let (Ok(Some(frame)), true) = (frames.next(), lines.len() < MOST_LINES) {
            let Some(location) = frame.location else {
                continue;
            };
            if let Some(file) = location.file {
                let file = file.strip_prefix(base).unwrap_or(file);
                let file = file.replace(char::is_control, "\u{fffd}");
                lines.push(format!("{file}:{}", location.line.unwrap_or(0)));
            }
        }
        (!lines.is_empty()).then(|| lines.join(" "))
    }

    /// What the paths of the kernel's files begin with: that of this function's is known.
    fn base(&self) -> Option<String> {
        let symbol = self.symbols.get("kernel_init")?.first()?;
        let location = self.context.find_location(symbol.address).ok()??;
        Some(location.file?.strip_suffix("init/main.c")?.to_owned())
    }
}

/// What lines are told from; the rest of it is large.
fn is_wanted(id: SectionId) -> bool {
    use SectionId::{
        DebugAbbrev, DebugAddr, DebugAranges, DebugInfo, DebugLine, DebugLineStr, DebugRanges,
        DebugRngLists, DebugStr, DebugStrOffsets,
    };
    matches!(
        id,
        DebugAbbrev
            | DebugAddr
            | DebugAranges
            | DebugInfo
            | DebugLine
            | DebugLineStr
            | DebugRanges
            | DebugRngLists
            | DebugStr
            | DebugStrOffsets
    )
}

/// Where the sections of a relocatable file are taken to be; all others have addresses.
fn bases<'a, R: ReadRef<'a>>(file: &object::File<'a, R>) -> HashMap<SectionIndex, u64> {
    let mut bases = HashMap::new();
    if file.kind() == ObjectKind::Relocatable {
        let text = file
            .sections()
            .filter(|section| section.kind() == SectionKind::Text);
        for (number, section) in (0u64..).zip(text) {
            bases.insert(section.index(), number.saturating_mul(APART));
        }
    }
    bases
}

/// What is in a section; nothing if there is none.
fn section<'a, R: ReadRef<'a>>(
    file: &object::File<'a, R>,
    name: &str,
    bases: &HashMap<SectionIndex, u64>,
) -> Result<Vec<u8>> {
    let Some(section) = file.section_by_name(name) else {
        return Ok(Vec::new());
    };
    if section.size() > LONGEST {
        bail!("{name} is too long");
    }
    let mut data = plain_data(&section).with_context(|| format!("{name} cannot be read"))?;
    if file.kind() == ObjectKind::Relocatable {
        for (offset, relocation) in section.relocations() {
            let RelocationTarget::Symbol(index) = relocation.target() else {
                continue;
            };
            let symbol = file.symbol_by_index(index)?;
            if relocation.kind() != RelocationKind::Absolute {
                continue;
            }
            let base = symbol.section_index().and_then(|index| bases.get(&index));
            let address = base.unwrap_or(&0).wrapping_add(symbol.address());
            let addend = match relocation.has_implicit_addend() {
                true => continue,
                false => relocation.addend(),
            };
            let value = address.wrapping_add_signed(addend);
            let value = match file.is_little_endian() {
                true => value.to_le_bytes().to_vec(),
                false => value.to_be_bytes().to_vec(),
            };
            let len = usize::from(relocation.size() / 8);
            let value = match file.is_little_endian() {
                true => value.get(..len),
                false => value.get(8usize.saturating_sub(len)..),
            };
            let place = usize::try_from(offset)
                .ok()
                .and_then(|start| data.get_mut(start..start.checked_add(len)?));
            if let (Some(place), Some(value)) = (place, value) {
                place.copy_from_slice(value);
            }
        }
    }
    Ok(data)
}

/// What is in a section, which may be compressed.
fn plain_data<'a>(section: &impl ObjectSection<'a>) -> Result<Vec<u8>> {
    let compressed = section.compressed_data()?;
    match compressed.format {
        CompressionFormat::None => Ok(compressed.data.to_vec()),
        CompressionFormat::Zlib => {
            let mut data = Vec::new();
            let input = ZlibDecoder::new(compressed.data);
            let most = compressed.uncompressed_size.min(LONGEST);
            input.take(most).read_to_end(&mut data)?;
            Ok(data)
        }
        _ => bail!(
            "it is compressed in a way that is not known here: objcopy --decompress-debug-sections"
        ),
    }
}

/// All functions by name.
fn symbols<'a, R: ReadRef<'a>>(
    file: &object::File<'a, R>,
    bases: &HashMap<SectionIndex, u64>,
) -> HashMap<String, Vec<Symbol>> {
    let mut all: Vec<_> = file
        .symbols()
        .filter(|symbol| {
            // Functions written in assembler have no type.
            matches!(
                symbol.kind(),
                SymbolKind::Text | SymbolKind::Label | SymbolKind::Unknown
            ) && symbol.section_index().is_some()
        })
        .filter_map(|symbol| {
            let base = symbol.section_index().and_then(|index| bases.get(&index));
            let address = base.unwrap_or(&0).wrapping_add(symbol.address());
            Some((address, symbol.size(), symbol.name().ok()?.to_owned()))
        })
        .filter(|(_, _, name)| !name.is_empty())
        .collect();
    all.sort_unstable();
    let mut symbols: HashMap<String, Vec<Symbol>> = HashMap::new();
    let mut next = None;
    let mut end = None;
    for (address, size, name) in all.into_iter().rev() {
        // Of those with one address the next one is that of all.
        if next.is_some_and(|next| next != address) {
            end = next;
        }
        next = Some(address);
        let distance = end.map_or(size, |end: u64| end.saturating_sub(address));
        symbols.entry(name).or_default().push(Symbol {
            address,
            size,
            distance,
        });
    }
    symbols
}

#[cfg(test)]
mod tests;
