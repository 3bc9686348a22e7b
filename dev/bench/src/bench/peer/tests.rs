#![allow(clippy::unwrap_used)]
use std::fs;

use super::*;

/// A shell script in place of a python script. It logs its arguments, and finds the batch in
/// `$batch`.
struct FakeScript {
    dir: PathBuf,
}

impl FakeScript {
    fn new(name: &str, answer: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("ddrs-peer-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let text = format!(
            "echo \"$@\" >> '{}/asked'\nfor batch; do :; done\n{answer}\n",
            dir.display()
        );
        fs::write(dir.join("script"), text).unwrap();
        Self { dir }
    }

    fn peers(&self, device: &str) -> Peers {
        Peers {
            python: PathBuf::from("/bin/sh"),
            script: Some(self.dir.join("script")),
            device: device.to_owned(),
            batches: Vec::new(),
            seconds: 2.0,
        }
    }

    fn asked(&self) -> Vec<String> {
        fs::read_to_string(self.dir.join("asked"))
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for FakeScript {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.dir).ok();
    }
}

#[test]
fn on_a_gpu_the_fastest_of_several_batches_counts_and_is_kept() {
    // 200 images are the fastest; 400 do not fit.
    let fake = FakeScript::new(
        "fastest",
        "[ $batch = 400 ] && { echo 'OutOfMemoryError: no' >&2; exit 1; }\n\
         echo '{\"passes_per_second\": '$batch'}'",
    );
    let peers = fake.peers(&device_number("cuda:1 Some GPU"));
    let mut peer = peers.times(PeerLoop::Plain, "resnet50", 100, 224);
    peer.take_turn(1000.0);
    peer.take_turn(1000.0);
    assert_eq!(
        (peer.rates.as_slice(), peer.batches.as_slice(), &peer.error),
        (&[200.0, 200.0][..], &[200][..], &None)
    );
    let asked = fake.asked();
    assert_eq!(asked.len(), 4);
    assert!(
        asked
            .iter()
            .all(|words| words.contains("--mode plain --model resnet50 --device cuda:1 --batch")),
        "{asked:?}"
    );
    // The passes of two seconds, at a quarter of our rate and then at its rate.
    assert!(
        asked[0].contains("--repeats 1 --passes 500 ") && asked[3].contains("--passes 400 "),
        "{asked:?}"
    );
}

#[test]
fn a_loop_that_fails_says_why_and_is_not_tried_again() {
    let fake = FakeScript::new(
        "fails",
        "printf 'Traceback\\nRuntimeError: no compiler\\n\\nSet THIS for more\\n' >&2; exit 1",
    );
    let peers = fake.peers("cpu");
    let mut peer = peers.times(PeerLoop::Tuned, "cifar-resnet20", 500, 32);
    peer.take_turn(1000.0);
    peer.take_turn(1000.0);
    assert_eq!(
        (peer.error.as_deref(), peer.rates.len()),
        (Some("RuntimeError: no compiler"), 0)
    );
    assert_eq!(fake.asked().len(), 1);
}

#[test]
fn a_python_that_was_named_must_have_torch_and_a_script_must_be_there() {
    let args = |python: &str, script: Option<&str>| PeerArgs {
        peer_python: Some(python.into()),
        peer_script: script.map(Into::into),
        peer_batch: Vec::new(),
        no_peers: false,
    };
    let refused = |args: &PeerArgs| Peers::find(args, "cpu", 1.0).err().unwrap().to_string();
    assert_eq!(
        refused(&args("/bin/false", None)),
        "/bin/false cannot import torch"
    );
    assert_eq!(
        refused(&args("/bin/true", Some("/nowhere.py"))),
        "/nowhere.py is not a file"
    );
    assert!(
        Peers::find(
            &PeerArgs {
                no_peers: true,
                ..args("/bin/false", None)
            },
            "cpu",
            1.0
        )
        .unwrap()
        .is_none()
    );
}

#[test]
fn peers_run_on_the_device_of_the_same_number() {
    assert_eq!(
        ["cpu", "cuda:0", "cuda:1 Some GPU"].map(device_number),
        ["cpu", "cuda:0", "cuda:1"]
    );
}

#[test]
fn photographs_make_small_batches_on_a_cpu_alone() {
    assert_eq!(batches("cpu", 500, 32), [500]);
    assert_eq!(batches("cpu", 500, 224), [64]);
    assert_eq!(batches("cuda:0", 500, 224), [500, 1000, 2000]);
}
