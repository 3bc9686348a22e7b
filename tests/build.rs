//! Finds the real images and models that some tests need.

#[path = "../common/build.rs"]
mod shared_data;

fn main() {
    shared_data::main();
}
