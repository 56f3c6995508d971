//! Makes the set of common passwords that the binary carries: from the gzipped list in `assets/`,
//! sorted, one password a line, to a form that is searched in place.

use std::env;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

const LIST: &str = "assets/common_passwords.txt.gz";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={LIST}");
    let mut text = String::new();
    flate2::read::GzDecoder::new(File::open(LIST).expect("the list of common passwords is there"))
        .read_to_string(&mut text)
        .expect("the list of common passwords is gzipped UTF-8");
    let set =
        fst::Set::from_iter(text.lines()).expect("the list is sorted by bytes, each password once");
    let out = env::var_os("OUT_DIR").expect("cargo names a folder");
    fs::write(
        Path::new(&out).join("common_passwords.fst"),
        set.as_fst().as_bytes(),
    )
    .expect("the folder can be written");
}
