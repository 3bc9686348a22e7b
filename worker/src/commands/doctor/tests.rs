//! Tests of `doctor` on this machine's CPU.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use tch::Device;

use super::comparison::OVERFLOW;
use super::*;

fn report(compared: Vec<Comparison>) -> DoctorReport {
    DoctorReport {
        machine: Machine::examine(Some("no reason".to_owned())),
        asked: "cpu".to_owned(),
        picked: Some("cpu".to_owned()),
        not_usable: None,
        devices: vec![trial::try_device(Device::Cpu).unwrap()],
        compared,
    }
}

fn compare(model: &str, draws: u32) -> Vec<Comparison> {
    compare::compare(model, Device::Cpu, draws).unwrap()
}

#[test]
fn the_cpu_runs_all_precisions_but_tf32_and_fuses_all_or_no_convolutions() {
    let report = report(Vec::new());
    check(&report).unwrap();
    for tried in &report.devices[0].precisions {
        assert_eq!(tried.runs(), tried.precision != "tf32", "{tried:?}");
        assert!(
            tried.fused == 0 || tried.fused == tried.candidates,
            "{}",
            tried.fused
        );
        if tried.runs() {
            assert_eq!(tried.candidates, 19, "{tried:?}");
            assert_eq!(
                tried.from_fp32 == Some(0.0),
                tried.precision == "fp32",
                "{tried:?}"
            );
        }
    }
    let text = report.text();
    let wide = report.devices[0].precisions.iter().any(|tried| tried.wide);
    assert_eq!(
        text.contains("bf16    runs, no faster than fp32"),
        wide,
        "{text}"
    );
    for expected in [
        "libtorch_cpu.so",
        "cuda      not used: no reason",
        "tf32    does not run: ",
        "noise   the same integers as by the cpu's tables",
        "--device cpu is cpu",
    ] {
        assert!(text.contains(expected), "{text}");
    }
    let json: Value = serde_json::to_value(&report).unwrap();
    assert_eq!(json["devices"][0]["precisions"][2]["precision"], "bf16");
    assert_eq!(json["libtorch"], json["built_with"], "{json:#}");
}

#[test]
fn the_same_device_agrees_with_itself_and_bf16_nearly_does() {
    let rows = compare("cifar-resnet20", 48);
    let [fp32, _, bf16, _] = &rows[..] else {
        panic!("{rows:?}")
    };
    assert_eq!(
        (fp32.disagreements, fp32.largest_difference, fp32.repeats),
        (0, 0.0, true)
    );
    assert!(
        bf16.largest_difference > 0.0 && bf16.disagreements < 24,
        "{bf16:?}"
    );
    // It depends on the machine whether they are the same, but they must be compared.
    assert!(
        fp32.same_in_larger_passes.is_some()
            && fp32
                .to_string()
                .contains("in passes of 16 images and of 32"),
        "{fp32}"
    );
    assert!(fp32.most_frequent < 48, "noise decided nothing: {fp32:?}");
    check(&report(rows)).unwrap();
}

#[test]
fn a_difference_that_rounding_does_not_explain_is_a_failure() {
    let row = || compare("cifar-resnet20", 2).remove(0);
    assert!(
        row()
            .to_string()
            .contains("too few draws to try passes of two sizes")
    );
    let failed = |row| format!("{:#}", check(&report(vec![row])).unwrap_err());
    assert!(
        failed(Comparison {
            disagreements: 1,
            ..row()
        })
        .contains("1 of 2 draws")
    );
    assert!(
        failed(Comparison {
            repeats: false,
            ..row()
        })
        .contains("other scores the second time")
    );
    assert!(
        failed(Comparison {
            reason: Some("no memory".into()),
            ..row()
        })
        .contains("no memory")
    );
}

#[test]
fn fp16_that_overflows_is_a_failure_only_with_trained_weights() {
    let row = || compare("cifar-resnet110", 1).pop().unwrap();
    assert_eq!(
        (row().precision, row().reason.as_deref()),
        ("fp16", Some(OVERFLOW))
    );
    check(&report(vec![row()])).unwrap();
    let trained = check(&report(vec![Comparison {
        random: false,
        ..row()
    }]))
    .unwrap_err();
    assert!(
        format!("{trained:#}").contains("fp16 ends at 65504"),
        "{trained:#}"
    );
}

#[test]
fn a_missing_device_is_a_failure_with_its_reason() {
    let mut report = report(Vec::new());
    report.asked = "cuda:0".into();
    report.picked = None;
    report.not_usable = Some("there is no driver".into());
    assert_eq!(
        check(&report).unwrap_err().to_string(),
        "cuda:0 cannot be used: there is no driver"
    );
    assert!(
        report
            .text()
            .contains("--device cuda:0 cannot be used: there is no driver")
    );
}

#[test]
fn a_model_that_cannot_be_compared_is_named() {
    for what in ["vgg", "no-such.toml"] {
        let error = format!("{:#}", compare::compare(what, Device::Cpu, 2).unwrap_err());
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn a_device_that_draws_other_noise_is_not_suitable() {
    let mut report = report(Vec::new());
    report.devices[0].other_noise = Some("7 of 8 integers differ at sigma 0.5".to_owned());
    let reason = "cpu draws other noise than the cpu: 7 of 8 integers differ at sigma 0.5";
    assert_eq!(check(&report).unwrap_err().to_string(), reason);
    let line = "noise   differs from that of the cpu: 7 of 8 integers differ";
    assert!(report.text().contains(line), "{}", report.text());
}
