#![allow(clippy::unwrap_used)]
use std::fs;

use super::*;

const RULES: PickleRules = PickleRules {
    callable: &NUMPY_CONSTRUCTORS,
    keeps_instances: false,
    most_objects: 1000,
};

/// The same value in protocols 0 to 5.
const PROTOCOLS: [&str; 6] = [
    "protocol0",
    "protocol1",
    "protocol2",
    "protocol3",
    "protocol4",
    "protocol5",
];

/// The same array, written by Python 2 and 3.
const NUMPY: [&str; 3] = ["numpy_python2", "numpy_protocol2", "numpy_protocol4"];

fn golden(name: &str) -> Vec<u8> {
    let path = crate::golden::path("pickle")
        .join(name)
        .with_extension("pkl");
    fs::read(path).unwrap()
}

fn read(bytes: &[u8]) -> Pickle<'_> {
    Pickle::read(bytes, RULES).unwrap()
}

fn problem(bytes: &[u8]) -> PickleProblem {
    Pickle::read(bytes, RULES).unwrap_err().problem
}

#[test]
fn every_protocol_gives_the_same_values() {
    for bytes in PROTOCOLS.map(golden) {
        let pickle = read(&bytes);
        assert_eq!(pickle.length(), bytes.len());
        let a = pickle.root().get("a").unwrap().elements().unwrap();
        let integers: Vec<_> = a[..3].iter().map(|value| value.as_int().unwrap()).collect();
        assert_eq!(integers, [1, -2, 1 << 70]);
        assert_eq!(a[3].as_float(), Some(0.5));
        assert!(a[4].is_none());
        assert_eq!(a[5].as_bool(), Some(true));
        let b = pickle.root().get("b").unwrap().elements().unwrap();
        assert_eq!(b[0].as_text(), Some("é"));
        assert_eq!(b[1].as_bytes().unwrap()[..], [0xff, 0]);
    }
}

#[test]
fn numpy_arrays_of_python_2_and_3_are_read() {
    for bytes in NUMPY.map(golden) {
        let pickle = read(&bytes);
        let array = pickle.root().get("data").unwrap().as_numpy_array().unwrap();
        assert_eq!(array.shape, [2, 3]);
        assert_eq!(array.kind, "u1");
        assert_eq!(array.bytes[..], [0, 1, 2, 200, 254, 255]);
        assert!(!array.is_fortran && !array.is_big_endian);
    }
}

#[test]
fn what_is_not_allowed_is_refused_by_name() {
    let system = PickleProblem::Refused {
        module: "posix".to_owned(),
        name: "system".to_owned(),
    };
    assert_eq!(problem(b"cposix\nsystem\n(S'true'\ntR."), system);
    assert_eq!(problem(b"(S'true'\niposix\nsystem\n."), system);
    assert_eq!(problem(b"(cposix\nsystem\nS'true'\no."), system);
    assert_eq!(problem(b"\x80\x02cposix\nsystem\n)\x81."), system);
    let reconstructed = b"ccopy_reg\n_reconstructor\n(cposix\nsystem\nc__builtin__\nobject\nNtR.";
    assert_eq!(problem(reconstructed), system);
}

#[test]
fn a_name_that_is_not_called_is_data() {
    let pickle = read(b"cposix\nsystem\n.");
    assert_eq!(pickle.root().as_global(), Some(("posix", "system")));
}

#[test]
fn instances_are_kept_as_data_where_the_rules_say_so() {
    let rules = PickleRules {
        keeps_instances: true,
        ..RULES
    };
    let bytes = b"\x80\x02cargparse\nNamespace\n)\x81}X\x05\x00\x00\x00depthK\x14sb.";
    let pickle = Pickle::read(bytes, rules).unwrap();
    let call = pickle.root().as_call().unwrap();
    assert_eq!((call.module, call.name), ("argparse", "Namespace"));
    assert_eq!(call.state.unwrap().get("depth").unwrap().as_int(), Some(20));
    // A function is refused all the same.
    assert!(Pickle::read(b"cposix\nsystem\n(S'true'\ntR.", rules).is_err());
}

#[test]
fn shared_objects_and_circles_are_stored_once() {
    // a = []; a.append(a)
    let pickle = read(b"\x80\x02]q\x00h\x00a.");
    let list = pickle.root();
    assert_eq!(list.elements().unwrap()[0].id(), list.id());
}

#[test]
fn more_objects_than_allowed_are_refused() {
    let bytes = [vec![b'N'; 2000], vec![b'.']].concat();
    assert_eq!(problem(&bytes), PickleProblem::TooMany(1000));
}

#[test]
fn every_cut_is_an_error() {
    for bytes in PROTOCOLS.into_iter().chain(NUMPY).map(golden) {
        for length in 0..bytes.len() {
            assert!(Pickle::read(&bytes[..length], RULES).is_err(), "{length}");
        }
    }
}

#[test]
fn damage_is_named_with_its_place() {
    for (bytes, message) in [
        (
            &b"\x80\x09."[..],
            "byte 0: the pickle is damaged: an unknown protocol",
        ),
        (b"N\x82.", "byte 1: unknown operation 0x82"),
        (b"h\x05.", "it refers to an object that it does not have"),
        (b"t.", "a mark is missing"),
        (b".", "too few objects"),
        (b"(a.", "too few objects"),
        (b"NNa.", "it appends to what is not a list"),
        (b"}(Nu.", "a key without a value"),
        (b"NNb.", "state for what is not an instance"),
        (b"N)R.", "it calls what is not a function"),
        (b"c_codecs\nencode\nNR.", "arguments are not a tuple"),
        (b"I1x\n.", "an integer is not a number"),
        (b"S'\\q'\n.", "an unknown escape"),
        (b"V\\ud800\n.", "no such character"),
        (b"X\x01\x00\x00\x00\xff.", "a string is not UTF-8"),
    ] {
        let error = Pickle::read(bytes, RULES).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}
