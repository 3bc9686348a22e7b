#![allow(clippy::unwrap_used)]
use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

/// Something that is called as a python is, and answers a `--batch` as the shell says.
struct Fake {
    dir: PathBuf,
}

impl Fake {
    fn new(name: &str, answer: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("ddrs-peer-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let text = format!(
            "#!/bin/sh\n[ \"$2\" = 'import torch' ] && exit 0\necho \"$@\" | tail -n 1 >> {}/asked\n\
             for batch; do :; done\n{answer}\n",
            dir.display()
        );
        let python = dir.join("python");
        fs::write(&python, text).unwrap();
        fs::set_permissions(&python, fs::Permissions::from_mode(0o700)).unwrap();
        Self { dir }
    }

    fn peers(&self, device: &str) -> Peers {
        let args = PeerArgs {
            peer_python: Some(self.dir.join("python")),
            peer_script: Some(self.dir.join("python")),
            peer_batch: Vec::new(),
            no_peers: false,
        };
        Peers::find(&args, device, 2.0).unwrap().unwrap()
    }

    fn asked(&self) -> Vec<String> {
        fs::read_to_string(self.dir.join("asked")).unwrap().lines().map(str::to_owned).collect()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.dir).ok();
    }
}

#[test]
fn on_a_gpu_the_fastest_of_several_batches_counts_and_is_kept() {
    // 200 images are the fastest; 400 do not fit.
    let fake = Fake::new(
        "fastest",
        "[ $batch = 400 ] && { echo 'OutOfMemoryError: no' >&2; exit 1; }\necho '{\"passes_per_second\": '$batch'}'",
    );
    let peers = fake.peers("cuda:1 Some GPU");
    let mut peer = peers.of(PeerLoop::Plain, "resnet50", 100, 224);
    peer.turn(1000.0);
    peer.turn(1000.0);
    assert_eq!((peer.rates.as_slice(), peer.batches.as_slice(), &peer.error), (&[200.0, 200.0][..], &[200][..], &None));
    let asked = fake.asked();
    assert_eq!(asked.len(), 4);
    assert!(
        asked.iter().all(|words| words.contains("--mode plain --model resnet50 --device cuda:1 --batch")),
        "{asked:?}"
    );
    // As many passes as are expected in two seconds: of a quarter of our rate, and then of its own.
    assert!(asked[0].contains("--repeats 1 --passes 500 ") && asked[3].contains("--passes 400 "), "{asked:?}");
}

#[test]
fn a_loop_that_fails_says_why_and_is_not_tried_again() {
    let fake =
        Fake::new("fails", "printf 'Traceback\\nRuntimeError: no compiler\\n\\nSet THIS for more\\n' >&2; exit 1");
    let peers = fake.peers("cpu");
    let mut peer = peers.of(PeerLoop::Tuned, "cifar-resnet20", 500, 32);
    peer.turn(1000.0);
    peer.turn(1000.0);
    assert_eq!((peer.error.as_deref(), peer.rates.len()), (Some("RuntimeError: no compiler"), 0));
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
    assert_eq!(refused(&args("/bin/false", None)), "/bin/false cannot import torch");
    assert_eq!(refused(&args("/bin/true", Some("/nowhere.py"))), "/nowhere.py is no file");
    assert!(Peers::find(&PeerArgs { no_peers: true, ..args("/bin/false", None) }, "cpu", 1.0).unwrap().is_none());
}

#[test]
fn photographs_make_small_batches_on_a_cpu_alone() {
    assert_eq!(batches("cpu", 500, 32), [500]);
    assert_eq!(batches("cpu", 500, 224), [64]);
    assert_eq!(batches("cuda:0", 500, 224), [500, 1000, 2000]);
}
