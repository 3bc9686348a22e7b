use super::*;

#[test]
fn headers_as_numpy_writes_them_are_read() {
    let header = |descr: &str, shape: &str| {
        parse(&format!(
            "{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}   \n"
        ))
    };
    let read = |descr: &str, shape: &str| header(descr, shape).expect("a good header");
    for (descr, element, order) in [
        ("'|u1'", ElementType::U8, ByteOrder::Little),
        ("'<f4'", ElementType::F32, ByteOrder::Little),
        ("\">f8\"", ElementType::F64, ByteOrder::Big),
        ("'<i8'", ElementType::I64, ByteOrder::Little),
        ("'=f2'", ElementType::F16, ByteOrder::Little),
    ] {
        let found = read(descr, "(3,)");
        assert_eq!((found.element, found.order), (element, order), "{descr}");
    }
    assert_eq!(read("'|u1'", "(10, 32, 32, 3)").shape, [10, 32, 32, 3]);
    assert_eq!(read("'|u1'", "(10L,)").shape, [10]);
    assert!(read("'|u1'", "()").shape.is_empty());
}

#[test]
fn headers_that_mean_something_else_are_refused() {
    let refused = |text: &str| parse(text).expect_err("a refusal");
    let of = |descr: &str, fortran: &str, shape: &str| {
        refused(&format!(
            "{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}"
        ))
    };
    assert!(of("'|O'", "False", "(1,)").contains("holds Python objects"));
    assert!(of("'<c8'", "False", "(1,)").contains("type \"<c8\", which are not supported"));
    assert!(of("[('a', '<f4')]", "False", "(1,)").contains("records of several types"));
    assert!(of("'<f4'", "True", "(2, 3)").contains("column-major order; save numpy.ascontiguous"));
    for shape in ["(-1,)", "(1", "1", "(99999999999999999999,)"] {
        assert!(
            of("'<f4'", "False", shape).contains("a damaged shape"),
            "{shape}"
        );
    }
    assert!(refused("{'descr': '<f4', 'shape': (1,)}").contains("without \"fortran_order\""));
}

#[test]
fn the_three_versions_differ_in_the_length_of_the_header() {
    for (version, length) in [(1, &[2, 0][..]), (2, &[2, 0, 0, 0]), (3, &[2, 0, 0, 0])] {
        let file = [MAGIC, &[version, 0], length, b"ab", b"data"].concat();
        let (text, data) = header_in(&file).expect("a header");
        assert_eq!((text.as_str(), data), ("ab", (10 + length.len()) as u64));
        for cut in 0..file.len() - 4 {
            assert!(header_in(&file[..cut]).is_err(), "{cut}");
        }
    }
    let long = [MAGIC, &[2, 0], &u32::MAX.to_le_bytes()].concat();
    let error = header_in(&long).expect_err("a refusal");
    assert!(error.contains("a header of 4294967295 bytes"), "{error}");
}
