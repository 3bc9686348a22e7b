//! The bytes of storages, and the elements of a tensor in them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Cursor;
use std::ops::Range;

use flate2::Crc;
use zip::ZipArchive;

use super::super::{FileTensor, TensorPlace};
use super::{Indexed, member};

/// The most bytes of a tensor that is larger than its storage.
const MOST_REPEATED: u64 = 1 << 20;

/// The most bytes of a compressed storage. PyTorch compresses none.
const MOST_UNPACKED: u64 = 1 << 30;

/// The place of a storage in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StoragePlace {
    /// As it is, with its CRC-32 if the container has one.
    Bytes {
        range: Range<u64>,
        checksum: Option<u32>,
    },
    /// Compressed, in a member of a ZIP archive.
    Compressed { member: String, length: u64 },
}

impl StoragePlace {
    /// The number of bytes, unpacked.
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Bytes { range, .. } => range.end.saturating_sub(range.start),
            Self::Compressed { length, .. } => *length,
        }
    }

    fn read<'b>(&self, file: &'b [u8]) -> Indexed<Cow<'b, [u8]>> {
        match self {
            Self::Bytes { range, checksum } => slice(file, range, *checksum).map(Cow::Borrowed),
            Self::Compressed { member, length } => unpack(file, member, *length).map(Cow::Owned),
        }
    }
}

fn slice<'b>(file: &'b [u8], range: &Range<u64>, checksum: Option<u32>) -> Indexed<&'b [u8]> {
    let bytes = file.get(range.start as usize..range.end as usize);
    let bytes = bytes.ok_or("the file is cut off")?;
    match checksum {
        Some(checksum) if checksum != crc32(bytes) => {
            Err("its checksum does not match: the file is damaged".to_owned())
        }
        _ => Ok(bytes),
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn unpack(file: &[u8], name: &str, length: u64) -> Indexed<Vec<u8>> {
    if length > MOST_UNPACKED {
        return Err(format!("its storage unpacks to {length} bytes"));
    }
    let mut archive = ZipArchive::new(Cursor::new(file)).map_err(|error| error.to_string())?;
    member::read(&mut archive, name, length)
}

/// Copies the elements of a tensor in row-major order.
pub(super) fn gather(
    file: &[u8],
    storages: &HashMap<String, StoragePlace>,
    tensor: &FileTensor,
) -> Indexed<Vec<u8>> {
    let TensorPlace::Strided {
        storage,
        offset,
        strides,
    } = &tensor.place
    else {
        return Err("it has no storage".to_owned());
    };
    let place = storages.get(storage).ok_or("its storage is missing")?;
    check_size(tensor, place)?;
    // A length of 0 may come after a huge one.
    if tensor.is_empty() {
        return Ok(Vec::new());
    }
    let bytes = place.read(file)?;
    let elements = Elements {
        bytes: &bytes,
        width: tensor.dtype.bitsize() / 8,
        lengths: &tensor.shape,
        strides,
    };
    elements.copy(*offset)
}

/// Refuses a tensor that repeats the values of its storage into more memory than the file has.
fn check_size(tensor: &FileTensor, place: &StoragePlace) -> Indexed<()> {
    let size = tensor
        .len()
        .saturating_mul(tensor.dtype.bitsize() as u64 / 8);
    if size <= place.length().max(MOST_REPEATED) {
        return Ok(());
    }
    Err("its values are repeated: save it with .contiguous()".to_owned())
}

/// The elements of a tensor in its storage. That they lie within it was checked when the tensor was
/// found.
struct Elements<'a> {
    bytes: &'a [u8],
    width: usize,
    lengths: &'a [u64],
    strides: &'a [u64],
}

impl Elements<'_> {
    fn copy(&self, offset: u64) -> Indexed<Vec<u8>> {
        let mut copied = Vec::new();
        self.copy_dimension(0, offset, &mut copied)?;
        Ok(copied)
    }

    /// Copies the elements whose first indices were chosen. There are at most
    /// [`super::tensor::MOST_DIMENSIONS`] dimensions.
    fn copy_dimension(&self, dimension: usize, at: u64, copied: &mut Vec<u8>) -> Indexed<()> {
        let (Some(&length), Some(&stride)) =
            (self.lengths.get(dimension), self.strides.get(dimension))
        else {
            return self.copy_run(at, 1, copied);
        };
        if dimension + 1 == self.lengths.len() && stride == 1 {
            return self.copy_run(at, length, copied);
        }
        for index in 0..length {
            self.copy_dimension(dimension + 1, at + index * stride, copied)?;
        }
        Ok(())
    }

    /// Copies elements that follow each other.
    fn copy_run(&self, at: u64, count: u64, copied: &mut Vec<u8>) -> Indexed<()> {
        let start = at as usize * self.width;
        let run = self.bytes.get(start..start + count as usize * self.width);
        copied.extend_from_slice(run.ok_or("its storage is cut off")?);
        Ok(())
    }
}
