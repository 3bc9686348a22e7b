//! The format of a file, by its content and never by its name.

use std::io::{self, Cursor, Read, Seek};
use std::path::Path;

use zip::ZipArchive;

use super::content::FileContent;
use crate::domain::MAX_SAFETENSORS_HEADER;
use crate::roots::Roots;

/// The format of a file that was given as a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Named tensors with a header of JSON.
    Safetensors,
    /// A checkpoint of `torch.save`.
    TorchSave(TorchContainer),
    /// A program of `torch.jit.save`.
    TorchScript,
    /// Another file, in words.
    Other(&'static str),
}

/// A container of `torch.save`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TorchContainer {
    /// A ZIP archive, since PyTorch 1.6.
    Zip,
    /// Pickles and storages one after the other, from PyTorch 0.2 on.
    Stream,
    /// A tar archive, before.
    Tar,
}

const UNKNOWN: &str = "neither safetensors, a checkpoint of torch.save, nor TorchScript";

/// Determines the format of a file.
///
/// # Errors
/// When the file cannot be read.
pub fn file_kind(path: &Path, roots: &Roots) -> io::Result<FileKind> {
    of_content(&FileContent::open(path, roots)?)
}

/// Determines the format of bytes in memory.
#[must_use]
pub fn kind_of(bytes: &[u8]) -> FileKind {
    // Memory cannot fail to be read.
    of_content(&FileContent::borrowed(bytes)).unwrap_or(FileKind::Other(UNKNOWN))
}

pub(super) fn of_content(content: &FileContent) -> io::Result<FileKind> {
    let head = content.read(0..content.len().min(512))?;
    if head.starts_with(b"PK\x03\x04") {
        return of_archive(content);
    }
    Ok(of_head(&head))
}

fn of_head(head: &[u8]) -> FileKind {
    let is_tar = head.get(257..262) == Some(b"ustar");
    if is_safetensors(head) {
        FileKind::Safetensors
    } else if is_magic_pickle(head) {
        FileKind::TorchSave(TorchContainer::Stream)
    } else if is_tar {
        FileKind::TorchSave(TorchContainer::Tar)
    } else {
        FileKind::Other(description(head))
    }
}

/// Returns true for a length, and then JSON.
fn is_safetensors(head: &[u8]) -> bool {
    let Some((&length, rest)) = head.split_first_chunk::<8>() else {
        return false;
    };
    u64::from_le_bytes(length) <= MAX_SAFETENSORS_HEADER && rest.first() == Some(&b'{')
}

/// Returns true for the number that `torch.save` writes first, in any protocol.
fn is_magic_pickle(head: &[u8]) -> bool {
    let binary = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";
    let has_binary = |at: usize| head.get(at..).is_some_and(|rest| rest.starts_with(binary));
    // Protocol 4 has a frame before it.
    has_binary(2) || has_binary(11) || head.starts_with(b"L119547037146038801333356L\n.")
}

fn description(head: &[u8]) -> &'static str {
    let text = head.trim_ascii_start();
    let has = |part: &[u8]| head.windows(part.len()).any(|window| window == part);
    match head {
        [] => "an empty file",
        [0x1f, 0x8b, ..] => "compressed by gzip: unpack it first",
        [0x80, 0..=5, ..] => {
            "a pickle that torch.save did not write; save the weights with \
             torch.save(model.state_dict(), FILE)"
        }
        [0x89, b'H', b'D', b'F', ..] => "an HDF5 file, as Keras writes them",
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => "an array of numpy",
        _ if head.starts_with(b"version https://git-lfs") => {
            "a pointer of Git LFS instead of the file: run `git lfs pull`"
        }
        _ if text.starts_with(b"<") => "a web page, not a model: download it again",
        _ if text.starts_with(b"{") => "JSON, not a model",
        _ if has(b"onnx") || has(b"\x12\x07pytorch") => "an ONNX file; export TorchScript instead",
        _ => UNKNOWN,
    }
}

fn of_archive(content: &FileContent) -> io::Result<FileKind> {
    match content {
        FileContent::OnDisk(file, _) => Ok(of_members(&mut file.try_clone()?)),
        FileContent::InMemory(bytes) => Ok(of_members(&mut Cursor::new(bytes))),
    }
}

/// Determines the kind of a ZIP archive by the names of its members.
fn of_members(reader: &mut (impl Read + Seek)) -> FileKind {
    let Ok(archive) = ZipArchive::new(reader) else {
        return FileKind::Other("an archive that is damaged or cut off: download it again");
    };
    let has = |end: &str| archive.file_names().any(|name| name.ends_with(end));
    if has("/constants.pkl") || has("/model.json") {
        FileKind::TorchScript
    } else if has("/data.pkl") {
        FileKind::TorchSave(TorchContainer::Zip)
    } else if has("serialized_exported_program.json") || has("archive_format") {
        FileKind::Other("a program of torch.export; save it with torch.jit.save instead")
    } else {
        FileKind::Other("a ZIP archive that is not of PyTorch")
    }
}

impl FileKind {
    pub(super) fn is_unknown(self) -> bool {
        self == Self::Other(UNKNOWN)
    }

    /// Checks that a file is a program.
    ///
    /// # Errors
    /// Another kind, in words.
    pub fn check_program(self) -> Result<(), String> {
        match self {
            Self::TorchScript => Ok(()),
            Self::Safetensors | Self::TorchSave(_) => Err(
                "it holds weights and no program: give `architecture`, or export TorchScript"
                    .to_owned(),
            ),
            Self::Other(_) => Err(self.refusal()),
        }
    }

    /// The reason why a file of this kind is not read as tensors.
    #[must_use]
    pub fn refusal(self) -> String {
        match self {
            Self::TorchScript => {
                "it is a TorchScript program, which contains its architecture: leave \
                 `architecture` out"
                    .to_owned()
            }
            Self::Other(UNKNOWN) => format!("it is {UNKNOWN}"),
            Self::Other(description) => format!("not a model file, but {description}"),
            Self::Safetensors | Self::TorchSave(_) => "it is a file of weights".to_owned(),
        }
    }
}
