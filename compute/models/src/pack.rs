//! Packing: a float model, or one that is quantised already, becomes a package.
//!
//! The file is written from front to back in one pass. Where everything is follows from the configuration, so that
//! nothing is patched afterwards, and memory holds the scales of one matrix and 16 rows of weights. Nothing in it depends
//! on time, place, threads or the machine: the same input gives the same root everywhere.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use freeway_requests::ModelRoot;

use crate::config::{Config, Group, padded};
use crate::manifest::{MAX_TOKENIZER_BYTES, Manifest, layout};
use crate::package::{self, Package, PackageError};
use crate::progress::{Progress, Stage};
use crate::quantise::quantise;
use crate::slot::{MatrixSlot, Slot, Stored};
use crate::source::{Source, SourceError, read_small};
use crate::tokenizer::{self, TokenizerError};

/// How packages are called: `<root>.freeway`.
pub const EXTENSION: &str = "freeway";
/// Columns of a tile.
const TILE_COLUMNS: usize = 16;
/// Inner elements of a tile.
const TILE_INNER: usize = 64;
/// Bytes that are written at once.
const WRITE_BYTES: usize = 1 << 20;

/// What the user chooses.
#[derive(Clone, Debug, Default)]
pub struct PackOptions {
    /// The name of the model; that of the folder or file if it is not given. Part of the package.
    pub name: Option<String>,
    /// Elements that share a scale.
    pub group: Group,
    /// A `tokenizer.json` for a source that has none.
    pub tokenizer: Option<PathBuf>,
    /// Where the package is written: a file, or a folder in which it is called `<root>.freeway`. The current folder if
    /// it is not given.
    pub output: Option<PathBuf>,
}

/// What was made.
#[derive(Clone, Debug)]
pub struct Packed {
    /// The file.
    pub path: PathBuf,
    /// Its root.
    pub root: ModelRoot,
    /// Its bytes.
    pub bytes: u64,
    /// Dimensions and constants of the model.
    pub config: Config,
    /// What the user should know about the model.
    pub notes: Vec<String>,
}

/// Why no package was made.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The model cannot be read or is not supported.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The package cannot be written.
    #[error("the package cannot be written: {0}")]
    Write(#[from] io::Error),
    /// There is no tokenizer.
    #[error("{0}; name one with `--tokenizer FILE`")]
    NoTokenizer(String),
    /// The tokenizer is not accepted.
    #[error("the tokenizer: {0}")]
    Tokenizer(#[from] TokenizerError),
    /// A weight too large for a scale.
    #[error("the tensor {tensor} has a weight of {peak:e} in row {row}; at most 8.3e6 can be quantised")]
    Peak {
        /// The tensor.
        tensor: Slot,
        /// The row.
        row: usize,
        /// The largest weight of the group.
        peak: f32,
    },
    /// Another group than the quantised weights have.
    #[error("the weights are quantised in groups of 32 already: pack them with a group of 32, not {0}")]
    Group(Group),
    /// What was made breaks a rule of packages.
    #[error(transparent)]
    Package(#[from] PackageError),
}

/// Packs the Hugging Face folder or GGUF file at `path`.
///
/// The package is checked as one from elsewhere would be, then moved to its place; until then it has a temporary name
/// beside it, which is removed when anything fails.
///
/// # Errors
///
/// If the model is not supported or damaged, has weights for which finite results cannot be proven, or the package cannot
/// be written.
pub fn pack(
    path: &Path,
    options: &PackOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Packed, PackError> {
    let mut source = Source::open(path)?;
    if let Some(tokenizer) = &options.tokenizer {
        source.facts.tokenizer = Ok(read_small(tokenizer, MAX_TOKENIZER_BYTES as u64)?);
    }
    pack_source(&source, options, progress)
}

/// As [`pack`], for a source that is open.
///
/// # Errors
///
/// As [`pack`].
pub fn pack_source(
    source: &Source,
    options: &PackOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Packed, PackError> {
    let manifest = manifest(source, options.group, options.name.as_deref())?;
    let output = options.output.clone().unwrap_or_else(|| PathBuf::from("."));
    let folder = if output.is_dir() { &output } else { folder_of(&output) };
    let temporary = Temporary::new(folder)?;
    let mut file = BufWriter::with_capacity(WRITE_BYTES, temporary.create()?);
    let root = write(source, &manifest, &mut file, progress)?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    drop(file);
    let package = Package::open_known(&temporary.0, root)?;
    package.inspect(progress)?;
    let path = if output.is_dir() { output.join(format!("{root}.{EXTENSION}")) } else { output };
    let bytes = package.bytes();
    // Some systems rename no mapped file.
    drop(package);
    temporary.rename(&path)?;
    Ok(Packed { path, root, bytes, config: manifest.config, notes: source.facts.notes.clone() })
}

/// Packs into memory, without a look at the result.
pub(crate) fn pack_bytes(source: &Source, group: Group) -> Result<Vec<u8>, PackError> {
    let manifest = manifest(source, group, None)?;
    let mut bytes = Vec::new();
    write(source, &manifest, &mut bytes, &mut |_| ())?;
    Ok(bytes)
}

/// The folder of a file.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file that is removed unless it is renamed.
pub(crate) struct Temporary(pub(crate) PathBuf);

impl Temporary {
    /// A name that nobody uses, in this folder: two processes, or two threads, may work in one.
    pub(crate) fn new(folder: &Path) -> io::Result<Self> {
        static COUNTER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let count = COUNTER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        fs::create_dir_all(folder)?;
        Ok(Self(folder.join(format!(".{}-{count}.partial", std::process::id()))))
    }

    pub(crate) fn create(&self) -> io::Result<File> {
        File::create(&self.0)
    }

    pub(crate) fn rename(self, path: &Path) -> io::Result<()> {
        fs::rename(&self.0, path)?;
        // The name is durable when the folder is; systems without that notion refuse to open it.
        if let Ok(folder) = File::open(folder_of(path)) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn manifest(source: &Source, group: Group, name: Option<&str>) -> Result<Manifest, PackError> {
    let facts = &source.facts;
    let tokenizer = facts.tokenizer.as_ref().map_err(|why| PackError::NoTokenizer(why.clone()))?;
    let mut config = Config { group, ..facts.config.clone() };
    if let Some(name) = name {
        name.clone_into(&mut config.name);
    }
    config.validate().map_err(SourceError::from)?;
    tokenizer::check(tokenizer, config.vocabulary)?;
    let (tensors, span) = layout(&config, tokenizer.len());
    let manifest = Manifest {
        config,
        provenance: facts.provenance,
        specials: facts.specials.clone(),
        chat_template: facts.chat_template.clone(),
        licence: facts.licence.clone(),
        tensors,
        tokenizer: span,
    };
    manifest.validate().map_err(PackageError::from)?;
    Ok(manifest)
}

/// Writes a package and gives its root.
fn write(
    source: &Source,
    manifest: &Manifest,
    out: &mut impl Write,
    progress: &mut dyn FnMut(Progress),
) -> Result<ModelRoot, PackError> {
    let mut out = Hashed { out, hasher: package::root_hasher(), done: 0 };
    out.put(&package::write_manifest(manifest))?;
    let total = manifest.tokenizer.offset + manifest.tokenizer.length + out.done;
    for stored in Stored::all(&manifest.config) {
        match stored {
            Stored::Matrix(slot) => {
                Packer::new(source, &manifest.config, slot)?.write(&mut out, &mut |done| {
                    progress(Progress { stage: Stage::Quantising, done, total });
                })?
            }
            Stored::Vector(slot) => {
                let mut bytes = Vec::new();
                for (_, tensor) in slot.parts(&manifest.config) {
                    bytes.extend(source.tensor(tensor)?.into_iter().flat_map(f32::to_le_bytes));
                }
                out.padded(&bytes)?;
            }
        }
    }
    out.put(source.facts.tokenizer.as_deref().unwrap_or_default())?;
    out.out.flush()?;
    Ok(package::finish(&out.hasher))
}

/// Hashes what it writes.
struct Hashed<'a, W> {
    out: &'a mut W,
    hasher: blake3::Hasher,
    done: u64,
}

impl<W: Write> Hashed<'_, W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.done += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    fn padded(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.put(bytes)?;
        self.put(&[0; TILE_INNER][..padded(bytes.len()) - bytes.len()])
    }
}

/// One matrix on its way from the source to the file, 16 columns at a time.
struct Packer<'a> {
    source: &'a Source,
    slot: MatrixSlot,
    parts: Vec<(usize, Slot)>,
    config: &'a Config,
    group: Group,
    columns: usize,
    inner: usize,
    /// Inner elements without padding.
    true_inner: usize,
    groups: usize,
}

impl<'a> Packer<'a> {
    fn new(source: &'a Source, config: &'a Config, slot: MatrixSlot) -> Result<Self, PackError> {
        let (columns, inner) = slot.shape(config);
        let (parts, group) = (slot.parts(config), config.group);
        let groups = group.count(inner);
        let true_inner = parts[0].1.shape(config).1;
        if group != Group::G32 && parts.iter().any(|&(_, tensor)| source.origin.is_quantised(tensor)) {
            return Err(PackError::Group(group));
        }
        Ok(Self { source, slot, parts, config, group, columns, inner, true_inner, groups })
    }

    fn write<W: Write>(
        &self,
        out: &mut Hashed<'_, W>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), PackError> {
        let mut rows = vec![0i8; TILE_COLUMNS * self.inner];
        let mut tiles = vec![0u8; TILE_COLUMNS * self.inner];
        let mut row_scales = vec![0u16; TILE_COLUMNS * self.groups];
        let mut scales = Vec::with_capacity(self.columns * self.groups * size_of::<u16>());
        for first in (0..self.columns).step_by(TILE_COLUMNS) {
            rows.fill(0);
            row_scales.fill(0);
            for &(start, tensor) in &self.parts {
                let end = start + tensor.shape(self.config).0;
                // The rows of the tensor that are among these columns.
                let columns = first.max(start)..(first + TILE_COLUMNS).min(end);
                if !columns.is_empty() {
                    let lane = columns.start - first;
                    let (rows, scales) =
                        (&mut rows[lane * self.inner..], &mut row_scales[lane * self.groups..]);
                    self.rows(tensor, columns.start - start, columns.len(), rows, scales)?;
                }
            }
            transpose(&rows, self.inner, &mut tiles);
            out.put(&tiles)?;
            for group in 0..self.groups {
                let of_column = |column: usize| row_scales[column * self.groups + group];
                scales.extend((0..TILE_COLUMNS).flat_map(|column| of_column(column).to_le_bytes()));
            }
            if first / TILE_COLUMNS % 256 == 255 {
                progress(out.done);
            }
        }
        out.padded(&scales)?;
        progress(out.done);
        debug_assert_eq!(Stored::Matrix(self.slot).bytes(self.config).1, scales.len());
        Ok(())
    }

    /// Reads and quantises rows of a tensor into rows of `inner` weights and `groups` scales.
    fn rows(
        &self,
        tensor: Slot,
        first: usize,
        count: usize,
        weights: &mut [i8],
        scales: &mut [u16],
    ) -> Result<(), PackError> {
        let origin = &self.source.origin;
        let (weights, scales) = (weights.chunks_mut(self.inner), scales.chunks_mut(self.groups));
        let rows = weights.zip(scales).take(count);
        if origin.is_quantised(tensor) {
            let used = self.true_inner / self.group.size();
            let mut read = (vec![0; count * self.true_inner], vec![0; count * used]);
            origin.blocks(tensor, first, count, &mut read.0, &mut read.1)?;
            let read = read.0.chunks(self.true_inner).zip(read.1.chunks(used));
            for ((weights, scales), (read_weights, read_scales)) in rows.zip(read) {
                weights[..self.true_inner].copy_from_slice(read_weights);
                scales[..used].copy_from_slice(read_scales);
            }
            return Ok(());
        }
        let mut floats = vec![0.0; count * self.true_inner];
        origin.rows(tensor, first, count, &mut floats)?;
        let length = self.group.within(self.inner);
        for ((row, floats), (weights, scales)) in (first..).zip(floats.chunks(self.true_inner)).zip(rows) {
            for ((floats, weights), scale) in
                floats.chunks(length).zip(weights.chunks_mut(length)).zip(scales)
            {
                *scale = quantise(floats, weights).ok_or_else(|| {
                    let peak = floats.iter().fold(0.0f32, |peak, weight| peak.max(weight.abs()));
                    PackError::Peak { tensor, row, peak }
                })?;
            }
        }
        Ok(())
    }
}

/// Puts 16 rows into tiles.
fn transpose(rows: &[i8], inner: usize, tiles: &mut [u8]) {
    for (k, quads) in (0..inner).step_by(4).zip(tiles.chunks_exact_mut(4 * TILE_COLUMNS)) {
        for (column, quad) in quads.chunks_exact_mut(4).enumerate() {
            for (out, &weight) in quad.iter_mut().zip(&rows[column * inner + k..]) {
                *out = weight.cast_unsigned();
            }
        }
    }
}
