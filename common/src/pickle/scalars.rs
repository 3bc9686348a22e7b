//! The operations that push a number or a string.

use std::borrow::Cow;

use super::input::{PickleInput, utf8};
use super::{Object, PickleProblem};

/// Reads the operand of an operation that pushes a number or a string; `None` for any other
/// operation.
pub(super) fn scalar<'a>(
    operation: u8,
    input: &mut PickleInput<'a>,
) -> Result<Option<Object<'a>>, PickleProblem> {
    Ok(Some(match operation {
        b'N' => Object::None,
        0x88 => Object::Bool(true),
        0x89 => Object::Bool(false),
        b'G' => Object::Float(f64::from_be_bytes(input.array()?)),
        b'F' => Object::Float(decimal(input)?),
        b'I' => decimal_int(input)?,
        b'L' => long_line(input)?,
        b'J' => Object::Int(i32::from_le_bytes(input.array()?).into()),
        b'K' => Object::Int(input.byte()?.into()),
        b'M' => Object::Int(u16::from_le_bytes(input.array()?).into()),
        0x8a => long(input.counted(1)?),
        0x8b => long(input.counted(4)?),
        _ => return string(operation, input),
    }))
}

fn string<'a>(
    operation: u8,
    input: &mut PickleInput<'a>,
) -> Result<Option<Object<'a>>, PickleProblem> {
    Ok(Some(match operation {
        b'S' => quoted(input.line()?)?,
        b'U' | b'C' => bytes(input.counted(1)?),
        b'T' | b'B' => bytes(input.counted(4)?),
        // Bytes of Python 3 and byte arrays.
        0x8e | 0x96 => bytes(input.counted(8)?),
        b'V' => escaped_text(input.line()?)?,
        0x8c => text(input.counted(1)?)?,
        b'X' => text(input.counted(4)?)?,
        0x8d => text(input.counted(8)?)?,
        _ => return Ok(None),
    }))
}

fn bytes(bytes: &[u8]) -> Object<'_> {
    Object::Bytes(Cow::Borrowed(bytes))
}

fn text(bytes: &[u8]) -> Result<Object<'_>, PickleProblem> {
    utf8(bytes).map(|text| Object::Text(Cow::Borrowed(text)))
}

fn decimal(input: &mut PickleInput) -> Result<f64, PickleProblem> {
    let parsed = input.text_line()?.trim().parse();
    parsed.map_err(|_| PickleProblem::Damaged("a float is not a number"))
}

/// Reads an integer of protocol 0, which also has the truth values.
fn decimal_int<'a>(input: &mut PickleInput) -> Result<Object<'a>, PickleProblem> {
    match input.text_line()? {
        "01" => Ok(Object::Bool(true)),
        "00" => Ok(Object::Bool(false)),
        digits => int(digits),
    }
}

fn long_line<'a>(input: &mut PickleInput) -> Result<Object<'a>, PickleProblem> {
    let line = input.text_line()?;
    int(line.strip_suffix('L').unwrap_or(line))
}

fn int<'a>(digits: &str) -> Result<Object<'a>, PickleProblem> {
    let digits = digits.trim();
    let unsigned = digits.strip_prefix('-').unwrap_or(digits);
    let is_number = !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return Err(PickleProblem::Damaged("an integer is not a number"));
    }
    Ok(digits.parse().map_or(Object::LargeInt, Object::Int))
}

/// Reads a little-endian integer in two's complement.
fn long<'a>(bytes: &[u8]) -> Object<'a> {
    let is_negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
    let mut wide = [if is_negative { 0xff } else { 0 }; 16];
    match wide.get_mut(..bytes.len()) {
        Some(low) => low.copy_from_slice(bytes),
        None => return Object::LargeInt,
    }
    Object::Int(i128::from_le_bytes(wide))
}

/// Reads a string of Python 2 in quotes, with its escapes.
fn quoted<'a>(line: &[u8]) -> Result<Object<'a>, PickleProblem> {
    let quoted = PickleProblem::Damaged("a string is not in quotes");
    let line = line.trim_ascii();
    let ([b'\'', inner @ .., b'\''] | [b'"', inner @ .., b'"']) = line else {
        return Err(quoted);
    };
    let mut rest = inner.iter().copied();
    let mut bytes = Vec::with_capacity(inner.len());
    while let Some(byte) = rest.next() {
        let byte = if byte == b'\\' {
            escape(&mut rest)?
        } else {
            byte
        };
        bytes.push(byte);
    }
    Ok(Object::Bytes(Cow::Owned(bytes)))
}

fn escape(rest: &mut impl Iterator<Item = u8>) -> Result<u8, PickleProblem> {
    match rest.next() {
        Some(b'n') => Ok(b'\n'),
        Some(b'r') => Ok(b'\r'),
        Some(b't') => Ok(b'\t'),
        Some(b'x') => hex(rest, 2).map(|code| code as u8),
        Some(byte @ (b'\\' | b'\'' | b'"')) => Ok(byte),
        _ => Err(PickleProblem::Damaged("an unknown escape in a string")),
    }
}

fn hex(rest: &mut impl Iterator<Item = u8>, digits: u32) -> Result<u32, PickleProblem> {
    let digit = |code: u32, byte: u8| char::from(byte).to_digit(16).map(|low| code << 4 | low);
    let mut code = Some(0);
    for _ in 0..digits {
        code = code
            .zip(rest.next())
            .and_then(|(code, byte)| digit(code, byte));
    }
    code.ok_or(PickleProblem::Damaged("an escape is not hexadecimal"))
}

/// Reads text of protocol 0: Latin-1, where `\uXXXX` and `\UXXXXXXXX` are escapes.
fn escaped_text<'a>(line: &[u8]) -> Result<Object<'a>, PickleProblem> {
    let line: String = line.iter().copied().map(char::from).collect();
    let mut parts = line.split('\\');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match unescape(part)? {
            Some((code, rest)) => text.extend([code.to_string().as_str(), rest]),
            None => text.extend(["\\", part]),
        }
    }
    Ok(Object::Text(Cow::Owned(text)))
}

/// The character of an escape whose backslash was removed, and what follows it.
fn unescape(part: &str) -> Result<Option<(char, &str)>, PickleProblem> {
    let digits = match part.as_bytes().first() {
        Some(b'u') => 4,
        Some(b'U') => 8,
        _ => return Ok(None),
    };
    let code = hex(&mut part.bytes().skip(1), digits)?;
    let code = char::from_u32(code).ok_or(PickleProblem::Damaged("no such character"))?;
    Ok(Some((code, &part[1 + digits as usize..])))
}
