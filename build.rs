//! Makes the set of common passwords that the binary carries: from a sorted text, one a line, to a
//! form that is searched in place.

use std::path::Path;
use std::{env, fs};

const LIST: &str = "assets/common_passwords.txt";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={LIST}");
    let text = fs::read_to_string(LIST).expect("the list of common passwords is readable");
    let set =
        fst::Set::from_iter(text.lines()).expect("the list is sorted by bytes, each password once");
    let out = env::var_os("OUT_DIR").expect("cargo names a folder");
    fs::write(
        Path::new(&out).join("common_passwords.fst"),
        set.as_fst().as_bytes(),
    )
    .expect("the folder can be written");
}
