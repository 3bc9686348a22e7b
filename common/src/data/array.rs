//! Arrays of numbers as files store them: images, labels and sigmas.

use std::path::{Path, PathBuf};

use half::{bf16, f16};

use super::bytes::ByteRange;
use super::{DataError, Fault, Image, MAX_SAMPLES};
use crate::domain::{Class, MAX_PIXELS};
use crate::spec::PixelLayout;

/// The type of an array's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ElementType {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    Bf16,
    F32,
    F64,
}

/// The order of the bytes of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

/// An array in a file, in row-major order.
#[derive(Debug, Clone)]
pub(super) struct Array {
    /// The file, and the name of the array in it, for messages.
    path: PathBuf,
    name: String,
    bytes: ByteRange,
    element: ElementType,
    order: ByteOrder,
    shape: Vec<usize>,
}

/// The parts of an array, as its file describes it.
#[derive(Debug)]
pub(super) struct ArrayParts {
    pub(super) name: String,
    pub(super) bytes: ByteRange,
    pub(super) element: ElementType,
    pub(super) order: ByteOrder,
    pub(super) shape: Vec<usize>,
}

impl ElementType {
    pub(super) fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 | Self::Bf16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::Bf16 | Self::F32 | Self::F64)
    }

    fn word(self) -> String {
        format!("{self:?}").to_uppercase()
    }
}

impl Array {
    /// # Errors
    /// When the bytes are not as many as type and shape describe.
    pub(super) fn new(path: &Path, parts: ArrayParts) -> Result<Self, DataError> {
        let ArrayParts {
            name,
            bytes,
            element,
            order,
            shape,
        } = parts;
        let array = Self {
            path: path.to_owned(),
            name,
            bytes,
            element,
            order,
            shape,
        };
        array.check_length()?;
        Ok(array)
    }

    fn check_length(&self) -> Result<(), DataError> {
        let mut sizes = self.shape.iter().map(|&size| size as u64);
        let described = sizes.try_fold(self.element.size() as u64, u64::checked_mul);
        let found = self.bytes.len();
        if described == Some(found) {
            return Ok(());
        }
        let element = self.element.word();
        let what = format!(
            "of {element} {:?} does not fit its {found} bytes",
            self.shape
        );
        Err(self.refuse(&what))
    }

    pub(super) fn refuse(&self, what: &str) -> DataError {
        DataError::layout(&self.path, format!("{} {what}", self.name))
    }

    /// The number of elements of a list: an array of shape (N) or (N, 1).
    fn list_len(&self) -> Option<usize> {
        match *self.shape {
            [count] | [count, 1] => Some(count),
            _ => None,
        }
    }

    /// Reads a list of classes, one per image.
    ///
    /// # Errors
    /// When it is not a list of that many whole numbers from 0 on.
    pub(super) fn classes(&self, images: usize) -> Result<Vec<Class>, DataError> {
        if self.element.is_float() {
            let element = self.element.word();
            return Err(self.refuse(&format!("is {element}; labels are whole numbers")));
        }
        if self.list_len() != Some(images) {
            return Err(self.refuse(&self.not_a_label_per_image(images)));
        }
        let labels = self.numbers(images, |bytes, reader| reader.whole(bytes))?;
        let labels = labels.into_iter().enumerate();
        labels
            .map(|(place, label)| self.class(place, label))
            .collect()
    }

    fn not_a_label_per_image(&self, images: usize) -> String {
        let hint = match *self.shape {
            [count, classes] if count == images && classes > 1 => {
                "; of one-hot labels take the place of the 1"
            }
            _ => "",
        };
        format!("has shape {:?}, for {images} images{hint}", self.shape)
    }

    fn class(&self, place: usize, label: i128) -> Result<Class, DataError> {
        u32::try_from(label)
            .map(Class)
            .map_err(|_| self.refuse(&format!("has {label} at {place}, which is not a class")))
    }

    /// Reads a list of floating-point numbers.
    ///
    /// # Errors
    /// When it is not a list, or a list of other numbers.
    pub(super) fn floats(&self) -> Result<Vec<f64>, DataError> {
        let element = self.element.word();
        let count = self.list_len().filter(|_| self.element.is_float());
        let Some(count) = count else {
            let shape = &self.shape;
            let what = format!("is {element} {shape:?}, not a list of floating-point numbers");
            return Err(self.refuse(&what));
        };
        self.numbers(count, |bytes, reader| reader.float(bytes))
    }

    /// Reads `count` numbers, piece by piece.
    fn numbers<T>(
        &self,
        count: usize,
        read: impl Fn(&[u8], ElementReader) -> T,
    ) -> Result<Vec<T>, DataError> {
        let size = self.element.size();
        let mut numbers = Vec::with_capacity(count.min(PIECE));
        for first in (0..count).step_by(PIECE) {
            let piece = PIECE.min(count - first);
            let bytes = self.bytes.read((first * size) as u64, piece * size);
            let bytes = bytes.map_err(DataError::io(&self.path))?;
            let elements = bytes.chunks_exact(size);
            numbers.extend(elements.map(|bytes| read(bytes, self.reader())));
        }
        Ok(numbers)
    }

    fn reader(&self) -> ElementReader {
        ElementReader {
            element: self.element,
            order: self.order,
        }
    }
}

/// The number of elements that are read at once.
const PIECE: usize = 1 << 16;

/// Reads one number of an array.
#[derive(Clone, Copy)]
struct ElementReader {
    element: ElementType,
    order: ByteOrder,
}

impl ElementReader {
    /// The bits of a number, its last byte first.
    fn bits(self, bytes: &[u8]) -> u64 {
        let add = |bits: u64, byte: &u8| bits << 8 | u64::from(*byte);
        match self.order {
            ByteOrder::Little => bytes.iter().rev().fold(0, add),
            ByteOrder::Big => bytes.iter().fold(0, add),
        }
    }

    /// The value of a whole number.
    fn whole(self, bytes: &[u8]) -> i128 {
        let bits = self.bits(bytes);
        match self.element {
            ElementType::I8 => i128::from(bits as i8),
            ElementType::I16 => i128::from(bits as i16),
            ElementType::I32 => i128::from(bits as i32),
            ElementType::I64 => i128::from(bits as i64),
            _ => i128::from(bits),
        }
    }

    /// The value of a number with a fraction.
    fn float(self, bytes: &[u8]) -> f64 {
        let bits = self.bits(bytes);
        match self.element {
            ElementType::F16 => f16::from_bits(bits as u16).to_f64(),
            ElementType::Bf16 => bf16::from_bits(bits as u16).to_f64(),
            ElementType::F32 => f32::from_bits(bits as u32).into(),
            ElementType::F64 => f64::from_bits(bits),
            _ => self.whole(bytes) as f64,
        }
    }

    /// The brightness of a pixel: bytes are divided by 255.
    fn pixel(self, bytes: &[u8]) -> f32 {
        match self.element {
            ElementType::U8 => f32::from(bytes[0]) / 255.0,
            _ => self.float(bytes) as f32,
        }
    }
}

/// An array of images.
#[derive(Debug)]
pub(super) struct ImageArray {
    array: Array,
    /// Channels, height, width.
    shape: [usize; 3],
    layout: PixelLayout,
}

impl ImageArray {
    /// Checks that an array holds images of bytes, or of floating-point numbers. Without a layout
    /// it must follow from the sizes; `usual` is taken if it does not.
    pub(super) fn new(
        array: Array,
        layout: Option<PixelLayout>,
        usual: Option<PixelLayout>,
    ) -> Result<Self, DataError> {
        if array.element != ElementType::U8 && !array.element.is_float() {
            let element = array.element.word();
            let what = format!("is {element}; images are U8, or floating-point numbers in [0, 1]");
            return Err(array.refuse(&what));
        }
        let (shape, layout) = arrange(&array, layout, usual)?;
        check_size(&array, shape)?;
        Ok(Self {
            array,
            shape,
            layout,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.array.shape[0]
    }

    /// Channels, height and width of every image.
    pub(super) fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Returns true if every value is a byte divided by 255.
    pub(super) fn holds_bytes(&self) -> bool {
        self.array.element == ElementType::U8
    }

    pub(super) fn image(&self, place: usize) -> Result<Image, Fault> {
        // The sizes were checked against the file's length, so no product overflows.
        let size = self.array.element.size() * self.shape.iter().product::<usize>();
        let bytes = self.array.bytes.read((place * size) as u64, size)?;
        let reader = self.array.reader();
        let pixels = bytes.chunks_exact(self.array.element.size());
        let pixels: Vec<f32> = pixels.map(|bytes| reader.pixel(bytes)).collect();
        let pixels = self.channels_first(pixels);
        check_pixels(&pixels)?;
        Ok(Image {
            shape: self.shape,
            pixels,
        })
    }

    fn channels_first(&self, pixels: Vec<f32>) -> Vec<f32> {
        let [channels, ..] = self.shape;
        match self.layout {
            PixelLayout::ChannelsFirst => pixels,
            PixelLayout::ChannelsLast => (0..channels)
                .flat_map(|channel| pixels.iter().skip(channel).step_by(channels))
                .copied()
                .collect(),
        }
    }
}

fn check_pixels(pixels: &[f32]) -> Result<(), Fault> {
    // NaN is not in the range either.
    let bad = pixels.iter().position(|value| !(0.0..=1.0).contains(value));
    match bad {
        Some(position) => Err(Fault::Pixel {
            position,
            value: pixels[position],
        }),
        None => Ok(()),
    }
}

/// Finds channels, height and width.
fn arrange(
    array: &Array,
    layout: Option<PixelLayout>,
    usual: Option<PixelLayout>,
) -> Result<([usize; 3], PixelLayout), DataError> {
    let shape = &array.shape;
    if shape.contains(&0) {
        return Err(array.refuse(&format!("of shape {shape:?} is empty")));
    }
    match **shape {
        [_, height, width] => Ok(([1, height, width], PixelLayout::ChannelsFirst)),
        [_, a, b, c] => {
            let found = layout.map_or_else(|| find_layout(array, usual), Ok)?;
            Ok(match found {
                PixelLayout::ChannelsFirst => ([a, b, c], found),
                PixelLayout::ChannelsLast => ([c, a, b], found),
            })
        }
        _ => {
            let forms = "(N, C, H, W), (N, H, W, C) or (N, H, W)";
            Err(array.refuse(&format!("has shape {shape:?}, not {forms}")))
        }
    }
}

/// The largest number of channels that tells the layout.
const MOST_CHANNELS: usize = 4;

fn find_layout(array: &Array, usual: Option<PixelLayout>) -> Result<PixelLayout, DataError> {
    let are_channels = [1, 3].map(|at| array.shape[at] <= MOST_CHANNELS);
    let found = match are_channels {
        [true, false] => Some(PixelLayout::ChannelsFirst),
        [false, true] => Some(PixelLayout::ChannelsLast),
        _ => None,
    };
    match (found, usual) {
        (Some(found), Some(usual)) if found != usual => Err(array.refuse(&unusual_layout(array))),
        (Some(found), _) => Ok(found),
        (None, Some(usual)) => Ok(usual),
        (None, None) => Err(array.refuse(&unknown_layout(array))),
    }
}

fn unusual_layout(array: &Array) -> String {
    format!(
        "of shape {:?} seems to be (N, H, W, C), not (N, C, H, W); set dataset.layout to \"nhwc\", \
         or to \"nchw\" if it is not",
        array.shape
    )
}

fn unknown_layout(array: &Array) -> String {
    format!(
        "of shape {:?} may be (N, C, H, W) or (N, H, W, C); set dataset.layout to \"nchw\" or \
         \"nhwc\"",
        array.shape
    )
}

/// Refuses sizes that no memory holds. A file may claim them, and a sparse file even have them.
fn check_size(array: &Array, shape: [usize; 3]) -> Result<(), DataError> {
    let most = 3 * MAX_PIXELS;
    let count = array.shape[0];
    let what = if count as u64 > MAX_SAMPLES {
        format!("holds {count} images, more than the {MAX_SAMPLES} allowed")
    } else if shape.iter().product::<usize>() as u64 > most {
        format!("has images of shape {shape:?}, more than the {most} values allowed")
    } else {
        return Ok(());
    };
    Err(array.refuse(&what))
}
